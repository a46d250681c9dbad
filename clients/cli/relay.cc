#include "clients/cli/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <cstdint>
#include <utility>

#include "absl/time/clock.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/names.h"

namespace noded::cli {
namespace {

// A quarter of the most that one message may carry: larger gains nothing, and latency suffers.
constexpr size_t kChunkBytes = 256 << 10;
constexpr size_t kTypedBytes = 4096;
// A pipe may be that large without privileges; each read and write then moves a whole chunk.
constexpr int kPipeBytes = 1 << 20;
// That many signals in a row, each within this time of the last, mean that the user wants out
// whatever the far end does.
constexpr int kHastySignals = 3;
constexpr absl::Duration kHaste = absl::Seconds(2);

}  // namespace

Relay::Relay(const Io& io, const RelayOptions& options, FarEnd& far_end, SignalThread& signals,
             Escapes escapes)
    : io_(io),
      options_(options),
      far_end_(far_end),
      signals_(signals),
      escapes_(std::move(escapes)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

absl::Status Relay::EnterTerminal() {
  if (!options_.tty || !options_.stdin || !io_.in_is_tty) return absl::OkStatus();
  absl::Status status = terminal_.Enter(io_.in);
  raw_ = status.ok();
  return status;
}

void Relay::Begin() {
  // Where these are no pipes the calls fail, which is as well.
  fcntl(io_.out, F_SETPIPE_SZ, kPipeBytes);
  if (options_.stdin) {
    fcntl(io_.in, F_SETPIPE_SZ, kPipeBytes);
    input_ = std::thread([this] { PumpInput(); });
  }
  signals_.Handle([this](int signal_number) { OnSignal(signal_number); });
}

void Relay::End() {
  signals_.Handle(nullptr);
  if (input_.joinable()) {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t count = write(wake_.get(), &one, sizeof(one));
    input_.join();
  }
  terminal_.Restore();
}

void Relay::Leave(int exit_code) {
  int none = -1;
  early_exit_.compare_exchange_strong(none, exit_code);
  escapes_.cancel();
}

void Relay::PumpInput() {
  DetachFilter detach(options_.tty ? options_.detach_keys : "");
  const size_t most = io_.in_is_tty ? kTypedBytes : kChunkBytes;
  std::string bytes;
  while (true) {
    pollfd fds[] = {{io_.in, POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    if (fds[0].revents == 0) continue;
    bytes.resize(most);
    ssize_t count = read(io_.in, bytes.data(), bytes.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) break;  // the end, or a terminal that has hung up
    bytes.resize(static_cast<size_t>(count));
    if (detach.Feed(bytes)) return Leave(kOk);
    if (!bytes.empty() && !far_end_.SendStdin(bytes)) return;
  }
  // Not by half-closing the stream, which would leave no way for a later signal.
  far_end_.CloseStdin();
}

void Relay::OnSignal(int signal_number) {
  if (signal_number == SIGWINCH) {
    if (!options_.tty) return;
    if (auto size = TerminalSizeOf(io_.in_is_tty ? io_.in : io_.out)) far_end_.Resize(*size);
    return;
  }
  if (signal_number == SIGTSTP) return Suspend();
  // With a terminal at the far end its keys make its signals; one to nodectl is meant for nodectl.
  if (options_.tty || !options_.sig_proxy) return Leave(kSignalBase + signal_number);
  absl::Time now = absl::Now();
  bool wants_out = signal_number == SIGINT || signal_number == SIGTERM;
  hasty_signals_ = wants_out ? (now - last_signal_ < kHaste ? hasty_signals_ + 1 : 1) : 0;
  last_signal_ = now;
  if (hasty_signals_ >= kHastySignals) {
    io_.Complain("three signals in a row: leaving without waiting for the process");
    _exit(kSignalBase +
          signal_number);  // the main thread may be stuck in a write, and no terminal is raw here
  }
  std::string name = SignalName(signal_number);
  if (!far_end_.Signal(name)) escapes_.signal_otherwise(name);
}

void Relay::Suspend() {
  terminal_.Restore();
  // SIGTSTP itself is blocked, so as to come here; the shell sees the same stop.
  raise(SIGSTOP);
  if (raw_ && terminal_.Enter(io_.in).ok()) OnSignal(SIGWINCH);
}

}  // namespace noded::cli
