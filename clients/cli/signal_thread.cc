#include "clients/cli/signal_thread.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <cstdint>
#include <utility>

namespace noded::cli {
namespace {

constexpr int kWatched[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP};

void Wake(int event_fd) {
  uint64_t one = 1;
  // Cannot fail: the counter is far from its end.
  [[maybe_unused]] ssize_t count = write(event_fd, &one, sizeof(one));
}

}  // namespace

SignalThread::SignalThread() {
  sigemptyset(&watched_);
  for (int signal_number : kWatched) sigaddset(&watched_, signal_number);
  pthread_sigmask(SIG_BLOCK, &watched_, &before_);
  signals_ = ScopedFd(signalfd(-1, &watched_, SFD_CLOEXEC | SFD_NONBLOCK));
  wake_ = ScopedFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  thread_ = std::thread([this] { Run(); });
}

SignalThread::~SignalThread() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  Wake(wake_.get());
  thread_.join();
  // What came too late to be handled would kill us by its default action, in place of the status
  // that we return.
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof(info)) > 0) {
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void SignalThread::Handle(Handler handler) {
  absl::MutexLock lock(&mutex_);
  handler_ = std::move(handler);
  Wake(wake_.get());
}

void SignalThread::Run() {
  while (true) {
    bool listening = false;
    {
      absl::MutexLock lock(&mutex_);
      if (stop_) return;
      listening = handler_ != nullptr;
    }
    pollfd fds[] = {{wake_.get(), POLLIN, 0}, {listening ? signals_.get() : -1, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
    uint64_t count = 0;
    if (fds[0].revents != 0 && read(wake_.get(), &count, sizeof(count)) > 0) continue;
    signalfd_siginfo info;
    absl::MutexLock lock(&mutex_);
    // Read under the lock and only with a handler, or a signal would be taken and lost between two
    // handlers.
    if (stop_ || handler_ == nullptr) continue;
    if (read(signals_.get(), &info, sizeof(info)) != sizeof(info)) continue;
    handler_(static_cast<int>(info.ssi_signo));
  }
}

}  // namespace noded::cli
