// The end of a container's run: told by its supervisor, found in its `exit` file, or seen on init
// itself when the supervisor was lost.
#include <google/protobuf/util/time_util.h>
#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/record_changes.h"

namespace noded {

using node::shim::v1::ExitRecord;

namespace {

// init has the parent-death signal and its group was killed.
constexpr absl::Duration kInitEndBound = absl::Seconds(10);
constexpr absl::Duration kSupervisorEndBound = absl::Seconds(5);
constexpr absl::Duration kReapPause = absl::Milliseconds(20);
// Usually the tasks are dead and this takes no time at all.
constexpr absl::Duration kGroupBound = absl::Seconds(1);
constexpr absl::Duration kGroupRetryFirst = absl::Seconds(2);
constexpr absl::Duration kGroupRetryLast = absl::Minutes(10);

}  // namespace

absl::StatusOr<ExitRecord> EngineImpl::ReadExitFile(const std::string& id) {
  std::string path = store_->ContainerDirectory(id) + "/exit";
  ASSIGN_OR_RETURN(std::string content, ReadFileAt(AT_FDCWD, path));
  ExitRecord exit;
  if (!exit.ParseFromString(content)) {
    return absl::DataLossError(absl::StrCat("read \"", path, "\": it is damaged"));
  }
  return exit;
}

void EngineImpl::HandleExited(const std::shared_ptr<Runtime>& runtime, const ExitRecord& exit) {
  RecordExit(runtime, exit, "");
}

void EngineImpl::HandleLost(std::shared_ptr<Runtime> runtime, uint64_t connection,
                            Finished finished) {
  std::shared_ptr<const Pidfd> init;
  {
    absl::MutexLock lock(&runtime->mutex);
    if (runtime->connection != connection) return finished();
    init = runtime->init;
  }
  AbandonExecs(runtime);
  Snapshot snapshot = registry_->Get(runtime->id);
  // The usual case: its work is done.
  if (snapshot == nullptr || !MayHaveProcess(snapshot->container())) {
    RetireSupervisor(runtime, absl::ZeroDuration());
    return finished();
  }
  // Its last act may have been to write this, with the connection gone before the event.
  absl::StatusOr<ExitRecord> written = ReadExitFile(runtime->id);
  if (written.ok() && written->pid() == snapshot->container().pid()) {
    RecordExit(runtime, *written, "");
    RetireSupervisor(runtime, absl::ZeroDuration());
    return finished();
  }
  EndWithoutSupervisor(std::move(runtime), std::move(init), std::move(finished));
}

// Nobody writes the log or holds the streams any more, so the container is ended; how, init itself
// tells when it is our child.
void EngineImpl::EndWithoutSupervisor(std::shared_ptr<Runtime> runtime,
                                      std::shared_ptr<const Pidfd> init, Finished finished) {
  Report(absl::StrCat("supervisor of ", runtime->id, " was lost; its container is ended"));
  KillAll(runtime).IgnoreError();
  auto record = [this, runtime, init, finished](bool) {
    SubmitAlways([this, runtime, init, finished] {
      Snapshot snapshot = registry_->Get(runtime->id);
      if (snapshot == nullptr) return finished();
      ExitRecord exit = UnknownExit(snapshot->container().pid());
      if (init != nullptr) {
        absl::StatusOr<std::optional<ExitStatus>> status = init->TryWait();
        if (status.ok() && status->has_value()) {
          if ((*status)->code) exit.set_code(*(*status)->code);
          if ((*status)->signal) exit.set_signal(*(*status)->signal);
        }
      }
      RecordExit(runtime, exit, "the container's supervisor was lost");
      RetireSupervisor(runtime, absl::ZeroDuration());
      finished();
    });
  };
  std::shared_ptr<const Pidfd> supervisor;
  {
    absl::MutexLock lock(&runtime->mutex);
    supervisor = runtime->shim_process;
  }
  auto await_init = [this, init, record](bool) {
    if (init == nullptr) return record(true);
    AwaitInitEnd(init, absl::Now() + kInitEndBound, record);
  };
  if (supervisor == nullptr) return await_init(true);
  // A process that exits closes its connection first and gives its children away later; only then
  // can init be waited for.
  AwaitEnd(std::move(supervisor), kSupervisorEndBound, await_init);
}

// An init ends when all of its pid namespace have been reaped, and those that its supervisor had
// exec'd have become ours to reap.
void EngineImpl::AwaitInitEnd(std::shared_ptr<const Pidfd> init, absl::Time deadline,
                              std::function<void(bool ended)> done) {
  AwaitEnd(init, kReapPause, [this, init, deadline, done = std::move(done)](bool ended) {
    if (ended || absl::Now() > deadline) return done(ended);
    SubmitAlways([this, init, deadline, done] {
      ReapStrangers();
      AwaitInitEnd(init, deadline, done);
    });
  });
}

void EngineImpl::RecordExit(const std::shared_ptr<Runtime>& runtime, const ExitRecord& exit,
                            const std::string& error) {
  std::shared_ptr<SharedGroup> group;
  {
    absl::MutexLock lock(&runtime->mutex);
    group = std::move(runtime->group);
    // Holds a descriptor of the container's network, and so the network.
    runtime->meter = nullptr;
    runtime->last_sample = nullptr;
  }
  // First, because watchers are told of it by itself, and the reason of the exit depends on it.
  if (group != nullptr) RecordOomKills(runtime, *group);
  absl::StatusOr<Snapshot> exited = registry_->Change(
      runtime->id, node::v1::CONTAINER_EVENT_TYPE_EXITED,
      [&](ContainerRecord& record) {
        // Told twice, or of an earlier run.
        if (!MayHaveProcess(record.container()) || record.container().pid() != exit.pid()) {
          return absl::AlreadyExistsError("recorded already");
        }
        MarkExited(record, exit, error);
        return absl::OkStatus();
      },
      Saving::kIfPossible);
  if (!exited.ok()) {
    absl::MutexLock lock(&runtime->mutex);
    if (runtime->group == nullptr) runtime->group = std::move(group);
    return;
  }
  {
    absl::MutexLock lock(&runtime->mutex);
    runtime->init = nullptr;
    runtime->pending_attachments.clear();
  }
  oom_->Forget(runtime->id);
  // Told first, cleaned after: who waits for the exit need not wait for the removal of groups, and
  // what comes next for this container waits in its queue.
  if (group != nullptr) ReleaseGroup(std::move(group), runtime->id);
  AutoRemove(runtime, **exited);
}

void EngineImpl::AutoRemove(const std::shared_ptr<Runtime>& runtime,
                            const ContainerRecord& exited) {
  if (!exited.container().spec().auto_remove()) return;
  absl::Status removed = RemoveInQueue(runtime, /*anonymous_volumes=*/true);
  if (!removed.ok()) Report(absl::StrCat("remove ", runtime->id, ": ", removed.message()));
}

void EngineImpl::ReleaseGroup(std::shared_ptr<SharedGroup> group, const std::string& id) {
  // Mostly all are dead, and then there is nobody to be killed first.
  if (group->Remove(absl::ZeroDuration()).ok()) return;
  group->Kill().IgnoreError();
  absl::Status removed = group->Remove(kGroupBound);
  if (removed.ok()) return;
  Report(absl::StrCat("cgroup of ", id, " is not removed yet: ", removed.message()));
  RetryRelease(std::move(group), kGroupRetryFirst);
}

// A task in an uninterruptible sleep (a hung network file system) may die hours later. The last try
// given up is made up for by the next start of noded.
void EngineImpl::RetryRelease(std::shared_ptr<SharedGroup> group, absl::Duration pause) {
  if (pause > kGroupRetryLast) return;
  loop_->RunAfter(pause, [this, group = std::move(group), pause] {
    SubmitAlways([this, group, pause] {
      group->Kill().IgnoreError();
      if (!group->Remove(absl::ZeroDuration()).ok()) RetryRelease(group, 2 * pause);
    });
  });
}

}  // namespace noded
