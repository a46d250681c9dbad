#include "cgroup/v2.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cgroup/tree.h"
#include "cgroup/unified.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr char kLeaf[] = "payload";
constexpr absl::Duration kFreezeBound = absl::Seconds(2);
constexpr uint64_t kNsPerUs = 1000;
// Those that limits and stats are made of, and io, which costs nothing until it is used.
constexpr std::array<const char*, 5> kWanted = {"cpuset", "cpu", "io", "memory", "pids"};

struct V2Host {
  std::shared_ptr<CgroupFs> fs;
  UniqueFd parent;
  std::string path;                      // of the parent group, for messages
  std::vector<std::string> controllers;  // enabled for the groups in it
  bool devices = false;

  bool Has(std::string_view controller) const {
    return std::find(controllers.begin(), controllers.end(), controller) != controllers.end();
  }
};

struct LimitWrite {
  std::string file, value, field;
};

class LimitPlan {
 public:
  explicit LimitPlan(const V2Host& host) : host_(host) {}

  void Add(std::string_view controller, std::string file, std::string value,
           std::string_view field) {
    std::string name = absl::StrCat("limits.", AsAbsl(field));
    if (!host_.Has(controller) && status_.ok()) status_ = MissingController(name, controller);
    writes_.push_back({std::move(file), std::move(value), std::move(name)});
  }
  template <typename Value>
  void AddSame(const std::optional<Value>& value, std::string_view controller, std::string file,
               std::string_view field) {
    if (value) Add(controller, std::move(file), absl::StrCat(*value), field);
  }
  absl::StatusOr<std::vector<LimitWrite>> Take() && {
    if (!status_.ok()) return status_;
    return std::move(writes_);
  }

 private:
  const V2Host& host_;
  std::vector<LimitWrite> writes_;
  absl::Status status_;
};

absl::StatusOr<std::vector<LimitWrite>> PlanLimits(const V2Host& host, const Limits& limits) {
  LimitPlan plan(host);
  plan.AddSame(limits.memory_bytes, "memory", "memory.max", "memory_bytes");
  plan.AddSame(limits.swap_bytes, "memory", "memory.swap.max", "swap_bytes");
  plan.AddSame(limits.memory_low_bytes, "memory", "memory.low", "memory_low_bytes");
  if (limits.cpu_shares) {
    plan.Add("cpu", "cpu.weight", absl::StrCat(CpuWeight(*limits.cpu_shares)), "cpu_shares");
  }
  if (limits.cpu_quota_us || limits.cpu_period_us) {
    std::string quota = limits.cpu_quota_us ? absl::StrCat(*limits.cpu_quota_us) : "max";
    plan.Add("cpu", "cpu.max", absl::StrCat(quota, " ", limits.cpu_period_us.value_or(100000)),
             limits.cpu_quota_us ? "cpu_quota_us" : "cpu_period_us");
  }
  plan.AddSame(limits.cpuset_cpus, "cpuset", "cpuset.cpus", "cpuset_cpus");
  plan.AddSame(limits.cpuset_mems, "cpuset", "cpuset.mems", "cpuset_mems");
  plan.AddSame(limits.pids_max, "pids", "pids.max", "pids_max");
  ASSIGN_OR_RETURN(auto writes, std::move(plan).Take());
  if (!limits.devices.empty() && !host.devices) {
    return MissingController("limits.devices", "devices");
  }
  return writes;
}

// "+cpu +memory"; empty for none.
std::string EnableLine(const std::vector<std::string>& controllers) {
  return absl::StrJoin(controllers, " ", [](std::string* out, const std::string& name) {
    absl::StrAppend(out, "+", name);
  });
}

