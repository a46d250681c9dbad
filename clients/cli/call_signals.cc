#include "clients/cli/call_signals.h"

#include <signal.h>

namespace noded::cli {

CallSignals::CallSignals(SignalThread& signals) : signals_(signals) {
  signals_.Handle([this](int signal_number) { OnSignal(signal_number); });
}

void CallSignals::Guard(grpc::ClientContext* context, int tolerated) {
  absl::MutexLock lock(&mutex_);
  context_ = context;
  tolerated_ = tolerated;
  count_ = 0;
}

void CallSignals::OnSignal(int signal_number) {
  // The kernel's own stop, since the terminal's is blocked.
  if (signal_number == SIGTSTP) raise(SIGSTOP);
  bool ends = signal_number == SIGINT || signal_number == SIGTERM || signal_number == SIGHUP ||
              signal_number == SIGQUIT;
  if (!ends) return;
  int none = 0;
  first_.compare_exchange_strong(none, signal_number);
  absl::MutexLock lock(&mutex_);
  if (++count_ > tolerated_ && context_ != nullptr) context_->TryCancel();
}

}  // namespace noded::cli
