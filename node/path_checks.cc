#include "node/path_checks.h"

#include <algorithm>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "node/base/status.h"

namespace noded {
namespace {

constexpr size_t kMaxQueued = 1000;

absl::Status NoAnswer(const std::string& path) {
  return WithReason(absl::DeadlineExceededError(
                        absl::StrCat("look at \"", path, "\": its file system does not answer")),
                    reason::kMountFailed);
}

// One check, from its request to its answer: by the thread that does it, or by the timer.
struct Pending {
  PathChecks::Check check;
  PathChecks::Done done;
  absl::Mutex mutex;
  std::string at ABSL_GUARDED_BY(mutex);
  bool answered ABSL_GUARDED_BY(mutex) = false;

  // Whether it is ours to answer.
  bool Claim() {
    absl::MutexLock lock(&mutex);
    return !std::exchange(answered, true);
  }
};

}  // namespace

// Shared with the threads, because one that is kept may come back when all else is gone.
struct PathChecks::State {
  absl::Mutex mutex;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  std::deque<std::shared_ptr<Pending>> queue ABSL_GUARDED_BY(mutex);
  int threads ABSL_GUARDED_BY(mutex) = 0;
  int answering ABSL_GUARDED_BY(mutex) = 0;
  // Paths that did not answer in time and have not yet, each with the thread that is kept there.
  std::multimap<std::string, const Pending*> kept ABSL_GUARDED_BY(mutex);

  void Work();
  void TimedOut(Pending& pending);
};

void PathChecks::State::Work() {
  while (true) {
    std::shared_ptr<Pending> pending;
    {
      absl::MutexLock lock(&mutex);
      auto wanted = [this]()
                        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return stopping || !queue.empty(); };
      mutex.Await(absl::Condition(&wanted));
      if (stopping) return;
      pending = std::move(queue.front());
      queue.pop_front();
    }
    absl::Status status = pending->check([&](const std::string& path) {
      absl::MutexLock lock(&pending->mutex);
      pending->at = path;
    });
    {
      absl::MutexLock lock(&mutex);
      auto is_ours = [&](const auto& entry) { return entry.second == pending.get(); };
      auto found = std::find_if(kept.begin(), kept.end(), is_ours);
      if (found != kept.end()) kept.erase(found);
      // Claimed under the lock of `kept`, so that a timer that comes now does not enter us there.
      if (stopping || !pending->Claim()) continue;
      ++answering;
    }
    pending->done(std::move(status));
    absl::MutexLock lock(&mutex);
    --answering;
  }
}

void PathChecks::State::TimedOut(Pending& pending) {
  std::string path;
  {
    absl::MutexLock lock(&mutex);
    if (!pending.Claim()) return;
    absl::MutexLock at(&pending.mutex);
    path = pending.at;
    // Not begun yet: then it is not this one's paths that keep the threads.
    auto queued = std::find_if(queue.begin(), queue.end(),
                               [&](const auto& one) { return one.get() == &pending; });
    if (queued == queue.end()) {
      kept.emplace(path, &pending);
    } else {
      queue.erase(queued);
      path.clear();
    }
  }
  pending.done(path.empty() ? absl::UnavailableError("look at host paths: too many file systems do "
                                                     "not answer")
                            : NoAnswer(path));
}

PathChecks::PathChecks(EventLoop* loop, int threads, absl::Duration bound)
    : state_(std::make_shared<State>()), loop_(loop), bound_(bound) {
  absl::MutexLock lock(&state_->mutex);
  state_->threads = threads;
  for (int i = 0; i < threads; ++i) {
    std::thread([state = state_] { state->Work(); }).detach();
  }
}

PathChecks::~PathChecks() {
  std::deque<std::shared_ptr<Pending>> dropped;  // destroyed after the lock is released
  absl::MutexLock lock(&state_->mutex);
  state_->stopping = true;
  dropped.swap(state_->queue);
  // What is answered just now may still use what comes to its end after us.
  auto idle = [this]()
                  ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) { return state_->answering == 0; };
  state_->mutex.Await(absl::Condition(&idle));
}

void PathChecks::Run(const std::vector<std::string>& paths, Check check, Done done) {
  auto pending = std::make_shared<Pending>();
  pending->check = std::move(check);
  pending->done = std::move(done);
  absl::Status refused;
  {
    absl::MutexLock lock(&state_->mutex);
    auto is_kept = [&](const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) {
      return state_->kept.count(path) != 0;
    };
    auto hung = std::find_if(paths.begin(), paths.end(), is_kept);
    if (hung != paths.end()) {
      refused = NoAnswer(*hung);
    } else if (state_->queue.size() >= kMaxQueued ||
               state_->kept.size() >= static_cast<size_t>(state_->threads)) {
      refused = absl::UnavailableError("look at host paths: too many file systems do not answer");
    } else {
      state_->queue.push_back(pending);
    }
  }
  if (!refused.ok()) return pending->done(refused);
  // Both weak, because an engine that goes away neither waits for a timer nor for a thread.
  loop_->RunAfter(
      bound_, [weak = std::weak_ptr<Pending>(pending), weak_state = std::weak_ptr<State>(state_)] {
        auto pending = weak.lock();
        auto state = weak_state.lock();
        if (pending != nullptr && state != nullptr) state->TimedOut(*pending);
      });
}

}  // namespace noded
