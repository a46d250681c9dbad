// The engine behind node/engine.h: what its use cases share. Each use case is one source file of
// this room (create.cc, start.cc, supervisor.cc, exit.cc, stop.cc, pause.cc, update.cc, remove.cc,
// exec.cc, attach.cc, oom.cc, stats.cc, top.cc, info.cc, recovery.cc).
//
// Threads: calls come on any thread and are put on the pool; supervisors, timers and pipes are
// heard on the loop, whose callbacks hand on what blocks. What changes one container runs on its
// operation queue. Lifetime: closures hold a bare `this`, because the destructor stops the pool,
// then the loop, before anything else of the engine goes.
#ifndef NODE_ENGINE_IMPL_H_
#define NODE_ENGINE_IMPL_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cgroup/driver.h"
#include "node/base/unique_fd.h"
#include "node/engine.h"
#include "node/event_loop.h"
#include "node/kept_limits.h"
#include "node/launch/plan.h"
#include "node/log_reader.h"
#include "node/oom_monitor.h"
#include "node/path_checks.h"
#include "node/registry.h"
#include "node/runtime.h"
#include "node/sampling.h"
#include "node/shim_client.h"
#include "node/state_store.h"
#include "node/worker_pool.h"

namespace noded {

class Storage;

class EngineImpl final : public Engine {
 public:
  using Finished = OperationQueue::Finished;
  using ContainerDone = Done<node::v1::Container>;

  explicit EngineImpl(EngineOptions options);
  ~EngineImpl() override;
  absl::Status Open();

  void RunContainer(node::v1::RunContainerRequest request,
                    Done<node::v1::RunContainerResponse> done) override;
  void CreateContainer(node::v1::CreateContainerRequest request,
                       Done<node::v1::CreateContainerResponse> done) override;
  void Start(node::v1::StartRequest request, Done<node::v1::StartResponse> done) override;
  void Stop(node::v1::StopRequest request, Done<node::v1::StopResponse> done) override;
  void Kill(node::v1::KillRequest request, Done<node::v1::KillResponse> done) override;
  void Pause(node::v1::PauseRequest request, Done<node::v1::PauseResponse> done) override;
  void Resume(node::v1::ResumeRequest request, Done<node::v1::ResumeResponse> done) override;
  void Update(node::v1::UpdateRequest request, Done<node::v1::UpdateResponse> done) override;
  void Remove(node::v1::RemoveRequest request, Done<node::v1::RemoveResponse> done) override;
  std::function<void()> Wait(node::v1::WaitRequest request,
                             Done<node::v1::WaitResponse> done) override;
  void Top(node::v1::TopRequest request, Done<node::v1::TopResponse> done) override;
  absl::StatusOr<node::v1::GetResponse> Get(const node::v1::GetRequest& request) override;
  absl::StatusOr<node::v1::ListResponse> List(const node::v1::ListRequest& request) override;
  node::v1::GetInfoResponse GetInfo() override;
  StateCounts CountStates() override;
  StorageEngine* storage() override;
  const StartPhases& StartDurations() override { return start_phases_; }
  std::shared_ptr<ExecStream> Exec() override;
  std::shared_ptr<AttachStream> Attach() override;
  absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::LogsResponse>>> Logs(
      const node::v1::LogsRequest& request) override;
  absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::StatsResponse>>> Stats(
      const node::v1::StatsRequest& request) override;
  std::vector<LastSample> LastSamples() override;
  absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::WatchResponse>>> Watch(
      const node::v1::WatchRequest& request) override;

  // ---- What the use cases share ----

  const EngineOptions& options() const { return options_; }
  const std::string& boot_id() const { return boot_id_; }
  const launch::HostFacts& host() const { return host_; }
  EventLoop* loop() { return loop_.get(); }
  Registry* registry() { return registry_.get(); }
  StateStore* store() { return store_.get(); }
  Storage* images_and_volumes() { return storage_.get(); }
  int sockets_dir() const { return sockets_dir_.get(); }
  StartPhases* start_phases() { return &start_phases_; }

