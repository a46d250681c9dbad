// Supervisor, the half that faces noded: requests in, answers out.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "node/base/file.h"
#include "node/base/pidfd.h"
#include "node/base/syscalls.h"
#include "node/shim/supervisor.h"
#include "node/shim/terminal.h"

namespace noded::shim {
namespace {

constexpr uint32_t kProtocolVersion = 1;
constexpr off_t kMaxPlanBytes = 16 << 20;
constexpr size_t kMaxConnections = 32;
// Descriptors of a Launch besides the plan.
constexpr size_t kListenerFd = 1;
constexpr size_t kDirectoryFd = 2;
constexpr size_t kLogFd = 3;
// Running or not forgotten; more would not fit into one State.
constexpr size_t kMaxExecs = 1024;

pb::Failure BadRequest(int error, std::string object, std::string detail = {}) {
  return Fail(pb::FAILURE_STEP_REQUEST, error, std::move(object), std::move(detail));
}

// Descriptor 0 of a request: a memfd with the plan.
template <typename Plan>
MaybeFailure ReadPlan(const std::vector<UniqueFd>& fds, Plan* plan) {
  struct stat info;
  if (fds.empty() || fstat(fds[0].get(), &info) != 0) return BadRequest(EBADF, "plan");
  if (info.st_size > kMaxPlanBytes) return BadRequest(EFBIG, "plan");
  absl::StatusOr<std::string> bytes = ReadHeld(fds[0].get(), kMaxPlanBytes);
  if (!bytes.ok() || !plan->ParseFromString(*bytes)) return BadRequest(EBADMSG, "plan");
  if (plan->version() != kProtocolVersion) {
    return BadRequest(EPROTO, "plan", "of version " + std::to_string(plan->version()));
  }
  return std::nullopt;
}

// Indexes of a request as borrowed descriptors.
class Indexed {
 public:
  explicit Indexed(const std::vector<UniqueFd>& fds) : fds_(fds) {}
  int Get(uint32_t index) {
    if (index < fds_.size()) return fds_[index].get();
    missing_ = true;
    return -1;
  }
  bool missing() const { return missing_; }

 private:
  const std::vector<UniqueFd>& fds_;
  bool missing_ = false;
};

template <typename Request>
Placement PlacementOf(const Request& request, Indexed& fds) {
  Placement placement;
  if (request.has_cgroup_directory()) {
    placement.cgroup_directory = fds.Get(request.cgroup_directory());
  }
  for (uint32_t index : request.cgroup_tasks()) placement.cgroup_tasks.push_back(fds.Get(index));
  return placement;
}

}  // namespace

void Supervisor::Accept() {
  UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket || connections_.size() >= kMaxConnections) return;
  AddConnection(std::move(socket));
}

void Supervisor::AddConnection(UniqueFd socket) {
  const uint64_t id = next_connection_++;
  Connection::Callbacks callbacks{
      .on_request =
          [this, id](const pb::Request& request, std::vector<UniqueFd> fds) {
            OnRequest({id, request.id()}, request, std::move(fds));
          },
      .on_closed = [this, id] { OnClosed(id); },
      .on_flushed = [this] { LeaveIfDone(); }};
  connections_[id] = std::make_unique<Connection>(loop_, std::move(socket), std::move(callbacks));
}

void Supervisor::OnClosed(uint64_t connection) {
  connections_.erase(connection);
  if (connections_.empty()) {
    // The terminals of execs were with noded. What holds one here as well is let go, so that its
    // process is hung up on as it would be by a terminal that goes away.
    for (auto& [id, exec] : execs_) {
      if (!exec->state.detached()) exec->terminal.Reset();
    }
    // The placement of a launch will not come any more.
    if (init_ && init_->launch) init_.reset();
  }
  LeaveIfDone();
}

