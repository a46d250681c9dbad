#include "node/shim/event_loop.h"

#include <algorithm>
#include <climits>
#include <utility>

namespace noded::shim {

using Clock = std::chrono::steady_clock;

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

bool EventLoop::Watch(int fd, uint32_t events, Handler handler) {
  epoll_event event{.events = events, .data = {.fd = fd}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return false;
  handlers_[fd] = std::make_shared<Handler>(std::move(handler));
  return true;
}

void EventLoop::Change(int fd, uint32_t events) {
  epoll_event event{.events = events, .data = {.fd = fd}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Forget(int fd) {
  if (handlers_.erase(fd) > 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

uint64_t EventLoop::After(Milliseconds delay, Task task) {
  timers_[next_timer_] = {Clock::now() + delay, std::move(task)};
  return next_timer_++;
}

void EventLoop::Cancel(uint64_t timer) { timers_.erase(timer); }

int EventLoop::WaitTime() const {
  if (timers_.empty()) return -1;
  auto first = std::min_element(timers_.begin(), timers_.end(), [](const auto& a, const auto& b) {
    return a.second.due < b.second.due;
  });
  auto wait = std::chrono::ceil<Milliseconds>(first->second.due - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(wait, 0, INT_MAX));
}

void EventLoop::RunTimers() {
  const auto now = Clock::now();
  while (!stopped_) {
    auto due = std::find_if(timers_.begin(), timers_.end(),
                            [&](const auto& timer) { return timer.second.due <= now; });
    if (due == timers_.end()) return;
    Task task = std::move(due->second.task);
    timers_.erase(due);
    task();
  }
}

void EventLoop::Run() {
  stopped_ = false;
  while (!stopped_) {
    // One event a call: with more, a handler could close a descriptor that a later event of the
    // same batch is about, and whose number is another's by then. The kernel hands ready
    // descriptors out in turn, so none starves.
    epoll_event event;
    int ready = epoll_wait(epoll_.get(), &event, 1, WaitTime());
    if (ready == 1) {
      auto found = handlers_.find(event.data.fd);
      if (found != handlers_.end()) {
        std::shared_ptr<Handler> handler = found->second;  // it may forget itself
        (*handler)(event.events);
      }
    }
    RunTimers();
  }
}

}  // namespace noded::shim
