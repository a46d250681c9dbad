#include "node/operation_queue.h"

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"

namespace noded {
namespace {

// Calls once: when told to, or when nobody can tell any more.
class CallOnce {
 public:
  explicit CallOnce(std::function<void()> call) : call_(std::move(call)) {}
  ~CallOnce() { Call(); }
  void Call() {
    if (!called_.exchange(true)) call_();
  }

 private:
  std::atomic<bool> called_ = false;
  const std::function<void()> call_;
};

}  // namespace

absl::Status OperationQueue::Run(Operation operation) {
  {
    absl::MutexLock lock(&mutex_);
    if (waiting_.size() >= max_waiting_) {
      return WithReason(absl::ResourceExhaustedError(absl::StrCat(
                            max_waiting_, " operations of this container are waiting already")),
                        reason::kLimitReached);
    }
  }
  RunAlways(std::move(operation));
  return absl::OkStatus();
}

void OperationQueue::RunAlways(Operation operation) {
  {
    absl::MutexLock lock(&mutex_);
    if (busy_) {
      waiting_.push_back(std::move(operation));
      return;
    }
    busy_ = true;
  }
  Begin(std::move(operation));
}

void OperationQueue::Begin(Operation operation) {
  auto once = std::make_shared<CallOnce>([self = shared_from_this()] { self->BeginNext(); });
  dispatch_([operation = std::move(operation), once] { operation([once] { once->Call(); }); });
}

void OperationQueue::BeginNext() {
  Operation next;
  {
    absl::MutexLock lock(&mutex_);
    if (waiting_.empty()) {
      busy_ = false;
      return;
    }
    next = std::move(waiting_.front());
    waiting_.pop_front();
  }
  Begin(std::move(next));
}

}  // namespace noded
