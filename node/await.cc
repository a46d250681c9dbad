// Waiting without a thread: for a container's state and for a process's end.
#include <fcntl.h>
#include <sys/epoll.h>

#include <atomic>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "node/base/status.h"
#include "node/engine_impl.h"

namespace noded {
namespace {

using StateDone = std::function<void(absl::StatusOr<Snapshot>)>;

// Answers once, whoever is first: a change, the timer, or who gives up. Destroyed unanswered (the
// engine goes away) it answers too, because callers were promised an answer.
class StateWait {
 public:
  explicit StateWait(StateDone done) : done_(std::move(done)) {}
  ~StateWait() { Answer(absl::UnavailableError("the agent is shutting down")); }

  void Answer(absl::StatusOr<Snapshot> result) {
    if (!answered_.exchange(true)) done_(std::move(result));
  }
  bool answered() const { return answered_; }

  // Answers and ends the subscription, whether that is known already or comes to be later.
  void GiveUp(absl::Status why) {
    Answer(std::move(why));
    std::function<void()> unsubscribe;
    {
      absl::MutexLock lock(&mutex_);
      unsubscribe = std::move(unsubscribe_);
    }
    if (unsubscribe) unsubscribe();
  }
  void Subscribed(std::function<void()> unsubscribe) {
    {
      absl::MutexLock lock(&mutex_);
      if (!answered_) unsubscribe_.swap(unsubscribe);
    }
    if (unsubscribe) unsubscribe();
  }

 private:
  std::atomic<bool> answered_ = false;
  const StateDone done_;
  absl::Mutex mutex_;
  std::function<void()> unsubscribe_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::function<void()> EngineImpl::AwaitState(const std::string& id, Fits fits,
                                             absl::Duration timeout, StateDone done) {
  auto wait = std::make_shared<StateWait>(std::move(done));
  // Only the registry keeps it, so that the end of the registry is the end of the wait.
  std::weak_ptr<StateWait> weak = wait;
  EventLoop::TimerId timer = 0;
  if (timeout < absl::InfiniteDuration()) {
    timer = loop_->RunAfter(timeout, [weak] {
      if (auto wait = weak.lock()) wait->GiveUp(absl::DeadlineExceededError("it took too long"));
    });
  }
  auto seen = [this, wait, timer, fits = std::move(fits)](const Snapshot& snapshot) {
    if (wait->answered()) return true;
    if (snapshot == nullptr) {
      wait->Answer(
          WithReason(absl::NotFoundError("the container was removed"), reason::kContainerNotFound));
    } else if (fits(snapshot->container())) {
      wait->Answer(snapshot);
    } else {
      return false;
    }
    loop_->Cancel(timer);
    return true;
  };
  wait->Subscribed(registry_->OnChange(id, std::move(seen)));
  return [weak] {
    if (auto wait = weak.lock()) wait->GiveUp(absl::CancelledError("the caller gave up waiting"));
  };
}

void EngineImpl::AwaitEnd(std::shared_ptr<const Pidfd> process, absl::Duration timeout,
                          std::function<void(bool ended)> done) {
  struct State {
    UniqueFd copy;
    EventLoop::WatchId watch = 0;
    EventLoop::TimerId timer = 0;
    bool over = false;
  };
  // All on the loop's thread, so that the two callbacks need no lock against each other.
  loop_->Run([this, process = std::move(process), timeout, done = std::move(done)] {
    auto state = std::make_shared<State>();
    auto finish = [this, state, process, done](bool ended) {
      if (std::exchange(state->over, true)) return;
      loop_->Unwatch(state->watch);
      state->copy.Reset();
      loop_->Cancel(state->timer);
      done(ended);
    };
    // A descriptor of its own, because an epoll watch is of one and others may await the same end.
    state->copy.Reset(fcntl(process->get(), F_DUPFD_CLOEXEC, 0));
    absl::StatusOr<EventLoop::WatchId> watch =
        loop_->Watch(state->copy.get(), EPOLLIN, [finish](uint32_t) { finish(true); });
    if (!watch.ok()) return finish(process->Ended());
    state->watch = *watch;
    if (timeout < absl::InfiniteDuration()) {
      state->timer = loop_->RunAfter(timeout, [finish] { finish(false); });
    }
  });
}

}  // namespace noded
