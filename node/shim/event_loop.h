// One epoll loop with timers. Handlers run one at a time, on the thread that runs the loop, and may
// watch, forget and close descriptors, their own too. Single-threaded.
#ifndef NODE_SHIM_EVENT_LOOP_H_
#define NODE_SHIM_EVENT_LOOP_H_

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "node/base/unique_fd.h"

namespace noded::shim {

class EventLoop {
 public:
  using Handler = std::function<void(uint32_t events)>;
  using Task = std::function<void()>;
  using Milliseconds = std::chrono::milliseconds;

  EventLoop();
  bool valid() const { return epoll_.valid(); }

  // `fd` is borrowed; Forget it before it is closed. Level-triggered EPOLL* events; a hang-up is
  // always told.
  bool Watch(int fd, uint32_t events, Handler handler);
  void Change(int fd, uint32_t events);
  void Forget(int fd);

  // Runs a task once. The number is for Cancel and never 0.
  uint64_t After(Milliseconds delay, Task task);
  void Cancel(uint64_t timer);

  // Until Stop. May be run again after.
  void Run();
  void Stop() { stopped_ = true; }

 private:
  struct Timer {
    std::chrono::steady_clock::time_point due;
    Task task;
  };
  int WaitTime() const;
  void RunTimers();

  UniqueFd epoll_;
  std::map<int, std::shared_ptr<Handler>> handlers_;
  std::map<uint64_t, Timer> timers_;  // a handful
  uint64_t next_timer_ = 1;
  bool stopped_ = false;
};

}  // namespace noded::shim

#endif  // NODE_SHIM_EVENT_LOOP_H_
