// The signals that end a call which is under way.
#ifndef CLIENTS_CLI_CALL_SIGNALS_H_
#define CLIENTS_CLI_CALL_SIGNALS_H_

#include <grpcpp/client_context.h>

#include <atomic>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "clients/cli/signal_thread.h"

namespace noded::cli {

// While a container is being set up or an image transferred there is nobody to hand signals to:
// SIGINT, SIGTERM, SIGHUP and SIGQUIT end the call instead, SIGTSTP stops us as it would without a
// SignalThread. Guard and signal_number are for one thread, which outlives no call that it guards.
class CallSignals {
 public:
  explicit CallSignals(SignalThread& signals);
  ~CallSignals() { signals_.Handle(nullptr); }
  CallSignals(const CallSignals&) = delete;
  CallSignals& operator=(const CallSignals&) = delete;

  // The call that the `tolerated + 1`th signal cancels; nullptr: none. It must outlive this or the
  // next Guard.
  void Guard(grpc::ClientContext* context, int tolerated);
  // The first signal that came; 0: none.
  int signal_number() const { return first_; }

 private:
  void OnSignal(int signal_number);

  SignalThread& signals_;
  std::atomic<int> first_ = 0;
  absl::Mutex mutex_;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int tolerated_ ABSL_GUARDED_BY(mutex_) = 0;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace noded::cli

#endif  // CLIENTS_CLI_CALL_SIGNALS_H_
