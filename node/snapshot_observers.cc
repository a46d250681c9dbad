#include "node/snapshot_observers.h"

#include <deque>
#include <thread>
#include <utility>

namespace noded {
namespace {

constexpr size_t kMaxUndelivered = 64;

}  // namespace

struct SnapshotObservers::Observer {
  absl::Mutex mutex;
  Seen seen;  // called by the running thread only
  std::deque<Snapshot> undelivered ABSL_GUARDED_BY(mutex);
  bool running ABSL_GUARDED_BY(mutex) = false;
  std::thread::id runner ABSL_GUARDED_BY(mutex);
  bool done ABSL_GUARDED_BY(mutex) = false;
};

std::function<void()> SnapshotObservers::Add(Snapshot present, Seen seen) {
  auto observer = std::make_shared<Observer>();
  observer->seen = std::move(seen);
  {
    absl::MutexLock lock(&observer->mutex);
    observer->undelivered.push_back(std::move(present));
  }
  {
    absl::MutexLock lock(&mutex_);
    observers_.push_back(observer);
  }
  return [self = shared_from_this(), observer] {
    self->Erase(observer.get());
    Seen released;  // destroyed after the lock is released
    absl::MutexLock lock(&observer->mutex);
    observer->done = true;
    if (observer->runner == std::this_thread::get_id()) return;
    auto idle = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(observer->mutex) { return !observer->running; };
    observer->mutex.Await(absl::Condition(&idle));
    released = std::move(observer->seen);
  };
}

void SnapshotObservers::Push(const Snapshot& snapshot) {
  absl::MutexLock lock(&mutex_);
  for (const auto& observer : observers_) {
    absl::MutexLock observer_lock(&observer->mutex);
    if (observer->undelivered.size() >= kMaxUndelivered) {
      observer->undelivered.back() = snapshot;
    } else {
      observer->undelivered.push_back(snapshot);
    }
  }
}

void SnapshotObservers::Drain() {
  std::vector<std::shared_ptr<Observer>> observers;
  {
    absl::MutexLock lock(&mutex_);
    observers = observers_;
  }
  for (const auto& observer : observers) {
    if (Deliver(*observer)) Erase(observer.get());
  }
}

// Whether it is done with.
bool SnapshotObservers::Deliver(Observer& observer) {
  Seen released;
  absl::MutexLock lock(&observer.mutex);
  if (observer.running) return false;
  observer.running = true;
  observer.runner = std::this_thread::get_id();
  while (!observer.done && !observer.undelivered.empty()) {
    Snapshot snapshot = std::move(observer.undelivered.front());
    observer.undelivered.pop_front();
    observer.mutex.Unlock();
    const bool enough = observer.seen(snapshot);
    observer.mutex.Lock();
    if (enough || snapshot == nullptr) observer.done = true;
  }
  observer.running = false;
  observer.runner = {};
  if (!observer.done) return false;
  released = std::move(observer.seen);
  return true;
}

void SnapshotObservers::Erase(const Observer* observer) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(observers_, [&](const auto& one) { return one.get() == observer; });
}

}  // namespace noded