void Supervisor::OnRequest(Caller caller, const pb::Request& request, std::vector<UniqueFd> fds) {
  if (request.version() != kProtocolVersion) {
    AnswerDone(caller,
               BadRequest(EPROTO, "request", "of version " + std::to_string(request.version())));
    return;
  }
  switch (request.kind_case()) {
    case pb::Request::kPlace:
      return Place(request.place(), std::move(fds));
    case pb::Request::kLaunch:
      // Answered when its program has begun, or here.
      if (MaybeFailure failure = Launch(caller, std::move(fds))) {
        AnswerDone(caller, failure);
      }
      return;
    case pb::Request::kExec:
      if (MaybeFailure failure = StartExecution(caller, request.exec(), std::move(fds))) {
        AnswerDone(caller, failure);
      }
      return;
    case pb::Request::kSignal:
      return AnswerDone(caller, Signal(request.signal()));
    case pb::Request::kResize:
      return AnswerDone(caller, Resize(request.resize()));
    case pb::Request::kAttach:
      return AnswerDone(caller, Attach(std::move(fds)));
    case pb::Request::kQuery: {
      pb::Reply reply;
      *reply.mutable_state() = State();
      return Answer(caller, std::move(reply));
    }
    case pb::Request::kForget:
      Forget(request.forget());
      return AnswerDone(caller, std::nullopt);
    case pb::Request::kShutdown:
      return AnswerDone(caller, Shutdown());
    case pb::Request::KIND_NOT_SET:
      return AnswerDone(caller, BadRequest(EPROTO, "request", "of an unknown kind"));
  }
}

// The container's descriptors of a Launch. A launch that fails later leaves them, to be replaced by
// those of the next try.
MaybeFailure Supervisor::TakeContainer(std::vector<UniqueFd>& fds) {
  if (fds.size() <= kLogFd) return BadRequest(EBADF, "launch");
  if (dup2(fds[kLogFd].get(), STDERR_FILENO) < 0) return BadRequest(errno, "log");
  if (listener_) loop_.Forget(listener_.get());
  listener_ = std::move(fds[kListenerFd]);
  directory_ = std::move(fds[kDirectoryFd]);
  (void)SetNonblocking(listener_.get());
  if (!loop_.Watch(listener_.get(), EPOLLIN, [this](uint32_t) { Accept(); })) {
    return BadRequest(errno, "listener");
  }
  return std::nullopt;
}

MaybeFailure Supervisor::Launch(Caller caller, std::vector<UniqueFd> fds) {
  if (init_) return BadRequest(EALREADY, "launch");
  pb::LaunchPlan plan;
  if (MaybeFailure failure = ReadPlan(fds, &plan)) return failure;
  if (MaybeFailure failure = TakeContainer(fds)) return failure;
  set_title_(plan.container_id());
  if (MaybeFailure failure = output_.OpenLog(directory_.get(), plan.log())) return failure;
  auto init = std::make_unique<Init>();
  init->caller = caller;
  init->launch = std::make_unique<InitLaunch>(std::move(plan), std::move(fds));
  if (MaybeFailure failure = init->launch->Prepare()) {
    output_.CloseLog();
    return failure;
  }
  init_ = std::move(init);
  return std::nullopt;
}

void Supervisor::Place(const pb::Place& request, std::vector<UniqueFd> fds) {
  // It failed already.
  if (!init_ || !init_->launch) return;
  Init& init = *init_;
  Indexed indexed(fds);
  const Placement placement = PlacementOf(request, indexed);
  MaybeFailure failure = indexed.missing() ? BadRequest(EBADF, "cgroup")
                                           : init.launch->Place(placement, &init.started);
  if (failure) return Failed(init, *failure);
  const pb::LaunchPlan& plan = init.launch->plan();
  init.streams = init.launch->TakeStreams();
  init.terminal = plan.process().tty();
  init.stdin_open = plan.stdin_open();
  init.host_root = HostRootOf(plan);
  init.record.set_shim_pid(getpid());
  init.record.set_pid(init.started.pid);
  init.record.set_start_ticks(ProcessStartTicks(init.started.pid).value_or(0));
  attachments_.EndInputWithFirst(plan.stdin_once());
  init.launch.reset();
  WatchHandshake(init);
}

MaybeFailure Supervisor::StartExecution(Caller caller, const pb::Exec& request,
                                        std::vector<UniqueFd> fds) {
  pb::ExecPlan plan;
  if (MaybeFailure failure = ReadPlan(fds, &plan)) return failure;
  if (!init_ || !init_->running || init_->wait_status) {
    return Fail(pb::FAILURE_STEP_NOT_RUNNING, 0, "container");
  }
  if (execs_.count(plan.exec_id()) > 0) return BadRequest(EEXIST, plan.exec_id());
  if (execs_.size() >= kMaxExecs) return BadRequest(EAGAIN, "exec", "of too many at once");
  Indexed indexed(fds);
  const Placement placement = PlacementOf(request, indexed);
  ExecStreams streams;
  if (request.has_stdin()) streams.stdio[0] = indexed.Get(request.stdin());
  if (request.has_stdout()) streams.stdio[1] = indexed.Get(request.stdout());
  if (request.has_stderr()) streams.stdio[2] = indexed.Get(request.stderr());
  if (indexed.missing()) return BadRequest(EBADF, "exec");
  for (int fd : streams.stdio) GiveToHostRoot(fd, init_->host_root);
  auto exec = std::make_unique<Exec>();
  if (MaybeFailure failure = StartExec(plan, init_->started.pidfd, init_->started.pid, placement,
                                       streams, &exec->started)) {
    return failure;
  }
  exec->caller = caller;
  exec->state.set_exec_id(plan.exec_id());
  exec->state.set_pid(exec->started.pid);
  exec->state.set_detached(plan.detached());
  exec->time_limit = std::chrono::milliseconds(plan.time_limit_ms());
  WatchHandshake(*exec);
  execs_[plan.exec_id()] = std::move(exec);
  return std::nullopt;
}

