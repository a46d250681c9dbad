// Stop, Kill and Wait.
#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/util/time_util.h"
#include "node/answer.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/process_table.h"
#include "node/record_changes.h"

namespace noded {

using node::v1::Container;

namespace {

constexpr absl::Duration kDefaultGrace = absl::Seconds(10);
constexpr absl::Duration kMaxGrace = absl::Hours(1);
constexpr absl::Duration kSignalBound = absl::Seconds(10);
// What a SIGKILL has not ended by then waits in the kernel for something that may never come.
constexpr absl::Duration kKillBound = absl::Seconds(30);
// A supervisor tells of an end at once, unless it has much output to write to a slow disk.
constexpr absl::Duration kTellBound = absl::Seconds(15);
constexpr size_t kMostTasksNamed = 5;

bool HasEnded(const Container& container) { return !MayHaveProcess(container); }

bool HasLeftStarting(const Container& container) {
  return container.state() != node::v1::CONTAINER_STATE_STARTING;
}

absl::StatusOr<absl::Duration> GraceOf(const node::v1::StopRequest& request,
                                       const Container& container) {
  const google::protobuf::Duration* given = nullptr;
  if (request.has_grace()) {
    given = &request.grace();
  } else if (container.spec().has_stop_grace()) {
    given = &container.spec().stop_grace();
  }
  if (given == nullptr) return kDefaultGrace;
  absl::Duration grace = absl::Seconds(given->seconds()) + absl::Nanoseconds(given->nanos());
  if (grace < absl::ZeroDuration() || grace > kMaxGrace) {
    return InvalidField("grace", "must be 0 s to 1 h");
  }
  return grace;
}

absl::StatusOr<int> StopSignalOf(const Container& container) {
  if (container.spec().stop_signal().empty()) return SIGTERM;
  return launch::ParseSignal(container.spec().stop_signal(), "spec.stop_signal");
}

// Signals that are sent to end a process; one of them makes its end STOPPED.
bool IsMeantToEnd(int signal, const Container& container) {
  if (signal == SIGKILL || signal == SIGTERM || signal == SIGINT || signal == SIGQUIT) return true;
  absl::StatusOr<int> stop = StopSignalOf(container);
  return stop.ok() && *stop == signal;
}

// "12 (D) 17 (D)": so that a person sees what waits.
std::string DescribeTasks(SharedGroup* group) {
  if (group == nullptr) return "";
  absl::StatusOr<std::vector<pid_t>> pids = group->Pids();
  if (!pids.ok()) return "";
  std::vector<std::string> tasks;
  for (pid_t pid : *pids) {
    if (tasks.size() == kMostTasksNamed) break;
    absl::StatusOr<ProcessStat> stat = ReadProcessStat(pid);
    if (stat.ok()) tasks.push_back(absl::StrCat(pid, " (", std::string(1, stat->state), ")"));
  }
  return absl::StrJoin(tasks, ", ");
}

node::v1::WaitResponse WaitResponseOf(const Container& container) {
  node::v1::WaitResponse response;
  *response.mutable_status() = container.exit_status();
  response.set_reason(container.exit_reason() == node::v1::EXIT_REASON_UNSPECIFIED
                          ? node::v1::EXIT_REASON_UNKNOWN
                          : container.exit_reason());
  if (container.has_finish_time()) *response.mutable_finish_time() = container.finish_time();
  return response;
}

// EXITED, or past it, or so that nobody will ever know.
bool IsOver(const Container& container) {
  return container.state() == node::v1::CONTAINER_STATE_EXITED ||
         container.state() == node::v1::CONTAINER_STATE_REMOVING ||
         (container.state() == node::v1::CONTAINER_STATE_UNKNOWN && container.pid() == 0);
}

}  // namespace

absl::Status EngineImpl::RecordStopRequested(const std::string& id) {
  Snapshot present = registry_->Get(id);
  if (present == nullptr) return ContainerGone();
  if (present->stop_requested()) return absl::OkStatus();
  return registry_
      ->Change(
          id, node::v1::CONTAINER_EVENT_TYPE_UPDATED,
          [](ContainerRecord& record) {
            if (MayHaveProcess(record.container())) record.set_stop_requested(true);
            return absl::OkStatus();
          },
          Saving::kIfPossible)
      .status();
}

void EngineImpl::SignalInit(const std::shared_ptr<Runtime>& runtime, int signal,
                            std::function<void(absl::Status)> done) {
  if (std::shared_ptr<ShimClient> shim = runtime->Shim(); shim != nullptr) {
    node::shim::v1::Request request;
    request.mutable_signal()->set_signal(signal);
    return shim->Call(std::move(request), {}, kSignalBound,
                      [done = std::move(done)](absl::StatusOr<ShimClient::Answer> answer) {
                        done(answer.status());
                      });
  }
  std::shared_ptr<const Pidfd> init = runtime->Init();
  done(init == nullptr ? SupervisorLost() : init->Signal(signal));
}

absl::Status EngineImpl::KillAll(const std::shared_ptr<Runtime>& runtime) {
  std::shared_ptr<SharedGroup> group = runtime->Group();
  absl::Status killed = group == nullptr ? SupervisorLost() : group->Kill();
  // Init too, in case that its group was taken from us or never was.
  std::shared_ptr<const Pidfd> init = runtime->Init();
  if (init != nullptr && init->Signal(SIGKILL).ok()) return absl::OkStatus();
  return killed;
}

void EngineImpl::KillAndAwait(std::shared_ptr<Runtime> runtime,
                              std::function<void(absl::StatusOr<Snapshot>)> done) {
  absl::Status killed = KillAll(runtime);
  Snapshot present = registry_->Get(runtime->id);
  // One that has just ended by itself has nothing left to kill.
  if (!killed.ok() && present != nullptr && MayHaveProcess(present->container())) {
    Report(absl::StrCat("kill ", runtime->id, ": ", killed.message()));
  }
  AwaitState(runtime->id, HasEnded, kTellBound, [=, this](absl::StatusOr<Snapshot> ended) {
    if (!absl::IsDeadlineExceeded(ended.status())) return done(std::move(ended));
    EndStuckSupervisor(*runtime);
    AwaitState(runtime->id, HasEnded, kKillBound - kTellBound, [=](absl::StatusOr<Snapshot> ended) {
      if (!absl::IsDeadlineExceeded(ended.status())) return done(std::move(ended));
      done(absl::DeadlineExceededError(absl::StrCat(
          "the container's tasks did not end within ", absl::FormatDuration(kKillBound),
          " of SIGKILL: ", DescribeTasks(runtime->Group().get()))));
    });
  });
}

// One that does not tell of an init that has ended is stuck or stopped. Its own end is seen by its
// connection, and the container's with it.
void EngineImpl::EndStuckSupervisor(Runtime& runtime) {
  std::shared_ptr<const Pidfd> init, supervisor;
  {
    absl::MutexLock lock(&runtime.mutex);
    init = runtime.init;
    supervisor = runtime.shim_process;
  }
  if (init == nullptr || !init->Ended() || supervisor == nullptr) return;
  Report(absl::StrCat("supervisor of ", runtime.id, " is stuck; it is ended"));
  supervisor->Signal(SIGKILL).IgnoreError();
}

// One Stop from its signal to its answer. The steps follow one another by callbacks, each of which
// keeps it alive; the caller may be long gone.
class StopOperation : public std::enable_shared_from_this<StopOperation> {
 public:
  using Answer = std::function<void(absl::StatusOr<node::v1::StopResponse>)>;
  StopOperation(EngineImpl* engine, std::shared_ptr<Runtime> runtime, absl::Duration grace,
                Answer answer)
      : engine_(engine), runtime_(std::move(runtime)), grace_(grace), answer_(std::move(answer)) {}

