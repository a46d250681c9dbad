// The operations of one container, one after another in the order of their coming. An operation
// holds the queue until it says that it is finished, which may be long after it returned and on
// another thread: so waiting for a supervisor holds up this container's next operation, but no
// thread and no other container.
#ifndef NODE_OPERATION_QUEUE_H_
#define NODE_OPERATION_QUEUE_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace noded {

// Thread-safe. Owned by shared_ptr: an operation that is under way keeps it.
class OperationQueue : public std::enable_shared_from_this<OperationQueue> {
 public:
  // To be called once, on any thread; further calls do nothing. Destroyed uncalled it counts as
  // called, so that an operation dropped on its way holds up nothing.
  using Finished = std::function<void()>;
  using Operation = std::function<void(Finished)>;
  // Runs work on another thread, never in the call itself.
  using Dispatch = std::function<void(std::function<void()>)>;

  OperationQueue(Dispatch dispatch, size_t max_waiting)
      : dispatch_(std::move(dispatch)), max_waiting_(max_waiting) {}

  // RESOURCE_EXHAUSTED when `max_waiting` operations wait already.
  absl::Status Run(Operation operation);
  // Not bounded: for what has happened already and must be written down.
  void RunAlways(Operation operation);

 private:
  void Begin(Operation operation);
  void BeginNext();

  const Dispatch dispatch_;
  const size_t max_waiting_;
  absl::Mutex mutex_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Operation> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace noded

#endif  // NODE_OPERATION_QUEUE_H_
