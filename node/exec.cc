// Exec: a process run in a running container.
#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/exec_session.h"
#include "node/launch_inputs.h"
#include "node/random_id.h"
#include "node/record_changes.h"

namespace noded {

using node::shim::v1::ExecState;
using node::v1::ExecStart;

namespace {

constexpr absl::Duration kTermToKill = absl::Seconds(2);
// A century; what is more would not fit into a clock's nanoseconds.
constexpr absl::Duration kLongestTimeLimit = absl::Hours(24 * 36500);
// A pipe that holds as much as the largest message needs a fourth of the wake-ups.
constexpr int kPipeBytes = 1 << 20;

absl::StatusOr<Pipe> MakeStream() {
  ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  // May be refused (the user's pages for pipes are used up): the default size works too.
  fcntl(pipe.reader.get(), F_SETPIPE_SZ, kPipeBytes);
  return pipe;
}

// An exec on its way to the supervisor: what it is, and both sides' ends of its streams.
struct Preparation {
  std::shared_ptr<Runtime> runtime;
  std::string exec_id;
  ExecStart start;
  node::shim::v1::ExecPlan plan;
  cgroup::AttachFds attach;
  Pipe input, output, error;

  bool terminal() const { return start.process().tty() && !start.detach(); }
};
using PreparationPtr = std::shared_ptr<Preparation>;

// In milliseconds, rounded up; 0 is none.
absl::StatusOr<int64_t> TimeLimitOf(const ExecStart& start) {
  if (!start.has_time_limit()) return 0;
  const absl::Duration limit =
      absl::Seconds(start.time_limit().seconds()) + absl::Nanoseconds(start.time_limit().nanos());
  if (limit <= absl::ZeroDuration()) {
    return InvalidField("start.time_limit", "must be more than 0 s");
  }
  return absl::ToInt64Milliseconds(
      absl::Ceil(std::min(limit, kLongestTimeLimit), absl::Milliseconds(1)));
}

absl::StatusOr<PreparationPtr> Prepare(EngineImpl* engine, ExecStart start) {
  auto prepared = std::make_shared<Preparation>();
  prepared->start = std::move(start);
  const ExecStart& wanted = prepared->start;
  RETURN_IF_ERROR(launch::ValidateProcess(wanted.process(), "start.process"));
  ASSIGN_OR_RETURN(int64_t time_limit_ms, TimeLimitOf(wanted));
  ASSIGN_OR_RETURN(Snapshot snapshot, engine->registry()->Find(wanted.container()));
  const node::v1::Container& container = snapshot->container();
  if (container.state() != node::v1::CONTAINER_STATE_RUNNING) return WrongState(container);
  prepared->runtime = engine->RuntimeOf(container.id());
  ASSIGN_OR_RETURN(prepared->exec_id, RandomId());
  ASSIGN_OR_RETURN(prepared->plan,
                   launch::CompileExecPlan(
                       container.spec(), wanted.process(), prepared->exec_id, wanted.detach(),
                       engine->host(), HostnameInside(engine, container.spec(), container.id())));
  prepared->plan.set_time_limit_ms(time_limit_ms);
  std::shared_ptr<SharedGroup> group = prepared->runtime->Group();
  if (group == nullptr) return SupervisorLost();
  ASSIGN_OR_RETURN(prepared->attach, group->OpenAttach());
  if (wanted.detach() || wanted.process().tty()) return prepared;
  if (wanted.process().stdin()) {
    ASSIGN_OR_RETURN(prepared->input, MakeStream());
  }
  ASSIGN_OR_RETURN(prepared->output, MakeStream());
  ASSIGN_OR_RETURN(prepared->error, MakeStream());
  return prepared;
}

absl::Status SendExec(EngineImpl* engine, const Preparation& prepared,
                      ShimClient::Answered answered) {
  ASSIGN_OR_RETURN(UniqueFd plan, SealedMemfd("exec-plan", prepared.plan.SerializeAsString()));
  std::vector<int> fds = {plan.get()};
  node::shim::v1::Request request;
  node::shim::v1::Exec& exec = *request.mutable_exec();
  AddAttachFds(prepared.attach, exec, fds);
  auto add = [&fds](const UniqueFd& fd) {
    fds.push_back(fd.get());
    return static_cast<uint32_t>(fds.size() - 1);
  };
  if (prepared.input.reader) exec.set_stdin(add(prepared.input.reader));
  if (prepared.output.writer) exec.set_stdout(add(prepared.output.writer));
  if (prepared.error.writer) exec.set_stderr(add(prepared.error.writer));
  std::shared_ptr<ShimClient> shim = prepared.runtime->Shim();
  if (shim == nullptr) return SupervisorLost();
  shim->Call(std::move(request), fds, engine->options().start_timeout, std::move(answered));
  return absl::OkStatus();
}

// noded's ends, ready for the loop.
absl::StatusOr<ExecSession::Streams> StreamsOf(EngineImpl* engine, Preparation& prepared,
                                               ShimClient::Answer& answer) {
  ExecSession::Streams streams;
  auto open = [engine](UniqueFd fd, StreamEnd& end) -> absl::Status {
    if (!fd) return absl::OkStatus();
    RETURN_IF_ERROR(SetNonblocking(fd.get()));
    end = StreamEnd(engine->loop(), std::move(fd));
    return absl::OkStatus();
  };
  if (prepared.terminal()) {
    if (answer.fds.empty()) return absl::InternalError("the supervisor sent no terminal");
    streams.terminal = true;
    // A second descriptor, because an epoll watch is of one and each direction has its own.
    UniqueFd copy(fcntl(answer.fds[0].get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return ErrnoStatus(errno, "copy terminal");
    RETURN_IF_ERROR(open(std::move(copy), streams.input));
    RETURN_IF_ERROR(open(std::move(answer.fds[0]), streams.output));
    return streams;
  }
  RETURN_IF_ERROR(open(std::move(prepared.input.writer), streams.input));
  RETURN_IF_ERROR(open(std::move(prepared.output.reader), streams.output));
  RETURN_IF_ERROR(open(std::move(prepared.error.reader), streams.error));
  return streams;
}

void CloseOtherEnds(Preparation& prepared) {
  prepared.input.reader.Reset();
  prepared.output.writer.Reset();
  prepared.error.writer.Reset();
  prepared.attach = {};
}

void Forget(const std::shared_ptr<Runtime>& runtime, const std::string& exec_id) {
  std::shared_ptr<ShimClient> shim = runtime->Shim();
  if (shim == nullptr) return;
  node::shim::v1::Request request;
  request.mutable_forget()->add_exec_ids(exec_id);
  shim->Tell(std::move(request), {});
}

void EraseSession(const std::shared_ptr<Runtime>& runtime, const std::string& exec_id) {
  std::shared_ptr<ExecSession> erased;  // destroyed after the lock is released
  absl::MutexLock lock(&runtime->mutex);
  auto found = runtime->execs.find(exec_id);
  if (found == runtime->execs.end()) return;
  erased = std::move(found->second);
  runtime->execs.erase(found);
}

void NoLongerStarting(Runtime& runtime) {
  absl::MutexLock lock(&runtime.mutex);
  --runtime.starting_execs;
}

// From here on a pause waits for its process to be made. One that came before refuses it.
absl::Status ListExec(EngineImpl* engine, const std::shared_ptr<Runtime>& runtime,
                      const std::string& exec_id, const std::shared_ptr<ExecSession>& session) {
  bool pausing;
  {
    absl::MutexLock lock(&runtime->mutex);
    pausing = runtime->pausing;
    if (!pausing) {
      ++runtime->starting_execs;
      runtime->execs.emplace(exec_id, session);
    }
  }
  // After the count, because a pause may have been over between the first look and that.
  Snapshot present = engine->registry()->Get(runtime->id);
  absl::Status refused;
  if (present == nullptr) {
    refused = ContainerGone();
  } else if (pausing || present->container().state() != node::v1::CONTAINER_STATE_RUNNING) {
    node::v1::Container container = present->container();
    if (pausing) container.set_state(node::v1::CONTAINER_STATE_PAUSED);
    refused = WrongState(container);
  }
  if (!refused.ok() && !pausing) {
    NoLongerStarting(*runtime);
    EraseSession(runtime, exec_id);
  }
  return refused;
}

}  // namespace

std::shared_ptr<Engine::ExecStream> EngineImpl::Exec() {
  return std::make_shared<ExecSession>(this);
}

void EngineImpl::BeginExec(std::shared_ptr<ExecSession> session, ExecStart start) {
  absl::Status submitted = Submit([this, session, start = std::move(start)]() mutable {
    absl::StatusOr<PreparationPtr> prepared = Prepare(this, std::move(start));
    if (!prepared.ok()) return session->Failed(prepared.status());
    PreparationPtr exec = *prepared;
    // Before it can end, so that its end finds it.
    if (absl::Status listed = ListExec(this, exec->runtime, exec->exec_id, session); !listed.ok()) {
      return session->Failed(listed);
    }
    auto answered = [this, session, exec](absl::StatusOr<ShimClient::Answer> answer) {
      NoLongerStarting(*exec->runtime);
      FinishExec(session, exec->runtime, exec->exec_id, [&]() -> absl::Status {
        RETURN_IF_ERROR(answer.status());
        ASSIGN_OR_RETURN(ExecSession::Streams streams, StreamsOf(this, *exec, *answer));
        session->Started(
            {exec->runtime, exec->exec_id, answer->reply.execed().pid(), exec->start.detach()},
            std::move(streams));
        return absl::OkStatus();
      }());
    };
    absl::Status sent = SendExec(this, *exec, answered);
    // The process's ends are with the supervisor now; kept here they would never come to an end.
    CloseOtherEnds(*exec);
    if (!sent.ok()) {
      NoLongerStarting(*exec->runtime);
      EraseSession(exec->runtime, exec->exec_id);
      session->Failed(sent);
    }
  });
  if (!submitted.ok()) session->Failed(submitted);
}

// On the loop's thread, before any event that comes after the answer.
void EngineImpl::FinishExec(const std::shared_ptr<ExecSession>& session,
                            const std::shared_ptr<Runtime>& runtime, const std::string& exec_id,
                            absl::Status started) {
  if (!started.ok()) {
    EraseSession(runtime, exec_id);
    // Too late or half done: whatever came to run is not wanted.
    if (!ReasonOf(started).has_value()) SignalExec(runtime, exec_id, SIGKILL);
    return session->Failed(Annotate(started, "exec"));
  }
  runtime->operations->RunAlways([this, runtime, exec_id](Finished finished) {
    registry_
        ->Change(runtime->id, node::v1::CONTAINER_EVENT_TYPE_EXEC_STARTED,
                 [&](ContainerRecord& record) {
                   if (!HasProcess(record.container().state())) {
                     return WrongState(record.container());
                   }
                   MarkExecStarted(record, exec_id);
                   return absl::OkStatus();
                 })
        .status()
        .IgnoreError();
    finished();
  });
}

void EngineImpl::HandleExecExited(const std::shared_ptr<Runtime>& runtime, const ExecState& state) {
  std::shared_ptr<ExecSession> session;
  {
    absl::MutexLock lock(&runtime->mutex);
    auto found = runtime->execs.find(state.exec_id());
    if (found != runtime->execs.end()) session = found->second;
  }
  EraseSession(runtime, state.exec_id());
  if (session != nullptr) session->Exited(state);
  runtime->operations->RunAlways([this, runtime, id = state.exec_id()](Finished finished) {
    registry_
        ->Change(runtime->id, node::v1::CONTAINER_EVENT_TYPE_EXEC_EXITED,
                 [&](ContainerRecord& record) {
                   MarkExecEnded(record, id);
                   return absl::OkStatus();
                 })
        .status()
        .IgnoreError();
    Forget(runtime, id);
    finished();
  });
}

void EngineImpl::AbandonExecs(const std::shared_ptr<Runtime>& runtime) {
  std::map<std::string, std::shared_ptr<ExecSession>> execs;
  {
    absl::MutexLock lock(&runtime->mutex);
    execs.swap(runtime->execs);
  }
  for (const auto& [exec_id, session] : execs) {
    ExecState unknown;
    unknown.set_exec_id(exec_id);
    session->Exited(unknown);
  }
}

void EngineImpl::SignalExec(const std::shared_ptr<Runtime>& runtime, const std::string& exec_id,
                            int signal) {
  std::shared_ptr<ShimClient> shim = runtime->Shim();
  if (shim == nullptr) return;
  node::shim::v1::Request request;
  request.mutable_signal()->set_exec_id(exec_id);
  request.mutable_signal()->set_signal(signal);
  // That it has just ended is no error; its end is told anyway.
  shim->Tell(std::move(request), {});
}

void EngineImpl::ResizeExec(const std::shared_ptr<Runtime>& runtime, const std::string& exec_id,
                            const node::v1::TerminalSize& size) {
  std::shared_ptr<ShimClient> shim = runtime->Shim();
  if (shim == nullptr) return;
  node::shim::v1::Request request;
  request.mutable_resize()->set_exec_id(exec_id);
  request.mutable_resize()->set_width(size.width());
  request.mutable_resize()->set_height(size.height());
  shim->Tell(std::move(request), {});
}

void EngineImpl::EndExec(const std::shared_ptr<Runtime>& runtime, const std::string& exec_id) {
  SignalExec(runtime, exec_id, SIGTERM);
  std::weak_ptr<Runtime> weak = runtime;
  loop_->RunAfter(kTermToKill, [this, weak, exec_id] {
    if (auto runtime = weak.lock()) SignalExec(runtime, exec_id, SIGKILL);
  });
}

}  // namespace noded
