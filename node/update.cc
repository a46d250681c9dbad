// Update: other limits and devices for a container that is there.
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/answer.h"
#include "node/base/status.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/kept_limits.h"
#include "node/record_changes.h"

namespace noded {

using node::v1::Container;
using node::v1::ContainerSpec;
using node::v1::UpdateRequest;

namespace {

// CREATED: only its spec is changed.
absl::Status CheckState(const Container& container) {
  bool fits =
      HasProcess(container.state()) || container.state() == node::v1::CONTAINER_STATE_CREATED;
  return fits ? absl::OkStatus() : WrongState(container);
}

}  // namespace

void EngineImpl::Update(UpdateRequest request, Done<node::v1::UpdateResponse> done) {
  auto answer = AnswerOnce<node::v1::UpdateResponse>(std::move(done));
  absl::StatusOr<Snapshot> found = registry_->Find(request.container());
  if (!found.ok()) return answer(found.status());
  const Container& container = (*found)->container();
  absl::StatusOr<ContainerSpec> next = launch::ApplyUpdate(container.spec(), request);
  if (!next.ok()) return answer(next.status());
  std::shared_ptr<Runtime> runtime = RuntimeOf(container.id());
  std::string doing = absl::StrCat("update container ", container.name());
  // Host paths on threads of their own, all else in the container's turn.
  CheckLimitPaths(*next, [=, this, request = std::move(request)](const absl::Status& paths) {
    if (!paths.ok()) return answer(launch::InUpdateRequest(paths));
    absl::Status queued = runtime->operations->Run([=, this](Finished finished) {
      absl::StatusOr<Container> updated = UpdateInQueue(runtime, request);
      if (updated.ok()) {
        node::v1::UpdateResponse response;
        *response.mutable_container() = *std::move(updated);
        answer(std::move(response));
      } else {
        answer(Annotate(launch::InUpdateRequest(updated.status()), doing));
      }
      finished();
    });
    if (!queued.ok()) answer(queued);
  });
}

absl::StatusOr<Container> EngineImpl::UpdateInQueue(const std::shared_ptr<Runtime>& runtime,
                                                    const UpdateRequest& request) {
  Snapshot present = registry_->Get(runtime->id);
  if (present == nullptr) return ContainerGone();
  const Container& container = present->container();
  RETURN_IF_ERROR(CheckState(container));
  // Again, because another Update may have come first.
  ASSIGN_OR_RETURN(ContainerSpec next, launch::ApplyUpdate(container.spec(), request));
  ASSIGN_OR_RETURN(std::shared_ptr<cgroup::Driver> driver, DriverFor(GroupParentOf(container)));
  ASSIGN_OR_RETURN(KeptLimits kept, KeepLimitsOf(*driver, next));
  std::shared_ptr<SharedGroup> group;
  if (HasProcess(container.state())) {
    group = runtime->Group();
    if (group == nullptr) return SupervisorLost();
    RETURN_IF_ERROR(group->Update(kept.limits, {.force = request.force()}));
  }
  absl::StatusOr<Snapshot> updated = registry_->Change(
      runtime->id, node::v1::CONTAINER_EVENT_TYPE_UPDATED, [&](ContainerRecord& record) {
        Container& changed = *record.mutable_container();
        *changed.mutable_spec()->mutable_limits() = next.limits();
        *changed.mutable_spec()->mutable_devices() = next.devices();
        Tell(kept, changed);
        return absl::OkStatus();
      });
  if (updated.ok()) return (*updated)->container();
  absl::Status back = group == nullptr ? absl::OkStatus() : ApplyRecorded(runtime);
  if (back.ok()) return updated.status();
  return absl::InternalError(absl::StrCat(
      updated.status().message(), "; and the limits could not be taken back: ", back.message()));
}

absl::Status EngineImpl::ApplyRecorded(const std::shared_ptr<Runtime>& runtime) {
  Snapshot present = registry_->Get(runtime->id);
  std::shared_ptr<SharedGroup> group = runtime->Group();
  if (present == nullptr || group == nullptr) return ContainerGone();
  const ContainerSpec& spec = present->container().spec();
  ASSIGN_OR_RETURN(std::shared_ptr<cgroup::Driver> driver,
                   DriverFor(GroupParentOf(present->container())));
  ASSIGN_OR_RETURN(KeptLimits kept, KeepLimitsOf(*driver, spec));
  return group->Update(kept.limits, {});
}

// A crash between the group's files and the record leaves an update half done.
void EngineImpl::SettleLimits(const std::shared_ptr<Runtime>& runtime) {
  absl::Status settled = ApplyRecorded(runtime);
  if (settled.ok()) return;
  Report(absl::StrCat("limits of ", runtime->id, " may not be as recorded: ", settled.message()));
}

}  // namespace noded
