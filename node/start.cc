// Starting a container: Start, and the second half of RunContainer.
#include <fcntl.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "node/answer.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/engine_impl.h"
#include "node/launch_inputs.h"
#include "node/record_changes.h"

namespace noded {

using node::v1::Container;

namespace {

// For what the supervisor answers without waiting for anything.
constexpr absl::Duration kQuickCall = absl::Seconds(10);

// One attempt to launch. What is acquired is noted with the way to undo it, and undone in reverse
// when the attempt is destroyed uncommitted. Each step runs on the pool.
class Launch {
 public:
  Launch(EngineImpl* engine, std::shared_ptr<Runtime> runtime)
      : engine_(engine), runtime_(std::move(runtime)) {}
  ~Launch() {
    // On its way out noded leaves everything to its successor, which completes or undoes it.
    if (!engine_->closing()) Unwind();
  }

  absl::Status CheckStartable();
  absl::Status StartSupervisor();
  absl::Status RecordStarting();
  absl::Status CompilePlan();
  absl::Status MakeGroup();
  void PassAttachments();
  absl::Status SendPlan(ShimClient::Answered answered);
  absl::StatusOr<Container> RecordRunning(absl::StatusOr<ShimClient::Answer> answer);
  void Unwind();

 private:
  void ApplySize();

