// Signals to nodectl, as calls of a function instead of interruptions.
#ifndef CLIENTS_CLI_SIGNAL_THREAD_H_
#define CLIENTS_CLI_SIGNAL_THREAD_H_

#include <signal.h>

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "clients/cli/io.h"

namespace noded::cli {

// Blocks SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH and SIGTSTP in the calling
// thread, and receives them in a thread of its own. Make it before the gRPC channel, because
// threads inherit what is blocked and a signal is taken by any thread that does not block it.
// Thread-safe.
class SignalThread {
 public:
  using Handler = std::function<void(int signal_number)>;

  SignalThread();
  // Unblocks them again.
  ~SignalThread();
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

  // From now on `handler` gets each signal, those that came before there was one first. An empty
  // handler: signals wait. Returns only when no call of the former handler is under way, so what
  // that refers to may go. Not from within a handler.
  void Handle(Handler handler) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);

  sigset_t watched_;
  sigset_t before_;
  ScopedFd signals_;
  ScopedFd wake_;
  absl::Mutex mutex_;
  Handler handler_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace noded::cli

#endif  // CLIENTS_CLI_SIGNAL_THREAD_H_
