#include "node/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <map>
#include <thread>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"

namespace noded {
namespace {

using Callback = std::function<void()>;
using ReadyCallback = std::function<void(uint32_t)>;

constexpr uint64_t kWakeUp = 0;  // as an epoll datum; watches are numbered from 1
constexpr int kEventsAtOnce = 64;

// CLOCK_MONOTONIC, because a wall clock set back would hold up every timer.
int64_t MonotonicNanos() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

class EpollLoop : public EventLoop {
 public:
  EpollLoop(UniqueFd epoll, UniqueFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {
    thread_ = std::thread([this] { Loop(); });
    thread_id_ = thread_.get_id();
    absl::MutexLock lock(&mutex_);
    started_ = true;
  }
  ~EpollLoop() override;

  absl::StatusOr<WatchId> Watch(int fd, uint32_t events, ReadyCallback ready) override;
  void Rearm(WatchId watch, uint32_t events) override;
  void Unwatch(WatchId watch) override;
  TimerId RunAfter(absl::Duration delay, Callback callback) override;
  void Cancel(TimerId timer) override;
  void Run(Callback callback) override;
  bool OnLoopThread() const override { return std::this_thread::get_id() == thread_id_; }

 private:
  struct Watched {
    int fd;
    std::shared_ptr<ReadyCallback> ready;  // shared, because it may unwatch itself while it runs
  };
  using TimerKey = std::pair<int64_t, TimerId>;  // when it is due, in order of creation

  void Loop();
  void WakeUp();
  int WaitMillis();
  void Deliver(const epoll_event& event);
  void RunPosted();
  void RunDueTimers();

  const UniqueFd epoll_;
  const UniqueFd wake_;
  absl::Mutex mutex_;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  WatchId running_ ABSL_GUARDED_BY(mutex_) = 0;  // whose callback runs now
  std::unordered_map<WatchId, Watched> watches_ ABSL_GUARDED_BY(mutex_);
  std::map<TimerKey, Callback> timers_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<TimerId, int64_t> due_ ABSL_GUARDED_BY(mutex_);
  std::deque<Callback> posted_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
  std::thread::id thread_id_;  // written before the loop begins, see started_
};

EpollLoop::~EpollLoop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  WakeUp();
  thread_.join();
  // What the callbacks hold may call Unwatch, Cancel or Run while it is destroyed, so none of them
  // is destroyed under the lock, and all of this object is still there.
  decltype(watches_) watches;
  decltype(timers_) timers;
  decltype(posted_) posted;
  absl::MutexLock lock(&mutex_);
  watches.swap(watches_);
  timers.swap(timers_);
  posted.swap(posted_);
}

absl::StatusOr<EventLoop::WatchId> EpollLoop::Watch(int fd, uint32_t events, ReadyCallback ready) {
  absl::MutexLock lock(&mutex_);
  const WatchId id = ++last_id_;
  epoll_event event{.events = events, .data = {.u64 = id}};
  // Under the lock, because the loop must find the watch when its first event comes.
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return ErrnoStatus(errno, absl::StrCat("watch descriptor ", fd));
  }
  watches_.emplace(id, Watched{fd, std::make_shared<ReadyCallback>(std::move(ready))});
  return id;
}

void EpollLoop::Rearm(WatchId watch, uint32_t events) {
  absl::MutexLock lock(&mutex_);
  auto found = watches_.find(watch);
  if (found == watches_.end()) return;
  epoll_event event{.events = events, .data = {.u64 = watch}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second.fd, &event);
}

void EpollLoop::Unwatch(WatchId watch) {
  std::shared_ptr<ReadyCallback> ready;  // destroyed after the lock is released
  absl::MutexLock lock(&mutex_);
  auto found = watches_.find(watch);
  if (found != watches_.end()) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
    ready = std::move(found->second.ready);
    watches_.erase(found);
  }
  if (OnLoopThread()) return;
  auto idle = [this, watch]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return running_ != watch; };
  mutex_.Await(absl::Condition(&idle));
}

