#include "node/engine.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/engine_impl.h"
#include "node/exec_session.h"
#include "node/host.h"
#include "node/storage.h"

namespace noded {
namespace {

// Enough that a few slow disks or file systems leave threads for the others.
constexpr int kWorkers = 8;
constexpr int kPathThreads = 4;
constexpr absl::Duration kPathBound = absl::Seconds(5);
constexpr size_t kMaxQueuedWork = 20'000;
constexpr size_t kMaxQueuedOperations = 1'000;
constexpr size_t kMaxIdleDrivers = 16;
constexpr absl::Duration kRetryPause = absl::Milliseconds(20);
constexpr absl::Duration kReapInterval = absl::Seconds(5);

absl::StatusOr<std::string> ShimBesideExecutable() {
  std::error_code error;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return ErrnoStatus(error.value(), "read \"/proc/self/exe\"");
  return (self.parent_path() / "node-shim").string();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(const EngineOptions& options) {
  auto engine = std::make_unique<EngineImpl>(options);
  RETURN_IF_ERROR(engine->Open());
  return engine;
}

absl::Status EngineImpl::Open() {
  if (options_.shim_path.empty()) {
    ASSIGN_OR_RETURN(options_.shim_path, ShimBesideExecutable());
  }
  if (access(options_.shim_path.c_str(), X_OK) != 0) {
    return ErrnoStatus(errno, absl::StrCat("find supervisor \"", options_.shim_path, "\""));
  }
  // A supervisor that dies leaves its container's init to us, who can then tell its true status.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    return ErrnoStatus(errno, "become a subreaper");
  }
  // The input of a process that reads no more must be an error to us and not our death. Supervisors
  // get the default back.
  signal(SIGPIPE, SIG_IGN);
  ASSIGN_OR_RETURN(host_, ReadHostFacts(options_.open_files));
  ASSIGN_OR_RETURN(boot_id_, ReadBootId());
  RETURN_IF_ERROR(OpenDirectories());
  ASSIGN_OR_RETURN(oom_watch_, cgroup::OomWatch::Create());
  RETURN_IF_ERROR(DriverFor(options_.cgroup_parent).status());
  ASSIGN_OR_RETURN(loop_, EventLoop::Create());
  pool_ = std::make_unique<WorkerPool>(kWorkers, kMaxQueuedWork);
  paths_ = std::make_unique<PathChecks>(loop_.get(), kPathThreads, kPathBound);
  RETURN_IF_ERROR(OpenRegistry());
  ASSIGN_OR_RETURN(logs_, LogService::Create(loop_.get(), pool_.get(), registry_.get()));
  oom_ = std::make_unique<OomMonitor>(this, oom_watch_.get(), options_.kernel_log);
  ASSIGN_OR_RETURN(storage_, Storage::Open(this));
  sampling_ = std::make_unique<Sampling>(this, options_.pressure, options_.sample_interval);
  RecoverAll();
  KeepSpareSupervisor();
  ScheduleReaping();
  return absl::OkStatus();
}

absl::Status EngineImpl::OpenDirectories() {
  // The lock first: nothing is touched of a root that another daemon has.
  ASSIGN_OR_RETURN(store_, StateStore::Open(options_.root));
  std::string sockets = absl::StrCat(options_.state_dir, "/shims");
  RETURN_IF_ERROR(MakeDirs(sockets, 0700));
  ASSIGN_OR_RETURN(sockets_dir_, OpenAt(AT_FDCWD, sockets, O_RDONLY | O_DIRECTORY));
  return absl::OkStatus();
}

StorageEngine* EngineImpl::storage() { return storage_.get(); }

absl::Status EngineImpl::OpenRegistry() {
  ASSIGN_OR_RETURN(StateStore::Loaded loaded, store_->Load());
  ASSIGN_OR_RETURN(registry_, Registry::Create(store_.get(), std::move(loaded)));
  return absl::OkStatus();
}

EngineImpl::EngineImpl(EngineOptions options) : options_(std::move(options)) {}

EngineImpl::~EngineImpl() {
  {
    absl::MutexLock lock(&closing_mutex_);
    closing_ = true;
  }
  logs_.reset();
  paths_.reset();
  sampling_.reset();
  if (storage_ != nullptr) storage_->Close();
  pool_.reset();
  // After the pool, whose work may use it.
  storage_.reset();
  oom_.reset();
  {
    absl::MutexLock lock(&spare_mutex_);
    spare_.reset();
  }
  std::map<std::string, std::shared_ptr<Runtime>> runtimes;
  {
    absl::MutexLock lock(&runtimes_mutex_);
    runtimes.swap(runtimes_);
  }
  for (auto& [id, runtime] : runtimes) {
    AbandonExecs(runtime);
    // Outside of the lock, because it may be the last reference and waits for the loop.
    std::shared_ptr<ShimClient> shim;
    absl::MutexLock lock(&runtime->mutex);
    shim = std::move(runtime->shim);
  }
  // Not by reset(), which empties the pointer first: callbacks use it until the loop's thread has
  // ended.
  delete loop_.get();
  (void)loop_.release();
}

absl::Status EngineImpl::Submit(std::function<void()> work) {
  absl::ReaderMutexLock lock(&closing_mutex_);
  if (closing_) return absl::UnavailableError("the agent is shutting down");
  return pool_->Submit(std::move(work));
}

bool EngineImpl::closing() {
  absl::ReaderMutexLock lock(&closing_mutex_);
  return closing_;
}

void EngineImpl::SubmitAlways(std::function<void()> work) {
  absl::Status submitted = Submit(work);
  if (!absl::IsResourceExhausted(submitted)) return;
  loop_->RunAfter(kRetryPause, [this, work = std::move(work)] { SubmitAlways(work); });
}

void EngineImpl::Report(const std::string& line) {
  if (options_.report) options_.report(line);
}

std::shared_ptr<Runtime> EngineImpl::RuntimeOf(const std::string& id) {
  absl::MutexLock lock(&runtimes_mutex_);
  std::shared_ptr<Runtime>& runtime = runtimes_[id];
  if (runtime == nullptr) {
    runtime = std::make_shared<Runtime>(
        id, std::make_shared<OperationQueue>(
                [this](std::function<void()> work) { SubmitAlways(std::move(work)); },
                kMaxQueuedOperations));
  }
  return runtime;
}

void EngineImpl::DropRuntime(const std::string& id) {
  std::shared_ptr<Runtime> dropped;  // destroyed after the lock is released
  absl::MutexLock lock(&runtimes_mutex_);
  auto found = runtimes_.find(id);
  if (found == runtimes_.end()) return;
  dropped = std::move(found->second);
  runtimes_.erase(found);
}

std::string EngineImpl::CgroupParentOf(const node::v1::ContainerSpec& spec) const {
  return spec.cgroup_parent().empty() ? options_.cgroup_parent : spec.cgroup_parent();
}

std::string EngineImpl::GroupParentOf(const node::v1::Container& container) const {
  const std::string& path = container.cgroup_path();
  return path.empty() ? CgroupParentOf(container.spec()) : path.substr(0, path.rfind('/'));
}

absl::StatusOr<std::shared_ptr<cgroup::Driver>> EngineImpl::DriverFor(const std::string& parent) {
  absl::MutexLock lock(&drivers_mutex_);
  auto found = drivers_.find(parent);
  if (found != drivers_.end()) return found->second;
  // A client's group is its own to make, or a slip of the pen would leave groups on the host.
  bool own = parent == options_.cgroup_parent;
  ASSIGN_OR_RETURN(std::shared_ptr<cgroup::Driver> driver,
                   cgroup::OpenDriver({.parent = parent,
                                       .make_parent = own,
                                       .driver = options_.cgroup_driver,
                                       .oom_watch = oom_watch_.get()}));
  // Each holds descriptors, and some clients make a parent for each of their containers.
  if (drivers_.size() >= kMaxIdleDrivers) {
    std::erase_if(drivers_, [this](const auto& one) {
      return one.second.use_count() == 1 && one.first != options_.cgroup_parent;
    });
  }
  drivers_.emplace(parent, driver);
  return driver;
}

absl::StatusOr<node::v1::GetResponse> EngineImpl::Get(const node::v1::GetRequest& request) {
  ASSIGN_OR_RETURN(Snapshot snapshot, registry_->Find(request.container()));
  node::v1::GetResponse response;
  *response.mutable_container() = snapshot->container();
  return response;
}

absl::StatusOr<node::v1::ListResponse> EngineImpl::List(const node::v1::ListRequest& request) {
  return registry_->List(request);
}

Engine::StateCounts EngineImpl::CountStates() {
  StateCounts counts;
  for (const Snapshot& snapshot : registry_->All()) ++counts[snapshot->container().state()];
  return counts;
}

absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::LogsResponse>>> EngineImpl::Logs(
    const node::v1::LogsRequest& request) {
  return logs_->Logs(request);
}

absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::WatchResponse>>> EngineImpl::Watch(
    const node::v1::WatchRequest& request) {
  return registry_->Watch(request);
}

void EngineImpl::ScheduleReaping() {
  loop_->RunAfter(kReapInterval, [this] {
    SubmitAlways([this] { ReapStrangers(); });
    ScheduleReaping();
  });
}

// Processes of a lost supervisor, and with a shared pid namespace their children, fall to us when
// they are orphaned. Supervisors and inits are left to those who wait for them by pidfd.
void EngineImpl::ReapStrangers() {
  constexpr int kMostAtOnce = 1000;
  for (int i = 0; i < kMostAtOnce; ++i) {
    absl::MutexLock lock(&children_mutex_);
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0) return;
    if (info.si_pid == 0 || children_.count(info.si_pid) != 0) return;
    for (const Snapshot& snapshot : registry_->All()) {
      if (snapshot->container().pid() == info.si_pid) return;
    }
    waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG | __WALL);
  }
}

}  // namespace noded
