// A fixed number of threads for work that blocks for a bounded time (file system, process start).
#ifndef NODE_WORKER_POOL_H_
#define NODE_WORKER_POOL_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace noded {

// Thread-safe.
class WorkerPool {
 public:
  WorkerPool(int threads, size_t max_queued);
  ~WorkerPool();  // runs what is queued, then joins

  // RESOURCE_EXHAUSTED when `max_queued` items wait already; the item is not run then.
  absl::Status Submit(std::function<void()> work);

 private:
  void Work();

  absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  const size_t max_queued_;
  std::vector<std::thread> threads_;
};

}  // namespace noded

#endif  // NODE_WORKER_POOL_H_