  // A container that is just starting can be stopped when it has.
  void AwaitStarted() {
    engine_->AwaitState(runtime_->id, HasLeftStarting, 2 * engine_->options().start_timeout,
                        [self = shared_from_this()](absl::StatusOr<Snapshot> started) {
                          if (!started.ok()) return self->answer_(started.status());
                          self->OnPool([self] { self->Signal(); });
                        });
  }

 private:
  void OnPool(std::function<void()> step) {
    absl::Status submitted = engine_->Submit(std::move(step));
    if (!submitted.ok()) answer_(submitted);
  }

  void Signal() {
    Snapshot present = engine_->registry()->Get(runtime_->id);
    if (present == nullptr) return answer_(ContainerGone());
    const Container& container = present->container();
    if (IsOver(container)) return Ended(present);
    if (HasEnded(container)) return answer_(WrongState(container));
    if (absl::Status recorded = engine_->RecordStopRequested(runtime_->id); !recorded.ok()) {
      return answer_(recorded);
    }
    if (grace_ == absl::ZeroDuration()) return Kill();
    // Frozen it would not see the signal, and the grace would pass in vain.
    if (container.state() == node::v1::CONTAINER_STATE_PAUSED) engine_->ResumeToEnd(runtime_);
    bool first;
    {
      absl::MutexLock lock(&runtime_->mutex);
      first = !std::exchange(runtime_->stop_signal_sent, true);
    }
    absl::StatusOr<int> signal = StopSignalOf(container);
    // It may just have ended, or its supervisor: the wait tells, and after it comes SIGKILL.
    if (first && signal.ok()) engine_->SignalInit(runtime_, *signal, [](absl::Status) {});
    engine_->AwaitState(runtime_->id, HasEnded, grace_,
                        [self = shared_from_this()](absl::StatusOr<Snapshot> ended) {
                          if (!absl::IsDeadlineExceeded(ended.status())) {
                            return self->Ended(std::move(ended));
                          }
                          self->OnPool([self] { self->Kill(); });
                        });
  }