// Lets the groups in `dir` have the wanted controllers, as far as `dir` has them itself.
absl::Status EnableControllers(int dir, const std::string& path) {
  ASSIGN_OR_RETURN(std::string available, ReadFileAt(dir, "cgroup.controllers"));
  ASSIGN_OR_RETURN(std::string enabled, ReadFileAt(dir, "cgroup.subtree_control"));
  std::vector<std::string> have = ParseWords(available), on = ParseWords(enabled);
  auto contains = [](const std::vector<std::string>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  for (const char* name : kWanted) {
    if (!contains(have, name) || contains(on, name)) continue;
    // One at a time, because a write of several is refused whole when one of them cannot be had.
    absl::Status written = WriteExistingAt(dir, "cgroup.subtree_control", absl::StrCat("+", name));
    // FAILED_PRECONDITION is EBUSY here: the group holds processes itself (the "no internal
    // processes" rule), and every controller would say the same.
    if (absl::IsFailedPrecondition(written)) {
      return Annotate(written, absl::StrCat("enable controllers below cgroup \"", path, "\""));
    }
    // Anything else leaves this one out; a limit that needs it is then refused by name.
  }
  return absl::OkStatus();
}

class V2Group : public Group {
 public:
  V2Group(std::shared_ptr<const V2Host> host, std::string name, UniqueFd dir, ino_t inode)
      : host_(std::move(host)), name_(std::move(name)), dir_(std::move(dir)), inode_(inode) {}

  absl::StatusOr<AttachFds> OpenAttach() const override {
    AttachFds fds;
    ASSIGN_OR_RETURN(fds.into, OpenAt(dir_.get(), kLeaf, kDirectoryFlags));
    return fds;
  }

  absl::StatusOr<Stats> ReadStats() const override {
    // A removed group's held directory is empty: no file opens in it.
    if (faccessat(dir_.get(), "cgroup.procs", F_OK, 0) != 0) {
      return absl::NotFoundError(absl::StrCat("cgroup \"", name_, "\" is gone"));
    }
    Stats stats;
    ReadCpu(stats);
    ReadMemory(stats);
    stats.pids_current = NumberIn("pids.current");
    stats.pids_limit = NumberIn("pids.max");
    return stats;
  }

  absl::StatusOr<std::vector<pid_t>> Pids() const override { return TreePids(dir_.get()); }

  absl::Status Freeze() override { return FreezeUnified(dir_.get(), kFreezeBound); }
  absl::Status Thaw() override { return ThawUnified(dir_.get(), kFreezeBound); }

  absl::Status Kill() override {
    // Reaches frozen tasks too, other than on v1.
    return Annotate(WriteExistingAt(dir_.get(), "cgroup.kill", "1"),
                    absl::StrCat("kill cgroup \"", name_, "\""));
  }

  absl::Status Remove(absl::Duration bound) override {
    return RemoveGroups(*host_->fs, {{host_->parent.get(), inode_}}, name_, bound);
  }

 private:
  std::optional<uint64_t> NumberIn(const std::string& file) const {
    auto content = ReadOptional(dir_.get(), file);
    return content ? ParseNumber(*content) : std::nullopt;
  }

  void ReadCpu(Stats& stats) const {
    auto content = ReadOptional(dir_.get(), "cpu.stat");
    if (!content) return;
    auto nanoseconds = [&](std::string_view key) -> std::optional<uint64_t> {
      auto microseconds = ParseKeyed(*content, key);
      if (!microseconds) return std::nullopt;
      return *microseconds * kNsPerUs;
    };
    stats.cpu_total_ns = nanoseconds("usage_usec");
    stats.cpu_user_ns = nanoseconds("user_usec");
    stats.cpu_system_ns = nanoseconds("system_usec");
    stats.cpu_periods = ParseKeyed(*content, "nr_periods");
    stats.cpu_throttled_periods = ParseKeyed(*content, "nr_throttled");
    stats.cpu_throttled_ns = nanoseconds("throttled_usec");
  }

  void ReadMemory(Stats& stats) const {
    stats.memory_usage_bytes = NumberIn("memory.current");
    stats.memory_swap_bytes = NumberIn("memory.swap.current");
    stats.memory_limit_bytes = NumberIn("memory.max");
    stats.memory_peak_bytes = NumberIn("memory.peak");
    if (auto events = ReadOptional(dir_.get(), "memory.events")) {
      stats.oom_kills = ParseKeyed(*events, "oom_kill");
    }
    auto content = ReadOptional(dir_.get(), "memory.stat");
    if (!content) return;
    stats.memory_rss_bytes = ParseKeyed(*content, "anon");
    stats.memory_cache_bytes = ParseKeyed(*content, "file");
    stats.page_faults = ParseKeyed(*content, "pgfault");
    stats.major_page_faults = ParseKeyed(*content, "pgmajfault");
    auto inactive = ParseKeyed(*content, "inactive_file");
    if (stats.memory_usage_bytes && inactive) {
      // Two files, read one after the other: the difference may come out below 0.
      stats.memory_working_set_bytes =
          *stats.memory_usage_bytes - std::min(*stats.memory_usage_bytes, *inactive);
    }
  }

  std::shared_ptr<const V2Host> host_;
  std::string name_;
  UniqueFd dir_;
  ino_t inode_;
};

absl::StatusOr<std::unique_ptr<Group>> OpenV2Group(std::shared_ptr<const V2Host> host,
                                                   const std::string& name) {
  ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(host->parent.get(), name, kDirectoryFlags));
  struct stat info;
  if (fstat(dir.get(), &info) != 0) return ErrnoStatus(errno, "look at cgroup");
  return std::make_unique<V2Group>(std::move(host), name, std::move(dir), info.st_ino);
}

