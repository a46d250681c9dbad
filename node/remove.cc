// Remove, and what ends a container that was never more than half made.
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/answer.h"
#include "node/base/status.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/record_changes.h"
#include "node/storage.h"

namespace noded {
namespace {

using node::v1::Container;

// Its processes are dead or were killed; this only lets a supervisor come to its end.
constexpr absl::Duration kSupervisorBound = absl::Seconds(3);

absl::Status StillRuns(const Container& container) {
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        "container ", container.name(), " is ",
                        std::string(StateName(container.state())), "; stop it first or use force")),
                    reason::kWrongState);
}

// What we know too little of to say that nothing runs.
bool NeedsForce(const Container& container) {
  return MayHaveProcess(container) || container.state() == node::v1::CONTAINER_STATE_UNKNOWN;
}

}  // namespace

void EngineImpl::Remove(node::v1::RemoveRequest request, Done<node::v1::RemoveResponse> done) {
  auto answer = AnswerOnce<node::v1::RemoveResponse>(std::move(done));
  absl::StatusOr<Snapshot> found = registry_->Find(request.container());
  if (!found.ok()) return answer(found.status());
  const Container& container = (*found)->container();
  std::shared_ptr<Runtime> runtime = RuntimeOf(container.id());
  if (!request.force() && NeedsForce(container)) return answer(StillRuns(container));

  auto remove = [this, runtime, volumes = request.volumes(), answer] {
    absl::Status queued = runtime->operations->Run([=, this](Finished finished) {
      absl::Status removed = RemoveInQueue(runtime, volumes);
      if (removed.ok()) {
        answer(node::v1::RemoveResponse());
      } else {
        answer(removed);
      }
      finished();
    });
    if (!queued.ok()) answer(queued);
  };
  if (!MayHaveProcess(container)) return remove();
  auto killed = [remove, answer](absl::StatusOr<Snapshot> ended) {
    // With auto_remove it may have gone by itself.
    if (absl::IsNotFound(ended.status())) return answer(node::v1::RemoveResponse());
    if (!ended.ok()) return answer(Annotate(ended.status(), "remove container"));
    remove();
  };
  auto has_started = [](const Container& now) {
    return now.state() != node::v1::CONTAINER_STATE_STARTING;
  };
  AwaitState(runtime->id, has_started, 2 * options_.start_timeout,
             [this, runtime, killed, answer](absl::StatusOr<Snapshot> started) {
               if (!started.ok()) return killed(started);
               absl::Status submitted = Submit([this, runtime, killed] {
                 RecordStopRequested(runtime->id).IgnoreError();
                 KillAndAwait(runtime, killed);
               });
               if (!submitted.ok()) answer(submitted);
             });
}

absl::Status EngineImpl::RemoveInQueue(const std::shared_ptr<Runtime>& runtime,
                                       bool anonymous_volumes) {
  absl::StatusOr<Snapshot> removing = registry_->Change(
      runtime->id, node::v1::CONTAINER_EVENT_TYPE_UPDATED, [](ContainerRecord& record) {
        Container& container = *record.mutable_container();
        // Started again while this waited for its turn.
        if (MayHaveProcess(container)) return StillRuns(container);
        record.set_removing(true);
        container.set_state(node::v1::CONTAINER_STATE_REMOVING);
        return absl::OkStatus();
      });
  RETURN_IF_ERROR(removing.status());
  // The record last, because a crash in the middle is finished by what it says.
  RetireSupervisor(runtime, kSupervisorBound);
  std::shared_ptr<SharedGroup> group;
  {
    absl::MutexLock lock(&runtime->mutex);
    group = std::move(runtime->group);
    runtime->pending_attachments.clear();
  }
  if (group != nullptr) ReleaseGroup(std::move(group), runtime->id);
  RETURN_IF_ERROR(Annotate(registry_->Remove(runtime->id), "remove container"));
  DropRuntime(runtime->id);
  const Container& container = (*removing)->container();
  if (anonymous_volumes && !container.volumes().empty()) {
    storage_->RemoveAnonymousVolumes(container);
  }
  return absl::OkStatus();
}

void EngineImpl::Discard(const std::shared_ptr<Runtime>& runtime) {
  Snapshot snapshot = registry_->Get(runtime->id);
  absl::Status removed = registry_->Remove(runtime->id, /*forget=*/true);
  if (!removed.ok() && !absl::IsNotFound(removed)) {
    Report(absl::StrCat("discard ", runtime->id, ": ", removed.message()));
  } else if (snapshot != nullptr && !snapshot->container().volumes().empty()) {
    storage_->RemoveAnonymousVolumes(snapshot->container());
  }
  DropRuntime(runtime->id);
}

}  // namespace noded
