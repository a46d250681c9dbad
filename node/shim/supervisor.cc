#include "node/shim/supervisor.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <ctime>
#include <utility>

#include "node/base/file.h"

namespace noded::shim {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kExitRetry{1000};
// How long the last events and frames wait for those who do not read.
constexpr milliseconds kLinger{5000};

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * int64_t{1000000000} + now.tv_nsec;
}

template <typename Record>
void SetStatus(int wait_status, Record* record) {
  if (WIFEXITED(wait_status)) {
    record->set_code(WEXITSTATUS(wait_status));
  } else {
    record->set_signal(WTERMSIG(wait_status));
  }
}

}  // namespace

Supervisor::Supervisor(UniqueFd connection, std::function<void(const std::string& id)> set_title)
    : set_title_(std::move(set_title)),
      input_(loop_),
      attachments_(loop_, input_),
      output_(loop_, attachments_) {
  AddConnection(std::move(connection));
}

Supervisor::~Supervisor() = default;

int Supervisor::Run() {
  sigset_t child_signal;
  sigemptyset(&child_signal);
  sigaddset(&child_signal, SIGCHLD);
  signals_.Reset(signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!loop_.valid() || !signals_ ||
      !loop_.Watch(signals_.get(), EPOLLIN, [this](uint32_t) { ReapChildren(); })) {
    dprintf(STDERR_FILENO, "node-shim: cannot watch its descriptors: %m\n");
    return 1;
  }
  attachments_.OnProgress([this] {
    output_.ContinueIfPossible();
    LeaveIfDone();
  });
  loop_.Run();
  return 0;
}

void Supervisor::ReapChildren() {
  signalfd_siginfo discarded;
  while (read(signals_.get(), &discarded, sizeof(discarded)) > 0) {
  }
  // All, because one signal may stand for many, and also those that are not known: as a subreaper
  // this gets the orphans of a container without a pid namespace of its own.
  while (true) {
    int status;
    const pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
    if (pid <= 0) return;
    Process* process = FindByPid(pid);
    if (process == nullptr) continue;
    process->wait_status = status;
    process->end_time_ns = NowNs();
    process->started.handshake.Receive();
    Settle(*process);
  }
}

Supervisor::Process* Supervisor::FindByPid(pid_t pid) {
  if (init_ && init_->started.pid == pid && !init_->wait_status) return init_.get();
  for (auto& [id, exec] : execs_) {
    if (exec->started.pid == pid && !exec->wait_status) return exec.get();
  }
  return nullptr;
}

void Supervisor::WatchHandshake(Process& process) {
  // The process lives at least as long as the watch: both end in Settle.
  loop_.Watch(process.started.handshake.fd(), EPOLLIN, [this, &process](uint32_t) {
    process.started.handshake.Receive();
    Settle(process);
  });
}

// Takes a process on when something has become known of it: that its program has begun, that it
// failed, that it ended. May destroy it.
void Supervisor::Settle(Process& process) {
  Handshake& handshake = process.started.handshake;
  if (!process.running) {
    if (!handshake.ended()) return;
    loop_.Forget(handshake.fd());
    if (handshake.failure() || !handshake.exec_begun()) {
      if (!process.wait_status) {
        // It ends by itself, or hangs; it is answered for when it has been reaped.
        (void)process.started.pidfd.Signal(SIGKILL);
        return;
      }
      Failed(process, handshake.failure().value_or(Fail(pb::FAILURE_STEP_CHILD_LOST, 0, "child")));
      return;
    }
    process.running = true;
    Begun(process);
  }
  if (process.wait_status) Ended(process);
}

void Supervisor::Begun(Process& process) {
  if (&process == init_.get()) {
    InitBegun();
  } else {
    ExecBegun(static_cast<Exec&>(process));
  }
  // What the plan, the sources and the clone took.
  malloc_trim(0);
}

void Supervisor::Ended(Process& process) {
  if (&process == init_.get()) {
    InitEnded();
  } else {
    ExecEnded(static_cast<Exec&>(process));
  }
}

void Supervisor::Failed(Process& process, const pb::Failure& failure) {
  const Caller caller = process.caller;
  if (&process == init_.get()) {
    output_.CloseLog();
    input_.Reset();
    init_.reset();
  } else {
    execs_.erase(std::string(static_cast<Exec&>(process).state.exec_id()));
  }
  AnswerDone(caller, failure);
  LeaveIfDone();
}

