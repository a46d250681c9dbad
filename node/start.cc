// Starting a container: Start, and the second half of RunContainer.
#include <fcntl.h>

#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "node/answer.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/engine_impl.h"
#include "node/kept_limits.h"
#include "node/launch_inputs.h"
#include "node/record_changes.h"

namespace noded {

using node::v1::Container;

namespace {

// One attempt to launch. What is acquired is noted with the way to undo it, and undone in reverse
// when the attempt has failed. The supervisor makes the sources of mounts while the cgroup is made
// here, so its answer, when it is a failure, may come before that is done: Go waits for both.
class Launch : public std::enable_shared_from_this<Launch> {
 public:
  Launch(EngineImpl* engine, std::shared_ptr<Runtime> runtime, std::optional<KeptLimits> kept,
         EngineImpl::ContainerDone done)
      : engine_(engine),
        runtime_(std::move(runtime)),
        done_(std::move(done)),
        kept_(std::move(kept)),
        clock_(engine->start_phases()) {}
  ~Launch() {
    // On its way out noded leaves everything to its successor, which completes or undoes it.
    if (!engine_->closing()) Unwind();
  }

  // On the pool. `make_record` completes what the plan is made of.
  void Go(const std::function<absl::Status()>& make_record);

 private:
  absl::Status Prepare(const std::function<absl::Status()>& make_record);
  absl::Status StartSupervisor();
  absl::Status CompilePlan();
  void PassAttachments();
  absl::Status SendPlan();
  absl::Status MakeGroup(cgroup::Driver& driver);
  absl::Status AskLimits(const cgroup::Driver& driver);
  absl::Status SendPlacement();
  // On the loop's thread.
  void Answered(absl::StatusOr<ShimClient::Answer> answer);
  void Finish(absl::StatusOr<ShimClient::Answer> answer);
  absl::StatusOr<Container> RecordRunning(absl::StatusOr<ShimClient::Answer> answer);
  void ApplySize();
  void Unwind();
  void Fail(const absl::Status& why);

  EngineImpl* const engine_;
  const std::shared_ptr<Runtime> runtime_;
  const EngineImpl::ContainerDone done_;
  std::optional<KeptLimits> kept_;  // of a RunContainer, which has just asked
  std::vector<std::function<void()>> undo_;
  node::v1::ContainerSpec spec_;
  LaunchInputs inputs_;
  node::shim::v1::LaunchPlan plan_;
  cgroup::AttachFds attach_;
  StartClock clock_;  // in Go, then in Finish: never both at a time

