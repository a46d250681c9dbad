// The engine's dealings with a supervisor as a process: started, connected, ended.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/engine_impl.h"
#include "node/record_changes.h"

namespace noded {
namespace {

constexpr absl::Duration kKilledBound = absl::Seconds(2);
// Longer than a supervisor drains what an escaped process holds open.
constexpr absl::Duration kDrainBound = absl::Seconds(3);

// Whether it has ended within the time.
bool AwaitEndBlocking(const Pidfd& process, absl::Duration bound) {
  pollfd entry{.fd = process.get(), .events = POLLIN, .revents = 0};
  int ready;
  do {
    ready = poll(&entry, 1, static_cast<int>(absl::ToInt64Milliseconds(bound)));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

absl::Status RemoveFile(int dir, const std::string& name) {
  if (unlinkat(dir, name.c_str(), 0) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, absl::StrCat("remove \"", name, "\""));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EngineImpl::FreeSupervisor> EngineImpl::SpawnSupervisor() {
  FreeSupervisor free;
  pid_t pid;
  {
    absl::MutexLock lock(&children_mutex_);
    ASSIGN_OR_RETURN(SpawnedShim shim, SpawnShim(options_.shim_path));
    pid = shim.pid;
    free.process = std::make_shared<const Pidfd>(std::move(shim.process));
    free.connection = std::move(shim.connection);
    children_.insert(pid);
  }
  AwaitEnd(free.process, absl::InfiniteDuration(), [this, process = free.process, pid](bool) {
    process->TryWait().IgnoreError();
    absl::MutexLock lock(&children_mutex_);
    children_.erase(pid);
  });
  // A refused one leaves with its connection.
  if (options_.place_supervisor) RETURN_IF_ERROR(options_.place_supervisor(pid));
  return free;
}

absl::StatusOr<EngineImpl::FreeSupervisor> EngineImpl::TakeSupervisor() {
  std::optional<FreeSupervisor> spare;
  {
    absl::MutexLock lock(&spare_mutex_);
    spare.swap(spare_);
  }
  // Somebody may have killed it meanwhile.
  if (spare && !spare->process->Ended()) return *std::move(spare);
  return SpawnSupervisor();
}

void EngineImpl::KeepSpareSupervisor() {
  {
    absl::MutexLock lock(&spare_mutex_);
    if (spare_ || spare_comes_) return;
    spare_comes_ = true;
  }
  // A failure is told by the start that then has to spawn for itself.
  absl::StatusOr<FreeSupervisor> spare = SpawnSupervisor();
  absl::MutexLock lock(&spare_mutex_);
  spare_comes_ = false;
  if (spare.ok()) spare_ = *std::move(spare);
}

absl::Status EngineImpl::StartSupervisor(const std::shared_ptr<Runtime>& runtime) {
  ASSIGN_OR_RETURN(FreeSupervisor supervisor, TakeSupervisor());
  {
    absl::MutexLock lock(&runtime->mutex);
    runtime->shim_process = std::move(supervisor.process);
  }
  ASSIGN_OR_RETURN(std::shared_ptr<ShimClient> shim,
                   UseConnection(loop_.get(), std::move(supervisor.connection), EventsOf(runtime)));
  absl::MutexLock lock(&runtime->mutex);
  runtime->shim = std::move(shim);
  return absl::OkStatus();
}

// Of a new connection, the present one from here.
ShimClient::Events EngineImpl::EventsOf(const std::shared_ptr<Runtime>& runtime) {
  uint64_t connection;
  {
    absl::MutexLock lock(&runtime->mutex);
    connection = ++runtime->connection;
  }
  std::weak_ptr<Runtime> weak = runtime;
  // All by way of the container's queue: an exit that is told before its start was recorded waits
  // until it is.
  ShimClient::Events events;
  events.exited = [this, weak](const node::shim::v1::ExitRecord& exit) {
    if (auto runtime = weak.lock()) {
      runtime->operations->RunAlways([this, runtime, exit](Finished finished) {
        HandleExited(runtime, exit);
        finished();
      });
    }
  };
  events.exec_exited = [this, weak](const node::shim::v1::ExecState& state) {
    if (auto runtime = weak.lock()) HandleExecExited(runtime, state);
  };
  events.disconnected = [this, weak, connection] {
    if (auto runtime = weak.lock()) {
      runtime->operations->RunAlways([this, runtime, connection](Finished finished) {
        HandleLost(runtime, connection, finished);
      });
    }
  };
  return events;
}

absl::Status EngineImpl::Connect(const std::shared_ptr<Runtime>& runtime) {
  ASSIGN_OR_RETURN(std::shared_ptr<ShimClient> shim,
                   ConnectShim(loop_.get(), sockets_dir_.get(), runtime->id, EventsOf(runtime)));
  std::shared_ptr<ShimClient> old;  // destroyed after the lock is released
  absl::MutexLock lock(&runtime->mutex);
  old = std::exchange(runtime->shim, std::move(shim));
  return absl::OkStatus();
}

void EngineImpl::RetireSupervisor(const std::shared_ptr<Runtime>& runtime, absl::Duration grace) {
  std::shared_ptr<ShimClient> shim;
  std::shared_ptr<const Pidfd> process, init;
  {
    absl::MutexLock lock(&runtime->mutex);
    ++runtime->connection;  // its end is expected
    shim = std::move(runtime->shim);
    process = std::move(runtime->shim_process);
    init = std::move(runtime->init);
  }
  if (process != nullptr && !AwaitEndBlocking(*process, grace)) {
    process->Signal(SIGKILL).IgnoreError();
    if (!AwaitEndBlocking(*process, kKilledBound)) {
      Report(absl::StrCat("supervisor of ", runtime->id, " does not end though it was killed"));
    }
  }
  // With its supervisor gone init is our child, if it ever was there.
  if (init != nullptr) init->TryWait().IgnoreError();
  RemoveFile(sockets_dir_.get(), ShimSocketName(runtime->id)).IgnoreError();
}

absl::Status EngineImpl::ForgetRun(const std::shared_ptr<Runtime>& runtime) {
  RetireSupervisor(runtime, kDrainBound);
  std::string directory = store_->ContainerDirectory(runtime->id);
  RETURN_IF_ERROR(RemoveFile(AT_FDCWD, directory + "/pid"));
  return RemoveFile(AT_FDCWD, directory + "/exit");
}

void EngineImpl::RecordStartFailed(const std::shared_ptr<Runtime>& runtime,
                                   const absl::Status& why) {
  absl::StatusOr<Snapshot> failed = registry_->Change(
      runtime->id, node::v1::CONTAINER_EVENT_TYPE_EXITED,
      [&why](ContainerRecord& record) {
        // A start that was refused has changed nothing.
        if (record.container().state() != node::v1::CONTAINER_STATE_STARTING) {
          return WrongState(record.container());
        }
        MarkStartFailed(record, std::string(why.message()));
        return absl::OkStatus();
      },
      Saving::kIfPossible);
  if (failed.ok()) AutoRemove(runtime, **failed);
}

}  // namespace noded