  EngineImpl* const engine_;
  const std::shared_ptr<Runtime> runtime_;
  std::vector<std::function<void()>> undo_;
  node::v1::ContainerSpec spec_;
  LaunchInputs inputs_;
  node::shim::v1::LaunchPlan plan_;
  cgroup::AttachFds attach_;
};

absl::Status Launch::CheckStartable() {
  Snapshot present = engine_->registry()->Get(runtime_->id);
  if (present == nullptr) return ContainerGone();
  spec_ = present->container().spec();
  const node::v1::ContainerState state = present->container().state();
  // CREATING: RunContainer, which goes on to the start without a record of its own in between.
  if (state != node::v1::CONTAINER_STATE_CREATING && state != node::v1::CONTAINER_STATE_CREATED &&
      state != node::v1::CONTAINER_STATE_EXITED) {
    return WrongState(present->container());
  }
  // What an earlier run left, before the record says that another begins, because an `exit` of the
  // old run must not be taken for the new one's.
  if (state == node::v1::CONTAINER_STATE_EXITED) return engine_->ForgetRun(runtime_);
  return absl::OkStatus();
}

absl::Status Launch::RecordStarting() {
  return engine_->registry()
      ->Change(runtime_->id, node::v1::CONTAINER_EVENT_TYPE_UPDATED,
               [this](ContainerRecord& record) {
                 MarkStarting(record);
                 // The daemon's parent may be another since the container was created.
                 record.mutable_container()->set_cgroup_path(
                     absl::StrCat(engine_->CgroupParentOf(spec_), "/", runtime_->id));
                 return absl::OkStatus();
               })
      .status();
}

absl::Status Launch::CompilePlan() {
  ASSIGN_OR_RETURN(inputs_, ResolveLaunchInputs(engine_, spec_, runtime_->id));
  ASSIGN_OR_RETURN(plan_, launch::CompileLaunchPlan(spec_, inputs_.inputs));
  return absl::OkStatus();
}

absl::Status Launch::MakeGroup() {
  ASSIGN_OR_RETURN(cgroup::Driver * driver, engine_->DriverFor(engine_->CgroupParentOf(spec_)));
  ASSIGN_OR_RETURN(
      std::unique_ptr<cgroup::Group> made,
      driver->Create(runtime_->id, launch::CompileLimits(spec_, inputs_.inputs.devices)));
  auto group = std::make_shared<SharedGroup>(std::move(made));
  undo_.push_back([this, group] {
    {
      absl::MutexLock lock(&runtime_->mutex);
      runtime_->group = nullptr;
    }
    engine_->ReleaseGroup(group, runtime_->id);
  });
  ASSIGN_OR_RETURN(attach_, group->OpenAttach());
  absl::MutexLock lock(&runtime_->mutex);
  runtime_->group = std::move(group);
  runtime_->stop_signal_sent = false;
  return absl::OkStatus();
}

absl::Status Launch::StartSupervisor() {
  undo_.push_back([this] { engine_->RetireSupervisor(runtime_, absl::ZeroDuration()); });
  RETURN_IF_ERROR(engine_->Spawn(runtime_));
  return engine_->Connect(runtime_);
}

void Launch::PassAttachments() {
  std::map<const AttachSession*, UniqueFd> attachments;
  std::shared_ptr<ShimClient> shim;
  {
    absl::MutexLock lock(&runtime_->mutex);
    attachments.swap(runtime_->pending_attachments);
    shim = runtime_->shim;
  }
  for (const auto& [session, socket] : attachments) {
    node::shim::v1::Request request;
    request.mutable_attach();
    // Not waited for: requests are served in their order, and a client whose socket was not taken
    // sees its end.
    shim->Call(std::move(request), {socket.get()}, kQuickCall, [](auto) {});
  }
}

absl::Status Launch::SendPlan(ShimClient::Answered answered) {
  ASSIGN_OR_RETURN(UniqueFd plan, SealedMemfd("launch-plan", plan_.SerializeAsString()));
  std::vector<int> fds = {plan.get()};
  for (const UniqueFd& joined : inputs_.joined) fds.push_back(joined.get());
  node::shim::v1::Request request;
  AddAttachFds(attach_, *request.mutable_launch(), fds);
  std::shared_ptr<ShimClient> shim = runtime_->Shim();
  if (shim == nullptr) return SupervisorLost();
  shim->Call(std::move(request), fds, engine_->options().start_timeout, std::move(answered));
  return absl::OkStatus();
}

absl::StatusOr<Container> Launch::RecordRunning(absl::StatusOr<ShimClient::Answer> answer) {
  RETURN_IF_ERROR(answer.status());
  if (!answer->reply.has_launched() || answer->fds.empty()) {
    return absl::InternalError("the supervisor's answer to a launch has no process in it");
  }
  const node::shim::v1::RunningRecord launched = answer->reply.launched();
  {
    absl::MutexLock lock(&runtime_->mutex);
    runtime_->init = std::make_shared<const Pidfd>(std::move(answer->fds[0]));
  }
  absl::StatusOr<Snapshot> running = engine_->registry()->Change(
      runtime_->id, node::v1::CONTAINER_EVENT_TYPE_STARTED,
      [&](ContainerRecord& record) {
        MarkRunning(record, launched, engine_->boot_id());
        return absl::OkStatus();
      },
      /*must_publish=*/true);
  RETURN_IF_ERROR(running.status());
  undo_.clear();
  ApplySize();
  return (*running)->container();
}

// The terminal's size that a client asked for before there was one.
void Launch::ApplySize() {
  node::shim::v1::Request request;
  std::shared_ptr<ShimClient> shim;
  {
    absl::MutexLock lock(&runtime_->mutex);
    auto [width, height] = std::exchange(runtime_->pending_size, {0, 0});
    if (width == 0 || !spec_.process().tty()) return;
    request.mutable_resize()->set_width(width);
    request.mutable_resize()->set_height(height);
    shim = runtime_->shim;
  }
  if (shim != nullptr) shim->Call(std::move(request), {}, kQuickCall, [](auto) {});
}

void Launch::Unwind() {
  while (!undo_.empty()) {
    undo_.back()();
    undo_.pop_back();
  }
}

}  // namespace

void EngineImpl::Start(node::v1::StartRequest request, Done<node::v1::StartResponse> done) {
  auto answer = AnswerOnce<node::v1::StartResponse>(std::move(done));
  absl::StatusOr<Snapshot> found = registry_->Find(request.container());
  if (!found.ok()) return answer(found.status());
  std::shared_ptr<Runtime> runtime = RuntimeOf((*found)->container().id());
  absl::Status queued = runtime->operations->Run([this, runtime, answer](Finished finished) {
    auto made_already = [] { return absl::OkStatus(); };
    StartInQueue(runtime, made_already,
                 [this, runtime, answer, finished](absl::StatusOr<Container> started) {
                   if (!started.ok()) {
                     RecordStartFailed(runtime, started.status());
                     answer(started.status());
                   } else {
                     node::v1::StartResponse response;
                     *response.mutable_container() = *std::move(started);
                     answer(std::move(response));
                   }
                   finished();
                 });
  });
  if (!queued.ok()) answer(queued);
}

void EngineImpl::StartInQueue(std::shared_ptr<Runtime> runtime,
                              const std::function<absl::Status()>& make_files, ContainerDone done) {
  auto launch = std::make_shared<Launch>(this, runtime);
  auto fail = [this, launch, runtime, done](const absl::Status& why) {
    launch->Unwind();
    Snapshot snapshot = registry_->Get(runtime->id);
    std::string name = snapshot == nullptr ? runtime->id : snapshot->container().name();
    done(Annotate(why, absl::StrCat("start container ", name)));
  };
  auto prepare = [&]() -> absl::Status {
    RETURN_IF_ERROR(launch->CheckStartable());
    // First, because it comes up on another processor beside all that follows.
    RETURN_IF_ERROR(launch->StartSupervisor());
    RETURN_IF_ERROR(make_files());
    RETURN_IF_ERROR(launch->RecordStarting());
    RETURN_IF_ERROR(launch->CompilePlan());
    RETURN_IF_ERROR(launch->MakeGroup());
    launch->PassAttachments();
    return launch->SendPlan([this, launch, done, fail](absl::StatusOr<ShimClient::Answer> answer) {
      // Answers come on the loop's thread, which must not wait for the disk.
      auto shared = std::make_shared<absl::StatusOr<ShimClient::Answer>>(std::move(answer));
      SubmitAlways([launch, done, fail, shared] {
        absl::StatusOr<Container> started = launch->RecordRunning(std::move(*shared));
        if (!started.ok()) return fail(started.status());
        done(std::move(started));
      });
    });
  };
  if (absl::Status prepared = prepare(); !prepared.ok()) fail(prepared);
}

}  // namespace noded