  absl::Mutex mutex_;
  enum class Phase {
    kPreparing,
    kPrepared,
    kFailed
  } phase_ ABSL_GUARDED_BY(mutex_) = Phase::kPreparing;
  std::optional<absl::StatusOr<ShimClient::Answer>> answer_ ABSL_GUARDED_BY(mutex_);
};

absl::Status Launch::CompilePlan() {
  Snapshot present = engine_->registry()->Get(runtime_->id);
  if (present == nullptr) return ContainerGone();
  ASSIGN_OR_RETURN(inputs_, ResolveLaunchInputs(engine_, *present));
  ASSIGN_OR_RETURN(plan_, launch::CompileLaunchPlan(spec_, inputs_.inputs));
  return absl::OkStatus();
}

absl::Status Launch::MakeGroup(cgroup::Driver& driver) {
  if (!kept_) RETURN_IF_ERROR(AskLimits(driver));
  ASSIGN_OR_RETURN(std::unique_ptr<cgroup::Group> made, driver.Create(runtime_->id, kept_->limits));
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

// Swap or a disk's scheduler may be another since the container was created.
absl::Status Launch::AskLimits(const cgroup::Driver& driver) {
  ASSIGN_OR_RETURN(kept_, KeepLimits(driver, spec_,
                                     launch::CompileLimits(spec_, inputs_.inputs.devices,
                                                           inputs_.inputs.block_devices)));
  Snapshot present = engine_->registry()->Get(runtime_->id);
  if (present == nullptr) return ContainerGone();
  if (IsTold(*kept_, present->container())) return absl::OkStatus();
  return engine_->registry()
      ->Change(runtime_->id, node::v1::CONTAINER_EVENT_TYPE_UPDATED,
               [this](ContainerRecord& record) {
                 Tell(*kept_, *record.mutable_container());
                 return absl::OkStatus();
               })
      .status();
}

absl::Status Launch::StartSupervisor() {
  undo_.push_back([this] { engine_->RetireSupervisor(runtime_, absl::ZeroDuration()); });
  return engine_->StartSupervisor(runtime_);
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
    shim->Tell(std::move(request), {socket.get()});
  }
}

absl::Status Launch::SendPlan() {
  ASSIGN_OR_RETURN(UniqueFd plan, SealedMemfd("launch-plan", plan_.SerializeAsString()));
  ASSIGN_OR_RETURN(ContainerFds container,
                   OpenContainerFds(runtime_->id, engine_->sockets_dir(),
                                    engine_->store()->ContainerDirectory(runtime_->id)));
  std::vector<int> fds = {plan.get(), container.listener.get(), container.directory.get(),
                          container.log.get()};
  for (const UniqueFd& joined : inputs_.joined) fds.push_back(joined.get());
  node::shim::v1::Request request;
  request.mutable_launch();
  std::shared_ptr<ShimClient> shim = runtime_->Shim();
  if (shim == nullptr) return SupervisorLost();
  shim->Call(std::move(request), fds, engine_->options().start_timeout,
             [self = shared_from_this()](absl::StatusOr<ShimClient::Answer> answer) {
               self->Answered(std::move(answer));
             });
  return absl::OkStatus();
}

absl::Status Launch::SendPlacement() {
  std::vector<int> fds;
  node::shim::v1::Request request;
  AddAttachFds(attach_, *request.mutable_place(), fds);
  std::shared_ptr<ShimClient> shim = runtime_->Shim();
  if (shim == nullptr) return SupervisorLost();
  shim->Tell(std::move(request), fds);
  attach_ = {};
  return absl::OkStatus();
}

absl::Status Launch::Prepare(const std::function<absl::Status()>& make_record) {
  Snapshot present = engine_->registry()->Get(runtime_->id);
  if (present == nullptr) return ContainerGone();
  spec_ = present->container().spec();
  ASSIGN_OR_RETURN(std::shared_ptr<cgroup::Driver> driver,
                   engine_->DriverFor(engine_->CgroupParentOf(spec_)));
  // First, because without a spare it comes up on another processor beside what follows.
  RETURN_IF_ERROR(StartSupervisor());
  clock_.Finish(StartPhase::kSupervisor);
  RETURN_IF_ERROR(make_record());
  clock_.Finish(StartPhase::kFiles);
  RETURN_IF_ERROR(CompilePlan());
  PassAttachments();
  RETURN_IF_ERROR(SendPlan());
  clock_.Finish(StartPhase::kPlan);
  RETURN_IF_ERROR(MakeGroup(*driver));
  RETURN_IF_ERROR(SendPlacement());
  clock_.Finish(StartPhase::kCgroup);
  return absl::OkStatus();
}

void Launch::Go(const std::function<absl::Status()>& make_record) {
  absl::Status prepared = Prepare(make_record);
  std::optional<absl::StatusOr<ShimClient::Answer>> answer;
  {
    absl::MutexLock lock(&mutex_);
    phase_ = prepared.ok() ? Phase::kPrepared : Phase::kFailed;
    answer = std::move(answer_);
  }
  if (!prepared.ok()) {
    Fail(prepared);
  } else if (answer) {
    Finish(*std::move(answer));
  }
}

void Launch::Answered(absl::StatusOr<ShimClient::Answer> answer) {
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ == Phase::kFailed) return;  // the supervisor's end
    if (phase_ == Phase::kPreparing) {
      answer_ = std::move(answer);
      return;
    }
  }
  // The loop's thread must not wait for the disk.
  auto shared = std::make_shared<absl::StatusOr<ShimClient::Answer>>(std::move(answer));
  engine_->SubmitAlways([self = shared_from_this(), shared] { self->Finish(std::move(*shared)); });
}

