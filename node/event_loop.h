// One thread that waits for all supervisors, pipes of execs, attachments, log directories and
// timers by epoll. Its callbacks must not block: what does goes to the WorkerPool.
#ifndef NODE_EVENT_LOOP_H_
#define NODE_EVENT_LOOP_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace noded {

// Thread-safe. Callbacks run on the loop's thread, one at a time.
class EventLoop {
 public:
  using WatchId = uint64_t;  // never reused
  using TimerId = uint64_t;  // never reused; 0 is none

  static absl::StatusOr<std::unique_ptr<EventLoop>> Create();
  virtual ~EventLoop() = default;  // stops and joins the thread; pending callbacks are dropped

  // Watches a borrowed descriptor for EPOLLIN, EPOLLOUT…; with EPOLLONESHOT until Rearm. The
  // callback may call any method.
  virtual absl::StatusOr<WatchId> Watch(int fd, uint32_t events,
                                        std::function<void(uint32_t events)> ready) = 0;
  virtual void Rearm(WatchId watch, uint32_t events) = 0;
  // When it returns the callback does not run and will not (unless called from within it). Call
  // before closing the descriptor. Unknown: ignored.
  virtual void Unwatch(WatchId watch) = 0;

  virtual TimerId RunAfter(absl::Duration delay, std::function<void()> callback) = 0;
  // Best effort: the callback may just be running. Unknown: ignored.
  virtual void Cancel(TimerId timer) = 0;
  // Runs on the loop's thread, in the order of calls.
  virtual void Run(std::function<void()> callback) = 0;
  virtual bool OnLoopThread() const = 0;
};

}  // namespace noded

#endif  // NODE_EVENT_LOOP_H_