  // On the pool. RESOURCE_EXHAUSTED when it is full, UNAVAILABLE once the engine is being
  // destroyed.
  absl::Status Submit(std::function<void()> work);
  // As Submit, tried again until there is room: for what has happened already.
  void SubmitAlways(std::function<void()> work);
  // The engine is being destroyed.
  bool closing();
  // For a person to read.
  void Report(const std::string& line);

  std::shared_ptr<Runtime> RuntimeOf(const std::string& id);
  void DropRuntime(const std::string& id);
  // The driver for a spec's cgroup parent, opened when first wanted.
  absl::StatusOr<std::shared_ptr<cgroup::Driver>> DriverFor(const std::string& parent);
  // Below which the spec's group is made.
  std::string CgroupParentOf(const node::v1::ContainerSpec& spec) const;
  // Below which the container's group was made, though the daemon's parent may be another since.
  std::string GroupParentOf(const node::v1::Container& container) const;

  // Calls back once, on any thread: with the first snapshot for which `fits`, NOT_FOUND when the
  // container is gone, or DEADLINE_EXCEEDED. `fits` must be quick. The returned function gives up:
  // CANCELLED.
  using Fits = std::function<bool(const node::v1::Container&)>;
  std::function<void()> AwaitState(const std::string& id, Fits fits, absl::Duration timeout,
                                   std::function<void(absl::StatusOr<Snapshot>)> done);
  // Calls back once, on the loop's thread, when the process has ended (true) or after `timeout`.
  void AwaitEnd(std::shared_ptr<const Pidfd> process, absl::Duration timeout,
                std::function<void(bool ended)> done);

  // ---- create.cc ----
  struct Creation;
  void Create(std::shared_ptr<Creation> creation, ContainerDone done);
  // Calls back on any thread.
  void CheckPaths(const node::v1::ContainerSpec& spec, std::function<void(absl::Status)> done);
  // As CheckPaths, of the paths that limits and devices name.
  void CheckLimitPaths(const node::v1::ContainerSpec& spec, std::function<void(absl::Status)> done);

  // ---- start.cc ----
  // In the container's queue, which must be held until `done` was called. The record is STARTING
  // after `make_record`, which is called once, before the plan is made: what of the container's
  // files or record is not there yet. `kept`: the limits, when the host was asked for them just
  // now.
  void StartInQueue(std::shared_ptr<Runtime> runtime,
                    const std::function<absl::Status()>& make_record,
                    std::optional<KeptLimits> kept, ContainerDone done);

  // ---- supervisor.cc ----
  // The spare one or a new one becomes the container's.
  absl::Status StartSupervisor(const std::shared_ptr<Runtime>& runtime);
  // Starts one ahead of its container unless there is one, because that is a quarter of a start.
  void KeepSpareSupervisor();
  // To the supervisor that listens for this container: UNAVAILABLE when there is none.
  absl::Status Connect(const std::shared_ptr<Runtime>& runtime);
  // Removes what the supervisor of an earlier run left.
  absl::Status ForgetRun(const std::shared_ptr<Runtime>& runtime);
  // After a Start; a failed RunContainer leaves nothing to record in.
  void RecordStartFailed(const std::shared_ptr<Runtime>& runtime, const absl::Status& why);

  // ---- exit.cc ----
  // In the container's queue.
  void HandleExited(const std::shared_ptr<Runtime>& runtime,
                    const node::shim::v1::ExitRecord& exit);
  // The connection of this number has ended.
  void HandleLost(std::shared_ptr<Runtime> runtime, uint64_t connection, Finished finished);
  void RecordExit(const std::shared_ptr<Runtime>& runtime, const node::shim::v1::ExitRecord& exit,
                  const std::string& error);
  // After an exit was recorded: removes the container if its spec says so.
  void AutoRemove(const std::shared_ptr<Runtime>& runtime, const ContainerRecord& exited);
  absl::StatusOr<node::shim::v1::ExitRecord> ReadExitFile(const std::string& id);
  // Waits so long for the end of the supervisor, whose container does not run any more, then kills
  // it; removes its socket.
  void RetireSupervisor(const std::shared_ptr<Runtime>& runtime, absl::Duration grace);
  void EndWithoutSupervisor(std::shared_ptr<Runtime> runtime, std::shared_ptr<const Pidfd> init,
                            Finished finished);
  void AwaitInitEnd(std::shared_ptr<const Pidfd> init, absl::Time deadline,
                    std::function<void(bool ended)> done);
  // Kills what is left in the group and removes it; what will not die yet is tried again later.
  void ReleaseGroup(std::shared_ptr<SharedGroup> group, const std::string& id);
  void RetryRelease(std::shared_ptr<SharedGroup> group, absl::Duration pause);