void Launch::Finish(absl::StatusOr<ShimClient::Answer> answer) {
  if (answer.ok()) clock_.Finish(StartPhase::kAnswer);
  absl::StatusOr<Container> started = RecordRunning(std::move(answer));
  if (!started.ok()) return Fail(started.status());
  clock_.Finish(StartPhase::kRecord);
  done_(std::move(started));
  engine_->registry()->SaveChanged();
  engine_->KeepSpareSupervisor();
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
      // The supervisor has written the same to its file `pid`.
      Saving::kAfterwards);
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
  if (shim != nullptr) shim->Tell(std::move(request), {});
}

void Launch::Unwind() {
  while (!undo_.empty()) {
    undo_.back()();
    undo_.pop_back();
  }
}

void Launch::Fail(const absl::Status& why) {
  Unwind();
  Snapshot snapshot = engine_->registry()->Get(runtime_->id);
  std::string name = snapshot == nullptr ? runtime_->id : snapshot->container().name();
  done_(Annotate(why, absl::StrCat("start container ", name)));
}

}  // namespace

void EngineImpl::Start(node::v1::StartRequest request, Done<node::v1::StartResponse> done) {
  auto answer = AnswerOnce<node::v1::StartResponse>(std::move(done));
  absl::StatusOr<Snapshot> found = registry_->Find(request.container());
  if (!found.ok()) return answer(found.status());
  std::shared_ptr<Runtime> runtime = RuntimeOf((*found)->container().id());
  absl::Status queued = runtime->operations->Run([this, runtime, answer](Finished finished) {
    auto started = [this, runtime, answer, finished](absl::StatusOr<Container> container) {
      if (!container.ok()) {
        RecordStartFailed(runtime, container.status());
        answer(container.status());
      } else {
        node::v1::StartResponse response;
        *response.mutable_container() = *std::move(container);
        answer(std::move(response));
      }
      finished();
    };
    if (absl::Status startable = MakeStartable(runtime); !startable.ok()) return started(startable);
    StartInQueue(
        runtime, [this, runtime] { return RecordStarting(runtime->id); }, std::nullopt, started);
  });
  if (!queued.ok()) answer(queued);
}

absl::Status EngineImpl::MakeStartable(const std::shared_ptr<Runtime>& runtime) {
  Snapshot present = registry_->Get(runtime->id);
  if (present == nullptr) return ContainerGone();
  const Container& container = present->container();
  absl::Status startable = [&] {
    if (container.state() == node::v1::CONTAINER_STATE_CREATED) return absl::OkStatus();
    if (container.state() != node::v1::CONTAINER_STATE_EXITED) return WrongState(container);
    // What an earlier run left, before the record says that another begins, because an `exit` of
    // the old run must not be taken for the new one's.
    return ForgetRun(runtime);
  }();
  return Annotate(startable, absl::StrCat("start container ", container.name()));
}

absl::Status EngineImpl::RecordStarting(const std::string& id) {
  return registry_
      ->Change(id, node::v1::CONTAINER_EVENT_TYPE_UPDATED,
               [this](ContainerRecord& record) {
                 MarkStarting(record);
                 Container& container = *record.mutable_container();
                 // The daemon's parent may be another since the container was created.
                 container.set_cgroup_path(
                     absl::StrCat(CgroupParentOf(container.spec()), "/", container.id()));
                 return absl::OkStatus();
               })
      .status();
}

void EngineImpl::StartInQueue(std::shared_ptr<Runtime> runtime,
                              const std::function<absl::Status()>& make_record,
                              std::optional<KeptLimits> kept, ContainerDone done) {
  std::make_shared<Launch>(this, std::move(runtime), std::move(kept), std::move(done))
      ->Go(make_record);
}

}  // namespace noded