MaybeFailure Supervisor::Signal(const pb::Signal& request) {
  Process* process = nullptr;
  if (request.exec_id().empty()) {
    process = init_.get();
  } else if (auto found = execs_.find(request.exec_id()); found != execs_.end()) {
    process = found->second.get();
  }
  // One that is still on its way, perhaps for good (a mount that hangs), takes SIGKILL alone: its
  // other signals are for the program that it is not yet.
  if (process == nullptr || process->wait_status ||
      (!process->running && request.signal() != SIGKILL)) {
    return Fail(pb::FAILURE_STEP_NOT_RUNNING, ESRCH, request.exec_id());
  }
  const UniqueFd& main_process = process->started.handshake.main_process;
  const int target = main_process ? main_process.get() : process->started.pidfd.get();
  if (PidfdSendSignal(target, request.signal()) == 0) return std::nullopt;
  const bool gone = errno == ESRCH;
  return Fail(gone ? pb::FAILURE_STEP_NOT_RUNNING : pb::FAILURE_STEP_REQUEST, errno, "signal",
              std::to_string(request.signal()));
}

MaybeFailure Supervisor::Resize(const pb::Resize& request) {
  int terminal = output_.terminal();
  if (!request.exec_id().empty()) {
    auto found = execs_.find(request.exec_id());
    terminal = found == execs_.end() ? -1 : found->second->terminal.get();
  }
  if (terminal < 0) return BadRequest(ENOTTY, "resize", request.exec_id());
  if (!ResizeTerminal(terminal, request.width(), request.height())) {
    return Fail(pb::FAILURE_STEP_TERMINAL, errno, "resize");
  }
  return std::nullopt;
}

MaybeFailure Supervisor::Attach(std::vector<UniqueFd> fds) {
  if (fds.empty()) return BadRequest(EBADF, "attach");
  if (!attachments_.Add(std::move(fds[0])))
    return BadRequest(EAGAIN, "attach", "of too many at once");
  return std::nullopt;
}

void Supervisor::Forget(const pb::Forget& request) {
  for (const std::string& id : request.exec_ids()) {
    auto found = execs_.find(id);
    if (found != execs_.end() && found->second->wait_status) execs_.erase(found);
  }
}

MaybeFailure Supervisor::Shutdown() {
  if (init_ && !init_->complete) return BadRequest(EBUSY, "shutdown", "while the container runs");
  // After the answer has gone.
  loop_.After(std::chrono::milliseconds(0), [this] { loop_.Stop(); });
  return std::nullopt;
}

pb::State Supervisor::State() const {
  pb::State state;
  if (init_ && init_->running) {
    *state.mutable_running() = init_->record;
    if (init_->complete) *state.mutable_exited() = init_->exit;
  }
  for (const auto& [id, exec] : execs_) {
    if (exec->running) *state.add_execs() = exec->state;
  }
  return state;
}

void Supervisor::Answer(Caller caller, pb::Reply reply, int fd) {
  auto found = connections_.find(caller.connection);
  if (found == connections_.end()) return;
  pb::Message message;
  reply.set_id(caller.request);
  *message.mutable_reply() = std::move(reply);
  found->second->Send(message, fd);
}

void Supervisor::AnswerDone(Caller caller, const MaybeFailure& failure) {
  pb::Reply reply;
  if (failure) {
    *reply.mutable_failure() = *failure;
  } else {
    reply.mutable_done();
  }
  Answer(caller, std::move(reply));
}

void Supervisor::Broadcast(const pb::Message& message) {
  for (auto& [id, connection] : connections_) connection->Send(message);
}

}  // namespace noded::shim