void Supervisor::InitBegun() {
  Init& init = *init_;
  Handshake& handshake = init.started.handshake;
  if (init.terminal) {
    UniqueFd input(init.stdin_open ? fcntl(handshake.terminal.get(), F_DUPFD_CLOEXEC, 0) : -1);
    output_.StartTerminal(std::move(handshake.terminal), std::move(handshake.terminal_slave));
    input_.Start(std::move(input), true);
  } else {
    output_.StartPipes(std::move(init.streams.output), std::move(init.streams.error_output));
    input_.Start(std::move(init.streams.input), false);
  }
  init.record.set_start_time_ns(NowNs());
  absl::Status written = ReplaceFileAt(directory_.get(), "pid", init.record.SerializeAsString());
  // The answer carries the same, and State too.
  if (!written.ok()) {
    dprintf(STDERR_FILENO, "node-shim: cannot write \"pid\": %s\n",
            std::string(written.message()).c_str());
  }
  pb::Reply reply;
  *reply.mutable_launched() = init.record;
  Answer(init.caller, std::move(reply), init.started.pidfd.get());
}

void Supervisor::ExecBegun(Exec& exec) {
  pb::Reply reply;
  *reply.mutable_execed() = exec.state;
  exec.terminal = std::move(exec.started.handshake.terminal);
  // The process has it open itself; the last one to close it shows as a hang-up on the master.
  exec.started.handshake.terminal_slave.Reset();
  if (exec.terminal && exec.state.detached()) {
    (void)SetNonblocking(exec.terminal.get());
    loop_.Watch(exec.terminal.get(), EPOLLIN, [this, &exec](uint32_t) {
      char thrown_away[4096];
      ssize_t got = read(exec.terminal.get(), thrown_away, sizeof(thrown_away));
      if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
      loop_.Forget(exec.terminal.get());
      exec.terminal.Reset();
    });
  }
  Answer(exec.caller, std::move(reply), exec.state.detached() ? -1 : exec.terminal.get());
  if (exec.time_limit > milliseconds(0)) {
    // Cancelled when it has ended, and it is not forgotten before.
    exec.time_limit_timer = loop_.After(exec.time_limit, [this, &exec] { TimeLimitReached(exec); });
  }
}

void Supervisor::TimeLimitReached(Exec& exec) {
  exec.time_limit_timer = 0;
  pb::Signal kill;
  kill.set_exec_id(exec.state.exec_id());
  kill.set_signal(SIGKILL);
  exec.state.set_timed_out(!Signal(kill).has_value());
}

void Supervisor::InitEnded() {
  Init& init = *init_;
  int status = *init.wait_status;
  if (UniqueFd& reaper_status = init.streams.reaper_status) {
    // The main process's own, when the reaper lived to tell.
    (void)SetNonblocking(reaper_status.get());
    int told;
    if (read(reaper_status.get(), &told, sizeof(told)) == sizeof(told)) status = told;
    reaper_status.Reset();
  }
  SetStatus(status, &init.exit);
  init.exit.set_time_ns(init.end_time_ns);
  init.exit.set_pid(init.started.pid);
  input_.Close();
  output_.Drain([this] { OutputDrained(); });
}

void Supervisor::OutputDrained() {
  init_->complete = true;
  WriteExit();
  pb::Message event;
  *event.mutable_exited() = init_->exit;
  Broadcast(event);
  attachments_.End();
  LeaveIfDone();
}

void Supervisor::WriteExit() {
  absl::Status written = ReplaceFileAt(directory_.get(), "exit", init_->exit.SerializeAsString());
  if (written.ok()) {
    exit_written_ = true;
    LeaveIfDone();
    return;
  }
  // Without it the status would be lost with this process, if nobody is connected: so it stays
  // until there is room.
  dprintf(STDERR_FILENO, "node-shim: cannot write \"exit\", trying again: %s\n",
          std::string(written.message()).c_str());
  loop_.After(kExitRetry, [this] { WriteExit(); });
}

void Supervisor::ExecEnded(Exec& exec) {
  exec.state.set_exited(true);
  SetStatus(*exec.wait_status, &exec.state);
  exec.state.set_time_ns(exec.end_time_ns);
  loop_.Cancel(exec.time_limit_timer);
  if (exec.terminal) loop_.Forget(exec.terminal.get());
  exec.terminal.Reset();
  pb::Message event;
  *event.mutable_exec_exited() = exec.state;
  Broadcast(event);
  LeaveIfDone();
}

void Supervisor::LeaveIfDone() {
  if (!init_) {
    if (connections_.empty()) loop_.Stop();
    return;
  }
  if (!init_->complete || !exit_written_) return;
  for (const auto& [id, exec] : execs_) {
    if (!exec->wait_status) return;
  }
  bool flushed = attachments_.flushed();
  for (const auto& [id, connection] : connections_) flushed = flushed && connection->flushed();
  if (flushed) {
    loop_.Stop();
  } else if (!std::exchange(lingering_, true)) {
    loop_.After(kLinger, [this] { loop_.Stop(); });
  }
}

}  // namespace noded::shim