  // ---- stop.cc ----
  // Marks that what comes is wanted, before it is done, so that no crash in between calls it else.
  absl::Status RecordStopRequested(const std::string& id);
  // To the main process.
  void SignalInit(const std::shared_ptr<Runtime>& runtime, int signal,
                  std::function<void(absl::Status)> done);
  // SIGKILL to the whole container.
  absl::Status KillAll(const std::shared_ptr<Runtime>& runtime);
  void EndStuckSupervisor(Runtime& runtime);
  // As KillAll, then waits for the end, bounded: DEADLINE_EXCEEDED names the tasks that will not
  // die.
  void KillAndAwait(std::shared_ptr<Runtime> runtime,
                    std::function<void(absl::StatusOr<Snapshot>)> done);

  // ---- pause.cc ----
  // In the container's queue. WRONG_STATE unless it is RUNNING, or PAUSED.
  absl::Status PauseInQueue(const std::shared_ptr<Runtime>& runtime);
  absl::Status ResumeInQueue(const std::shared_ptr<Runtime>& runtime);
  // In its turn, so that a signal to a paused container can end it.
  void ResumeToEnd(const std::shared_ptr<Runtime>& runtime);

  // ---- remove.cc ----
  // In the container's queue. FAILED_PRECONDITION when it runs.
  absl::Status RemoveInQueue(const std::shared_ptr<Runtime>& runtime, bool anonymous_volumes);
  // A creation that failed: nothing is left, not even its request_id.
  void Discard(const std::shared_ptr<Runtime>& runtime);

  // ---- exec.cc ----
  // On the pool; the session is told what came of it.
  void BeginExec(std::shared_ptr<ExecSession> session, node::v1::ExecStart start);
  void SignalExec(const std::shared_ptr<Runtime>& runtime, const std::string& exec_id, int signal);
  void ResizeExec(const std::shared_ptr<Runtime>& runtime, const std::string& exec_id,
                  const node::v1::TerminalSize& size);
  // SIGTERM, and SIGKILL a little later.
  void EndExec(const std::shared_ptr<Runtime>& runtime, const std::string& exec_id);
  void FinishExec(const std::shared_ptr<ExecSession>& session,
                  const std::shared_ptr<Runtime>& runtime, const std::string& exec_id,
                  absl::Status started);
  void HandleExecExited(const std::shared_ptr<Runtime>& runtime,
                        const node::shim::v1::ExecState& state);
  // Every exec of a container whose supervisor is gone.
  void AbandonExecs(const std::shared_ptr<Runtime>& runtime);

  // ---- attach.cc ----
  void BeginAttach(std::shared_ptr<AttachSession> session, node::v1::AttachStart start);
  void AttachInQueue(std::shared_ptr<AttachSession> session, std::shared_ptr<Runtime> runtime,
                     const node::v1::AttachStart& start, Finished finished);
  void ResizeContainer(const std::shared_ptr<Runtime>& runtime, const node::v1::TerminalSize& size);

  // ---- oom.cc ----
  // What the kernel has killed for want of memory since it was last recorded is recorded, and told
  // to watchers. On the pool.
  void RecordOomKills(const std::shared_ptr<Runtime>& runtime, SharedGroup& group);

 private:
  absl::Status OpenDirectories();
  absl::Status OpenRegistry();
  void ReapStrangers();
  void ScheduleReaping();

  // ---- create.cc ----
  void FollowFirst(std::shared_ptr<Creation> creation, const node::v1::Container& first,
                   ContainerDone done);
  void CreateInQueue(std::shared_ptr<Creation> creation, std::shared_ptr<Runtime> runtime,
                     ContainerDone done);
  absl::Status Reserve(const Creation& creation, const std::string& id);
  void DropProvision(Creation& creation);
  absl::Status MakeFiles(const std::string& id);
  absl::StatusOr<node::v1::Container> RecordCreated(const std::string& id);