EventLoop::TimerId EpollLoop::RunAfter(absl::Duration delay, Callback callback) {
  // A year is for ever, and does not overflow.
  delay = std::clamp(delay, absl::ZeroDuration(), absl::Hours(24 * 365));
  const int64_t due = MonotonicNanos() + absl::ToInt64Nanoseconds(delay);
  TimerId id;
  bool first;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return 0;
    id = ++last_id_;
    auto added = timers_.emplace(TimerKey(due, id), std::move(callback)).first;
    due_.emplace(id, due);
    first = added == timers_.begin();
  }
  if (first && !OnLoopThread()) WakeUp();
  return id;
}

void EpollLoop::Cancel(TimerId timer) {
  Callback dropped;  // destroyed after the lock is released
  absl::MutexLock lock(&mutex_);
  auto due = due_.find(timer);
  if (due == due_.end()) return;
  auto found = timers_.find(TimerKey(due->second, timer));
  dropped = std::move(found->second);
  timers_.erase(found);
  due_.erase(due);
}

void EpollLoop::Run(Callback callback) {
  bool first;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    first = posted_.empty();
    posted_.push_back(std::move(callback));
  }
  if (first && !OnLoopThread()) WakeUp();
}

void EpollLoop::WakeUp() {
  const uint64_t one = 1;
  // EAGAIN: the counter is full, so the loop is being woken already.
  (void)!write(wake_.get(), &one, sizeof(one));
}

void EpollLoop::Loop() {
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&started_));
  }
  epoll_event events[kEventsAtOnce];
  while (true) {
    int count = epoll_wait(epoll_.get(), events, kEventsAtOnce, WaitMillis());
    for (int i = 0; i < count; ++i) Deliver(events[i]);
    RunPosted();
    RunDueTimers();
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
  }
}

int EpollLoop::WaitMillis() {
  absl::MutexLock lock(&mutex_);
  if (stopping_ || !posted_.empty()) return 0;
  if (timers_.empty()) return -1;
  const int64_t left = timers_.begin()->first.first - MonotonicNanos();
  // Rounded up, because a timer that fires early would be seen as not due and spin.
  return static_cast<int>(std::clamp<int64_t>((left + 999'999) / 1'000'000, 0, 3'600'000));
}

void EpollLoop::Deliver(const epoll_event& event) {
  if (event.data.u64 == kWakeUp) {
    uint64_t count;
    (void)!read(wake_.get(), &count, sizeof(count));
    return;
  }
  std::shared_ptr<ReadyCallback> ready;
  {
    absl::MutexLock lock(&mutex_);
    // An earlier callback of this round may have unwatched it. Ids are never reused, so this event
    // cannot be taken for one of another descriptor that got the same number.
    auto found = watches_.find(event.data.u64);
    if (stopping_ || found == watches_.end()) return;
    ready = found->second.ready;
    running_ = event.data.u64;
  }
  (*ready)(event.events);
  ready.reset();  // may be the last reference, and what it holds may call the loop
  absl::MutexLock lock(&mutex_);
  running_ = 0;
}

void EpollLoop::RunPosted() {
  std::deque<Callback> posted;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    // What these post themselves waits for the next round, so that descriptors get their turn.
    posted.swap(posted_);
  }
  for (Callback& callback : posted) callback();
}

void EpollLoop::RunDueTimers() {
  const int64_t now = MonotonicNanos();
  while (true) {
    Callback callback;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_ || timers_.empty() || timers_.begin()->first.first > now) return;
      callback = std::move(timers_.begin()->second);
      due_.erase(timers_.begin()->first.second);
      timers_.erase(timers_.begin());
    }
    callback();
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return ErrnoStatus(errno, "make event loop");
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return ErrnoStatus(errno, "make event loop's wake-up");
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWakeUp}};
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return ErrnoStatus(errno, "watch event loop's wake-up");
  }
  return std::make_unique<EpollLoop>(std::move(epoll), std::move(wake));
}

}  // namespace noded
