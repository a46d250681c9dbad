// Pause and Resume. The record follows the freezer: a crash between the two leaves a group that is
// not as its record says, which SettlePause makes up for.
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/answer.h"
#include "node/base/status.h"
#include "node/engine_impl.h"
#include "node/record_changes.h"

namespace noded {

using node::v1::Container;
using node::v1::ContainerState;

namespace {

// For an exec's process to be made; usually some milliseconds. One that takes longer (a hung file
// system) must not keep the container from being paused: it goes on, or times out, afterwards.
constexpr absl::Duration kExecStartBound = absl::Seconds(2);

// Lets no exec begin while it lives, and waits for those on their way.
class ExecsHeld {
 public:
  explicit ExecsHeld(Runtime& runtime) : runtime_(runtime) {
    absl::MutexLock lock(&runtime_.mutex);
    runtime_.pausing = true;
    auto none = [this] {
      runtime_.mutex.AssertReaderHeld();
      return runtime_.starting_execs == 0;
    };
    runtime_.mutex.AwaitWithTimeout(absl::Condition(&none), kExecStartBound);
  }
  ~ExecsHeld() {
    absl::MutexLock lock(&runtime_.mutex);
    runtime_.pausing = false;
  }
  ExecsHeld(const ExecsHeld&) = delete;
  ExecsHeld& operator=(const ExecsHeld&) = delete;

 private:
  Runtime& runtime_;
};

// For a registry's change: only from one state to the other.
auto Becomes(ContainerState from, ContainerState to) {
  return [from, to](ContainerRecord& record) {
    if (record.container().state() != from) return WrongState(record.container());
    record.mutable_container()->set_state(to);
    return absl::OkStatus();
  };
}

// Finds the container and does the work in its queue.
template <typename Response, typename Request>
void InQueue(EngineImpl* engine, const Request& request, absl::string_view what,
             absl::Status (EngineImpl::*work)(const std::shared_ptr<Runtime>&),
             std::function<void(absl::StatusOr<Response>)> done) {
  auto answer = AnswerOnce<Response>(std::move(done));
  absl::StatusOr<Snapshot> found = engine->registry()->Find(request.container());
  if (!found.ok()) return answer(found.status());
  const Container& container = (*found)->container();
  std::shared_ptr<Runtime> runtime = engine->RuntimeOf(container.id());
  std::string doing = absl::StrCat(what, " container ", container.name());
  absl::Status queued = runtime->operations->Run(
      [engine, runtime, doing, work, answer](OperationQueue::Finished finished) {
        absl::Status worked = Annotate((engine->*work)(runtime), doing);
        if (worked.ok()) {
          answer(Response());
        } else {
          answer(worked);
        }
        finished();
      });
  if (!queued.ok()) answer(queued);
}

}  // namespace

void EngineImpl::Pause(node::v1::PauseRequest request, Done<node::v1::PauseResponse> done) {
  InQueue(this, request, "pause", &EngineImpl::PauseInQueue, std::move(done));
}

void EngineImpl::Resume(node::v1::ResumeRequest request, Done<node::v1::ResumeResponse> done) {
  InQueue(this, request, "resume", &EngineImpl::ResumeInQueue, std::move(done));
}

absl::Status EngineImpl::PauseInQueue(const std::shared_ptr<Runtime>& runtime) {
  Snapshot present = registry_->Get(runtime->id);
  if (present == nullptr) return ContainerGone();
  if (present->container().state() != node::v1::CONTAINER_STATE_RUNNING) {
    return WrongState(present->container());
  }
  std::shared_ptr<SharedGroup> group = runtime->Group();
  if (group == nullptr) return SupervisorLost();
  ExecsHeld held(*runtime);
  RETURN_IF_ERROR(group->Freeze());
  absl::Status recorded =
      registry_
          ->Change(runtime->id, node::v1::CONTAINER_EVENT_TYPE_PAUSED,
                   Becomes(node::v1::CONTAINER_STATE_RUNNING, node::v1::CONTAINER_STATE_PAUSED))
          .status();
  if (recorded.ok()) return recorded;
  absl::Status thawed = group->Thaw();
  if (thawed.ok()) return recorded;
  return absl::InternalError(
      absl::StrCat(recorded.message(), "; and it stays frozen, because: ", thawed.message()));
}

absl::Status EngineImpl::ResumeInQueue(const std::shared_ptr<Runtime>& runtime) {
  Snapshot present = registry_->Get(runtime->id);
  if (present == nullptr) return ContainerGone();
  if (present->container().state() != node::v1::CONTAINER_STATE_PAUSED) {
    return WrongState(present->container());
  }
  std::shared_ptr<SharedGroup> group = runtime->Group();
  if (group == nullptr) return SupervisorLost();
  RETURN_IF_ERROR(group->Thaw());
  return RecordResumed(runtime->id);
}

// It has happened, so it is told even when the disk refuses.
absl::Status EngineImpl::RecordResumed(const std::string& id) {
  return registry_
      ->Change(id, node::v1::CONTAINER_EVENT_TYPE_RESUMED,
               Becomes(node::v1::CONTAINER_STATE_PAUSED, node::v1::CONTAINER_STATE_RUNNING),
               Saving::kIfPossible)
      .status();
}

void EngineImpl::ResumeToEnd(const std::shared_ptr<Runtime>& runtime) {
  runtime->operations->RunAlways([this, runtime](Finished finished) {
    absl::Status resumed = ResumeInQueue(runtime);
    // Another was faster, or it has ended: as wished.
    if (!resumed.ok() && ReasonOf(resumed) != reason::kWrongState) {
      Report(absl::StrCat("resume ", runtime->id, " to end it: ", resumed.message()));
    }
    finished();
  });
}

void EngineImpl::SettlePause(const std::shared_ptr<Runtime>& runtime) {
  Snapshot present = registry_->Get(runtime->id);
  std::shared_ptr<SharedGroup> group = runtime->Group();
  if (present == nullptr || group == nullptr) return;
  bool paused = present->container().state() == node::v1::CONTAINER_STATE_PAUSED;
  absl::StatusOr<bool> frozen = group->Frozen();
  absl::Status settled = frozen.status();
  if (frozen.ok() && *frozen && !paused) {
    Report(absl::StrCat(runtime->id, " was left frozen though it is not paused; it is thawed"));
    settled = group->Thaw();
  } else if (frozen.ok() && !*frozen && paused) {
    settled = RecordResumed(runtime->id);
  }
  if (!settled.ok()) Report(absl::StrCat("thaw ", runtime->id, ": ", settled.message()));
}

}  // namespace noded