  // ---- start.cc ----
  // WRONG_STATE, or what an earlier run left is gone.
  absl::Status MakeStartable(const std::shared_ptr<Runtime>& runtime);
  absl::Status RecordStarting(const std::string& id);

  // ---- pause.cc ----
  absl::Status RecordResumed(const std::string& id);
  // Makes the freezer and the record agree again after a crash.
  void SettlePause(const std::shared_ptr<Runtime>& runtime);

  // ---- update.cc ----
  absl::StatusOr<node::v1::Container> UpdateInQueue(const std::shared_ptr<Runtime>& runtime,
                                                    const node::v1::UpdateRequest& request);
  // Puts the recorded limits in force.
  absl::Status ApplyRecorded(const std::shared_ptr<Runtime>& runtime);
  void SettleLimits(const std::shared_ptr<Runtime>& runtime);

  // ---- supervisor.cc ----
  // One that has no container yet.
  struct FreeSupervisor {
    std::shared_ptr<const Pidfd> process;
    UniqueFd connection;
  };
  absl::StatusOr<FreeSupervisor> SpawnSupervisor();
  absl::StatusOr<FreeSupervisor> TakeSupervisor();
  ShimClient::Events EventsOf(const std::shared_ptr<Runtime>& runtime);

  // ---- recovery.cc ----
  void RecoverAll();
  void Recover(std::shared_ptr<Runtime> runtime, Finished finished);
  void Adopt(std::shared_ptr<Runtime> runtime, Finished finished);
  void Adopted(const std::shared_ptr<Runtime>& runtime, const node::shim::v1::State& state);
  void RecordAdopted(const std::shared_ptr<Runtime>& runtime,
                     const node::shim::v1::RunningRecord& running,
                     const node::shim::v1::State& state);
  void NotAdopted(std::shared_ptr<Runtime> runtime, Finished finished);
  void NeverStarted(const std::shared_ptr<Runtime>& runtime, const Snapshot& snapshot);
  void DismissSupervisor(const std::shared_ptr<Runtime>& runtime);
  void FinishExit(const std::shared_ptr<Runtime>& runtime, const Snapshot& snapshot);
  void RecordHostRestarted(const std::shared_ptr<Runtime>& runtime);
  void RemoveOrphanSupervisor(const std::string& id);
  void RemoveOrphans();

  // Written by Open, then only read.
  EngineOptions options_;
  launch::HostFacts host_;
  std::string boot_id_;
  UniqueFd sockets_dir_;

  StartPhases start_phases_;

  std::unique_ptr<StateStore> store_;
  // Before the drivers, which tell it.
  std::unique_ptr<cgroup::OomWatch> oom_watch_;
  absl::Mutex drivers_mutex_;
  std::map<std::string, std::shared_ptr<cgroup::Driver>> drivers_ ABSL_GUARDED_BY(drivers_mutex_);
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<PathChecks> paths_;
  std::unique_ptr<LogService> logs_;
  std::unique_ptr<Sampling> sampling_;
  std::unique_ptr<OomMonitor> oom_;

  absl::Mutex closing_mutex_;
  bool closing_ ABSL_GUARDED_BY(closing_mutex_) = false;

  absl::Mutex runtimes_mutex_;
  std::map<std::string, std::shared_ptr<Runtime>> runtimes_ ABSL_GUARDED_BY(runtimes_mutex_);

  absl::Mutex spare_mutex_;
  std::optional<FreeSupervisor> spare_ ABSL_GUARDED_BY(spare_mutex_);
  bool spare_comes_ ABSL_GUARDED_BY(spare_mutex_) = false;

  // Held while a supervisor is started, so that ReapStrangers does not take it for a stranger.
  absl::Mutex children_mutex_;
  std::set<pid_t> children_ ABSL_GUARDED_BY(children_mutex_);
};

}  // namespace noded

#endif  // NODE_ENGINE_IMPL_H_
