// Carries the standard streams, the terminal's size and signals between nodectl and a process at
// the far end of an Exec or Attach stream.
#ifndef CLIENTS_CLI_RELAY_H_
#define CLIENTS_CLI_RELAY_H_

#include <grpcpp/support/sync_stream.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "clients/cli/detach_keys.h"
#include "clients/cli/io.h"
#include "clients/cli/options.h"
#include "clients/cli/signal_thread.h"
#include "clients/cli/terminal.h"

namespace noded::cli {

// The sending side of a stream. Each call waits for flow control; false means that the stream is
// over. Thread-safe.
class FarEnd {
 public:
  virtual ~FarEnd() = default;
  // May use `bytes` as scratch; it is empty afterwards, with its capacity kept.
  virtual bool SendStdin(std::string& bytes) = 0;
  virtual bool CloseStdin() = 0;
  virtual bool Resize(const node::v1::TerminalSize& size) = 0;
  // Gives up, and says false, when the stream has no room for kSignalPatience.
  virtual bool Signal(const std::string& name) = 0;
};

// How long a signal waits behind input that the process does not read.
inline constexpr absl::Duration kSignalPatience = absl::Seconds(1);

// FarEnd of either stream: AttachRequest and ExecRequest have the same fields.
template <typename Request, typename Response>
class StreamFarEnd : public FarEnd {
 public:
  // `stream` is borrowed.
  explicit StreamFarEnd(grpc::ClientReaderWriterInterface<Request, Response>& stream)
      : stream_(stream) {}

  bool SendStdin(std::string& bytes) override {
    if (!Claim(absl::InfiniteDuration())) return false;
    input_.mutable_stdin()->swap(bytes);  // swapped and not copied: this is the path of bulk data
    bool good = stream_.Write(input_);
    input_.mutable_stdin()->swap(bytes);
    bytes.clear();
    Release();
    return good;
  }
  bool CloseStdin() override {
    Request request;
    request.mutable_close_stdin();
    return Send(request, absl::InfiniteDuration());
  }
  bool Resize(const node::v1::TerminalSize& size) override {
    Request request;
    *request.mutable_resize() = size;
    return Send(request, kSignalPatience);
  }
  bool Signal(const std::string& name) override {
    Request request;
    request.set_signal(name);
    return Send(request, kSignalPatience);
  }

 private:
  bool Send(const Request& request, absl::Duration patience) {
    if (!Claim(patience)) return false;
    bool good = stream_.Write(request);
    Release();
    return good;
  }
  // gRPC allows one Write at a time. Not held as a mutex, for Write waits as long as the far end
  // does not read.
  bool Claim(absl::Duration patience) {
    absl::MutexLock lock(&mutex_);
    if (!mutex_.AwaitWithTimeout(absl::Condition(
                                     +[](bool* busy) { return !*busy; }, &busy_),
                                 patience)) {
      return false;
    }
    busy_ = true;
    return true;
  }
  void Release() {
    absl::MutexLock lock(&mutex_);
    busy_ = false;
  }

  grpc::ClientReaderWriterInterface<Request, Response>& stream_;
  absl::Mutex mutex_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  Request input_;  // used by whoever has claimed the stream
};

// Begins by making the terminal raw and reading standard input in a thread; ends by undoing both.
// In between the caller reads the stream and hands on what it gets.
class Relay {
 public:
  struct Escapes {
    // Ends the stream from any thread, so that the caller's Read returns.
    std::function<void()> cancel;
    // A signal that the stream has no room for.
    std::function<void(const std::string& name)> signal_otherwise;
  };
  // All is borrowed for the life of the Relay.
  Relay(const Io& io, const RelayOptions& options, FarEnd& far_end, SignalThread& signals,
        Escapes escapes);
  ~Relay() { End(); }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Makes the terminal raw, when the process has one and we have one.
  absl::Status EnterTerminal();
  // Hands signals, size and input on from now on.
  void Begin();
  // Writes what the process wrote. False: nobody reads our output any more.
  bool Stdout(const std::string& bytes) { return io_.Out(bytes); }
  bool Stderr(const std::string& bytes) { return io_.Err(bytes); }
  // Stops reading input, and gives the terminal back. Idempotent. The stream must be over, or
  // cancelled, or a Write of ours could still wait.
  void End();
  // Gives the terminal back early, for a message.
  void RestoreTerminal() { terminal_.Restore(); }

  // Why the stream was cancelled by us: kOk after the detach keys, 128 + n after a signal to
  // nodectl itself. -1: it was not.
  int early_exit() const { return early_exit_; }

 private:
  void PumpInput();
  void OnSignal(int signal_number);
  void Suspend();
  void Leave(int exit_code);

  const Io& io_;
  const RelayOptions& options_;
  FarEnd& far_end_;
  SignalThread& signals_;
  Escapes escapes_;
  RawTerminal terminal_;
  bool raw_ = false;
  ScopedFd wake_;  // eventfd: input is no longer wanted
  std::thread input_;
  std::atomic<int> early_exit_ = -1;
  // Of the signal thread alone.
  int hasty_signals_ = 0;
  absl::Time last_signal_ = absl::InfinitePast();
};

}  // namespace noded::cli

#endif  // CLIENTS_CLI_RELAY_H_