  void Kill() {
    engine_->KillAndAwait(runtime_, [self = shared_from_this()](absl::StatusOr<Snapshot> ended) {
      self->Ended(std::move(ended));
    });
  }

  void Ended(absl::StatusOr<Snapshot> ended) {
    if (!ended.ok()) return answer_(Annotate(ended.status(), "stop container"));
    node::v1::StopResponse response;
    *response.mutable_container() = (*ended)->container();
    answer_(std::move(response));
  }

  EngineImpl* const engine_;
  const std::shared_ptr<Runtime> runtime_;
  const absl::Duration grace_;
  const Answer answer_;
};

void EngineImpl::Stop(node::v1::StopRequest request, Done<node::v1::StopResponse> done) {
  auto answer = AnswerOnce<node::v1::StopResponse>(std::move(done));
  absl::StatusOr<Snapshot> found = registry_->Find(request.container());
  if (!found.ok()) return answer(found.status());
  absl::StatusOr<absl::Duration> grace = GraceOf(request, (*found)->container());
  if (!grace.ok()) return answer(grace.status());
  std::shared_ptr<Runtime> runtime = RuntimeOf((*found)->container().id());
  std::make_shared<StopOperation>(this, std::move(runtime), *grace, answer)->AwaitStarted();
}

void EngineImpl::Kill(node::v1::KillRequest request, Done<node::v1::KillResponse> done) {
  auto answer = AnswerOnce<node::v1::KillResponse>(std::move(done));
  absl::StatusOr<Snapshot> found = registry_->Find(request.container());
  if (!found.ok()) return answer(found.status());
  int signal = SIGKILL;
  if (!request.signal().empty()) {
    absl::StatusOr<int> parsed = launch::ParseSignal(request.signal(), "signal");
    if (!parsed.ok()) return answer(parsed.status());
    signal = *parsed;
  }
  const Container& container = (*found)->container();
  bool has_process = HasProcess(container.state()) ||
                     (container.state() == node::v1::CONTAINER_STATE_UNKNOWN && container.pid());
  if (!has_process) return answer(WrongState(container));
  std::shared_ptr<Runtime> runtime = RuntimeOf(container.id());
  bool to_end = IsMeantToEnd(signal, container);
  bool paused = container.state() == node::v1::CONTAINER_STATE_PAUSED;
  absl::Status submitted = Submit([this, runtime, signal, to_end, paused, answer] {
    if (to_end) {
      absl::Status recorded = RecordStopRequested(runtime->id);
      if (!recorded.ok()) return answer(recorded);
    }
    auto done = [answer](absl::Status sent) {
      if (!sent.ok()) return answer(Annotate(sent, "kill container"));
      answer(node::v1::KillResponse());
    };
    if (signal == SIGKILL) return done(KillAll(runtime));
    SignalInit(runtime, signal, done);
    if (to_end && paused) ResumeToEnd(runtime);
  });
  if (!submitted.ok()) answer(submitted);
}

std::function<void()> EngineImpl::Wait(node::v1::WaitRequest request,
                                       Done<node::v1::WaitResponse> done) {
  auto answer = AnswerOnce<node::v1::WaitResponse>(std::move(done));
  absl::StatusOr<Snapshot> found = registry_->Find(request.container());
  if (!found.ok()) {
    answer(found.status());
    return [] {};
  }
  return AwaitState((*found)->container().id(), IsOver, absl::InfiniteDuration(),
                    [answer](absl::StatusOr<Snapshot> over) {
                      if (!over.ok()) return answer(over.status());
                      answer(WaitResponseOf((*over)->container()));
                    });
}

}  // namespace noded