class V2Driver : public Driver {
 public:
  explicit V2Driver(std::shared_ptr<const V2Host> host)
      : host_(std::move(host)), enable_line_(EnableLine(host_->controllers)) {}

  Mode mode() const override { return Mode::kV2; }

  std::vector<std::string> controllers() const override {
    std::vector<std::string> names = host_->controllers;
    names.push_back("freezer");
    if (host_->devices) names.push_back("devices");
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::StatusOr<std::unique_ptr<Group>> Create(const std::string& name,
                                                const Limits& limits) override {
    RETURN_IF_ERROR(CheckGroupName(name));
    ASSIGN_OR_RETURN(auto writes, PlanLimits(*host_, limits));
    if (host_->fs->MakeGroup(host_->parent.get(), name.c_str()) != 0) {
      return MakeGroupError(errno, absl::StrCat(host_->path, "/", name));
    }
    std::string leaf = absl::StrCat(name, "/", kLeaf);
    auto undo = absl::MakeCleanup([&] {
      host_->fs->RemoveGroup(host_->parent.get(), leaf.c_str());
      host_->fs->RemoveGroup(host_->parent.get(), name.c_str());
    });
    ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(host_->parent.get(), name, kDirectoryFlags));
    RETURN_IF_ERROR(Fill(dir.get(), writes, limits.devices));
    ASSIGN_OR_RETURN(auto group, OpenV2Group(host_, name));
    std::move(undo).Cancel();
    return group;
  }

  absl::StatusOr<std::unique_ptr<Group>> Open(const std::string& name) override {
    RETURN_IF_ERROR(CheckGroupName(name));
    return OpenV2Group(host_, name);
  }

  absl::StatusOr<std::vector<std::string>> List() override {
    return Subgroups(host_->parent.get());
  }

 private:
  absl::Status Fill(int dir, const std::vector<LimitWrite>& writes,
                    const std::vector<DeviceRule>& devices) const {
    // Before anything is in the group, because afterwards the "no internal processes" rule forbids
    // it. The leaf gets the controllers too, so that a payload can manage groups of its own.
    if (!enable_line_.empty()) {
      RETURN_IF_ERROR(WriteExistingAt(dir, "cgroup.subtree_control", enable_line_));
    }
    for (const LimitWrite& one : writes) {
      RETURN_IF_ERROR(WriteLimit(dir, one.file, one.value, one.field));
    }
    if (!devices.empty()) {
      RETURN_IF_ERROR(Annotate(host_->fs->AttachDevices(dir, devices), "limits.devices"));
    }
    if (host_->fs->MakeGroup(dir, kLeaf) != 0) return ErrnoStatus(errno, "make payload cgroup");
    return absl::OkStatus();
  }

  std::shared_ptr<const V2Host> host_;
  std::string enable_line_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Driver>> OpenV2Driver(const std::string& mount_path,
                                                     const std::string& parent,
                                                     std::shared_ptr<CgroupFs> fs) {
  ASSIGN_OR_RETURN(auto parents, ParentComponents(parent));
  auto host = std::make_shared<V2Host>();
  host->path = mount_path;
  ASSIGN_OR_RETURN(host->parent, OpenAt(AT_FDCWD, mount_path, O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(EnableControllers(host->parent.get(), host->path));
  for (const std::string& name : parents) {
    absl::StrAppend(&host->path, "/", name);
    ASSIGN_OR_RETURN(host->parent, MakeOrOpenGroup(*fs, host->parent.get(), name));
    RETURN_IF_ERROR(EnableControllers(host->parent.get(), host->path));
  }
  ASSIGN_OR_RETURN(std::string enabled, ReadFileAt(host->parent.get(), "cgroup.subtree_control"));
  host->controllers = ParseWords(enabled);
  host->devices = fs->DeviceProgramsWork();
  host->fs = std::move(fs);
  return std::make_unique<V2Driver>(std::move(host));
}

}  // namespace noded::cgroup
