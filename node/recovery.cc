// What a new noded does with what the last one left, all containers at the same time:
//
//   record            and                                  becomes
//   removing                                               removed
//   CREATING                                               removed: half made
//   STARTING,RUNNING  its supervisor says it runs          RUNNING, adopted; thawed when frozen
//   PAUSED            the same                             PAUSED when frozen, else RUNNING
//   STARTING,RUNNING  its supervisor or `exit` tell an end EXITED, the true status
//   RUNNING           another boot                         EXITED, HOST_RESTARTED
//   RUNNING           no supervisor, init lives            killed, EXITED, UNKNOWN
//   RUNNING           nothing at all                       EXITED, UNKNOWN
//   STARTING          no launch known                      EXITED, START_FAILED; of RunContainer:
//   removed
//
// Then what no record speaks of is removed: supervisors, their sockets, cgroups.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/blocking_counter.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/exec_session.h"
#include "node/random_id.h"
#include "node/record_changes.h"

namespace noded {

using node::shim::v1::ExecState;
using node::shim::v1::ExitRecord;
using node::shim::v1::RunningRecord;
using node::shim::v1::State;
using node::v1::Container;

namespace {

// A supervisor in the middle of a launch answers when that is over; one whose launch hangs is given
// up.
constexpr absl::Duration kQueryBound = absl::Seconds(10);
constexpr absl::Duration kOrphanBound = absl::Seconds(1);

// The process that a record speaks of, if it is still the same one.
std::shared_ptr<const Pidfd> FindInit(int64_t pid, uint64_t start_ticks) {
  if (pid <= 0) return nullptr;
  absl::StatusOr<Pidfd> init = Pidfd::Open(static_cast<pid_t>(pid));
  if (!init.ok()) return nullptr;
  // After the open, so that the number cannot be given to another in between.
  absl::StatusOr<uint64_t> ticks = ProcessStartTicks(static_cast<pid_t>(pid));
  if (!ticks.ok() || *ticks != start_ticks || init->Ended()) return nullptr;
  return std::make_shared<const Pidfd>(*std::move(init));
}

// Written by a supervisor after a launch: what the record may not have learned any more.
std::optional<RunningRecord> ReadRunningFile(const std::string& directory) {
  absl::StatusOr<std::string> content = ReadFileAt(AT_FDCWD, directory + "/pid");
  RunningRecord running;
  if (!content.ok() || !running.ParseFromString(*content)) return std::nullopt;
  return running;
}

// No file of a container but its record, which recovery itself has written.
bool IsBare(const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = ListDirAt(AT_FDCWD, directory);
  if (!names.ok()) return false;
  return std::all_of(names->begin(), names->end(), [](const std::string& name) {
    return absl::StartsWith(name, "container.json");
  });
}

}  // namespace

void EngineImpl::RecoverAll() {
  std::vector<Snapshot> all = registry_->All();
  absl::BlockingCounter left(static_cast<int>(all.size()));
  for (const Snapshot& snapshot : all) {
    std::shared_ptr<Runtime> runtime = RuntimeOf(snapshot->container().id());
    runtime->operations->RunAlways([this, runtime, &left](Finished finished) {
      Recover(runtime, [finished, &left] {
        finished();
        left.DecrementCount();
      });
    });
  }
  left.Wait();
  RemoveOrphans();
}

void EngineImpl::Recover(std::shared_ptr<Runtime> runtime, Finished finished) {
  Snapshot snapshot = registry_->Get(runtime->id);
  const Container& container = snapshot->container();
  absl::StatusOr<std::shared_ptr<cgroup::Driver>> driver = DriverFor(GroupParentOf(container));
  if (driver.ok()) {
    absl::StatusOr<std::unique_ptr<cgroup::Group>> group = (*driver)->Open(runtime->id);
    if (group.ok()) {
      absl::MutexLock lock(&runtime->mutex);
      runtime->group = std::make_shared<SharedGroup>(*std::move(group));
    }
  }
  if (snapshot->removing() || container.state() == node::v1::CONTAINER_STATE_REMOVING) {
    absl::Status removed = RemoveInQueue(runtime, snapshot->container().spec().auto_remove());
    if (!removed.ok()) Report(absl::StrCat("remove ", runtime->id, ": ", removed.message()));
    return finished();
  }
  switch (container.state()) {
    case node::v1::CONTAINER_STATE_CREATING:
      DismissSupervisor(runtime);
      Discard(runtime);
      return finished();
    case node::v1::CONTAINER_STATE_CREATED:
      DismissSupervisor(runtime);
      if (snapshot->discard_unless_started()) Discard(runtime);
      return finished();
    case node::v1::CONTAINER_STATE_EXITED:
      FinishExit(runtime, snapshot);
      return finished();
    default:
      return Adopt(std::move(runtime), std::move(finished));
  }
}

// One that has nothing to launch leaves when its last connection is closed, and only after a while
// when there was none; one whose container has ended leaves when its work is done.
void EngineImpl::DismissSupervisor(const std::shared_ptr<Runtime>& runtime) {
  Connect(runtime).IgnoreError();
  RetireSupervisor(runtime, absl::ZeroDuration());
}

// The exit was recorded; its cleaning may not have come to its end.
void EngineImpl::FinishExit(const std::shared_ptr<Runtime>& runtime, const Snapshot& snapshot) {
  std::shared_ptr<SharedGroup> group;
  {
    absl::MutexLock lock(&runtime->mutex);
    group = std::move(runtime->group);
  }
  if (group != nullptr) ReleaseGroup(std::move(group), runtime->id);
  DismissSupervisor(runtime);
  AutoRemove(runtime, *snapshot);
}

void EngineImpl::Adopt(std::shared_ptr<Runtime> runtime, Finished finished) {
  if (absl::Status connected = Connect(runtime); !connected.ok()) {
    return NotAdopted(std::move(runtime), std::move(finished));
  }
  node::shim::v1::Request request;
  request.mutable_query();
  auto answered = [=, this](absl::StatusOr<ShimClient::Answer> answer) {
    // On the pool: what follows writes records.
    SubmitAlways(
        [=, this, ok = answer.ok(), state = answer.ok() ? answer->reply.state() : State()] {
          if (ok && state.has_running()) {
            Adopted(runtime, state);
            return finished();
          }
          // In the middle of its launch. Ended before its files are looked at, or it might be
          // launched behind our back.
          RetireSupervisor(runtime, absl::ZeroDuration());
          Snapshot snapshot = registry_->Get(runtime->id);
          if (snapshot->container().state() == node::v1::CONTAINER_STATE_STARTING) {
            NeverStarted(runtime, snapshot);
            return finished();
          }
          NotAdopted(runtime, finished);
        });
  };
  runtime->Shim()->Call(std::move(request), {}, kQueryBound, std::move(answered));
}

void EngineImpl::Adopted(const std::shared_ptr<Runtime>& runtime, const State& state) {
  const RunningRecord& running = state.running();
  std::shared_ptr<const Pidfd> init = FindInit(running.pid(), running.start_ticks());
  absl::StatusOr<Pidfd> shim = Pidfd::Open(running.shim_pid());
  {
    absl::MutexLock lock(&runtime->mutex);
    runtime->init = init;
    if (shim.ok()) runtime->shim_process = std::make_shared<const Pidfd>(*std::move(shim));
  }
  RecordAdopted(runtime, running, state);
  // What was killed while nobody was told.
  if (std::shared_ptr<SharedGroup> group = runtime->Group()) RecordOomKills(runtime, *group);
  for (const ExecState& exec : state.execs()) {
    if (exec.exited()) {
      HandleExecExited(runtime, exec);
    } else if (!exec.detached()) {
      // Its client was connected to the noded that is gone.
      EndExec(runtime, exec.exec_id());
    }
  }
  if (state.has_exited()) return RecordExit(runtime, state.exited(), "");
  SettlePause(runtime);
  SettleLimits(runtime);
}

void EngineImpl::RecordAdopted(const std::shared_ptr<Runtime>& runtime,
                               const RunningRecord& running, const State& state) {
  Snapshot snapshot = registry_->Get(runtime->id);
  bool starting = snapshot->container().state() == node::v1::CONTAINER_STATE_STARTING;
  auto adopt = [&](ContainerRecord& record) {
    Container& container = *record.mutable_container();
    if (starting) MarkRunning(record, running, boot_id_);
    // Of a damaged record nothing is known but what its supervisor tells.
    if (container.state() == node::v1::CONTAINER_STATE_UNKNOWN) {
      container.set_pid(running.pid());
      record.set_boot_id(boot_id_);
      record.set_shim_pid(running.shim_pid());
      record.set_start_ticks(running.start_ticks());
    }
    container.clear_exec_ids();
    for (const ExecState& exec : state.execs()) {
      if (!exec.exited()) MarkExecStarted(record, exec.exec_id());
    }
    return absl::OkStatus();
  };
  bool same = !starting && snapshot->container().pid() == running.pid() &&
              snapshot->container().exec_ids().empty() && state.execs().empty();
  if (same) return;
  absl::Status changed = registry_
                             ->Change(runtime->id,
                                      starting ? node::v1::CONTAINER_EVENT_TYPE_STARTED
                                               : node::v1::CONTAINER_EVENT_TYPE_UPDATED,
                                      adopt, Saving::kIfPossible)
                             .status();
  if (!changed.ok()) Report(absl::StrCat("adopt ", runtime->id, ": ", changed.message()));
}

void EngineImpl::NotAdopted(std::shared_ptr<Runtime> runtime, Finished finished) {
  Snapshot snapshot = registry_->Get(runtime->id);
  const Container& container = snapshot->container();
  absl::StatusOr<ExitRecord> exit = ReadExitFile(runtime->id);
  std::optional<RunningRecord> running = ReadRunningFile(store_->ContainerDirectory(runtime->id));
  // Files of an earlier run were removed before STARTING was written.
  if (container.state() == node::v1::CONTAINER_STATE_STARTING && !running) {
    NeverStarted(runtime, snapshot);
    return finished();
  }
  if (!HasProcess(container.state()) && running) {
    RecordAdopted(runtime, *running, State());
    snapshot = registry_->Get(runtime->id);
  }
  int64_t pid = snapshot->container().pid();
  if (exit.ok() && exit->pid() == pid) {
    RecordExit(runtime, *exit, "");
    RetireSupervisor(runtime, absl::ZeroDuration());
    return finished();
  }
  if (snapshot->boot_id() != boot_id_ && !snapshot->boot_id().empty()) {
    RecordHostRestarted(runtime);
    return finished();
  }
  std::shared_ptr<const Pidfd> init = FindInit(pid, snapshot->start_ticks());
  {
    absl::MutexLock lock(&runtime->mutex);
    runtime->init = init;
  }
  if (!MayHaveProcess(snapshot->container())) {
    // An UNKNOWN one without any trace of a process stays as it is; one without anything else
    // either is a directory whose record had not been written yet.
    if (IsBare(store_->ContainerDirectory(runtime->id))) Discard(runtime);
    return finished();
  }
  EndWithoutSupervisor(std::move(runtime), std::move(init), std::move(finished));
}

void EngineImpl::NeverStarted(const std::shared_ptr<Runtime>& runtime, const Snapshot& snapshot) {
  // A supervisor that hangs in a launch may have made anything; its group holds it.
  KillAll(runtime).IgnoreError();
  RetireSupervisor(runtime, absl::ZeroDuration());
  std::shared_ptr<SharedGroup> group;
  {
    absl::MutexLock lock(&runtime->mutex);
    group = std::move(runtime->group);
  }
  if (group != nullptr) ReleaseGroup(std::move(group), runtime->id);
  if (snapshot->discard_unless_started()) {
    Discard(runtime);
  } else {
    RecordStartFailed(runtime, absl::AbortedError("the agent was restarted during the start"));
  }
}

void EngineImpl::RecordHostRestarted(const std::shared_ptr<Runtime>& runtime) {
  absl::Status changed =
      registry_
          ->Change(
              runtime->id, node::v1::CONTAINER_EVENT_TYPE_EXITED,
              [](ContainerRecord& record) {
                MarkExited(record, UnknownExit(record.container().pid()), "the host was restarted");
                record.mutable_container()->set_exit_reason(node::v1::EXIT_REASON_HOST_RESTARTED);
                return absl::OkStatus();
              },
              Saving::kIfPossible)
          .status();
  if (!changed.ok()) Report(absl::StrCat("recover ", runtime->id, ": ", changed.message()));
  RetireSupervisor(runtime, absl::ZeroDuration());
  FinishExit(runtime, registry_->Get(runtime->id));
}

void EngineImpl::RemoveOrphans() {
  absl::StatusOr<std::vector<std::string>> sockets = ListDirAt(sockets_dir_.get(), ".");
  for (const std::string& name : sockets.ok() ? *sockets : std::vector<std::string>()) {
    absl::string_view id = name;
    if (!absl::ConsumeSuffix(&id, ".sock")) continue;
    if (registry_->Get(std::string(id)) == nullptr) RemoveOrphanSupervisor(std::string(id));
  }
  absl::StatusOr<std::shared_ptr<cgroup::Driver>> driver = DriverFor(options_.cgroup_parent);
  if (!driver.ok()) return;
  absl::StatusOr<std::vector<std::string>> groups = (*driver)->List();
  for (const std::string& name : groups.ok() ? *groups : std::vector<std::string>()) {
    // The supervisors', and those that somebody made for containers to be nested in.
    if (!IsId(name)) continue;
    Snapshot snapshot = registry_->Get(name);
    if (snapshot != nullptr && MayHaveProcess(snapshot->container())) continue;
    absl::StatusOr<std::unique_ptr<cgroup::Group>> group = (*driver)->Open(name);
    if (!group.ok()) continue;
    Report(absl::StrCat("cgroup ", name, " belongs to no running container; it is removed"));
    ReleaseGroup(std::make_shared<SharedGroup>(*std::move(group)), name);
  }
}

// Its record is gone, so the container was removed; its supervisor is ended with what it holds.
void EngineImpl::RemoveOrphanSupervisor(const std::string& id) {
  std::shared_ptr<Runtime> runtime = RuntimeOf(id);
  if (Connect(runtime).ok()) {
    Report(absl::StrCat("supervisor ", id, " belongs to no container; it is ended"));
    node::shim::v1::Request request;
    request.mutable_query();
    absl::BlockingCounter left(1);
    runtime->Shim()->Call(
        std::move(request), {}, kQueryBound, [&](absl::StatusOr<ShimClient::Answer> answer) {
          if (answer.ok() && answer->reply.state().has_running()) {
            const RunningRecord& running = answer->reply.state().running();
            auto init = FindInit(running.pid(), running.start_ticks());
            if (init != nullptr) init->Signal(SIGKILL).IgnoreError();
            absl::StatusOr<Pidfd> shim = Pidfd::Open(running.shim_pid());
            absl::MutexLock lock(&runtime->mutex);
            if (shim.ok()) {
              runtime->shim_process = std::make_shared<const Pidfd>(*std::move(shim));
            }
          }
          left.DecrementCount();
        });
    left.Wait();
  }
  RetireSupervisor(runtime, kOrphanBound);
  DropRuntime(id);
}

}  // namespace noded
