// Statistics of a v1 or hybrid group. The descriptors of a hybrid host: 1 cpu.stat of the cgroup2
// mount (total, user and system in one file, where v1 has three), 1 throttling, 5 memory, 2 pids, 2
// blkio, 3 pressure.
#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "cgroup/file_sampler.h"
#include "cgroup/tree.h"
#include "cgroup/v1.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded::cgroup {
namespace {

// Of the groups below `dir`, and of itself. What was counted before an error is still true as a
// lower bound.
uint64_t SumOomKills(int dir, bool with_top) {
  uint64_t kills = 0;
  bool counts = with_top;
  auto enter = [&](int group) {
    auto content = counts ? ReadOptional(group, "memory.oom_control") : std::nullopt;
    counts = true;
    if (content) kills += ParseKeyed(*content, "oom_kill").value_or(0);
    return absl::OkStatus();
  };
  WalkGroups(dir, enter, [](int, const std::string&) { return absl::OkStatus(); }).IgnoreError();
  return kills;
}

}  // namespace

class V1Sampler : public FileSampler {
 public:
  V1Sampler(std::shared_ptr<const V1Host> host, std::string name)
      : FileSampler(std::move(name), kFiles), host_(std::move(host)) {}

  void Open(const Hierarchy& hierarchy, int dir, const SampleOptions& options) {
    if (hierarchy.unified) {
      Hold(kCpuUnified, dir, "cpu.stat");
      if (options.pressure) HoldPressure(dir);
    }
    if (hierarchy.Has("cpu")) Hold(kThrottling, dir, "cpu.stat");
    if (hierarchy.Has("memory")) {
      memory_ = &hierarchy;
      Hold(kMemoryUsage, dir, "memory.usage_in_bytes");
      Hold(kMemoryPeak, dir, "memory.max_usage_in_bytes");
      Hold(kMemoryStat, dir, "memory.stat");
      Hold(kMemoryFailures, dir, "memory.failcnt");
      Hold(kOom, dir, "memory.oom_control");
    }
    if (hierarchy.Has("pids")) HoldPids(dir);
    if (hierarchy.Has("blkio")) {
      Hold(kBlockBytes, dir, "blkio.throttle.io_service_bytes_recursive");
      Hold(kBlockBytes, dir, "blkio.throttle.io_service_bytes");
      Hold(kBlockOperations, dir, "blkio.throttle.io_serviced_recursive");
      Hold(kBlockOperations, dir, "blkio.throttle.io_serviced");
    }
    if (hierarchy.Has("hugetlb")) HoldHugetlb(dir, host_->page_sizes, "usage_in_bytes");
  }

  // After all of Open: the older files, where the cgroup2 mount does not tell.
  void OpenCpuacct(int dir) {
    if (file(kCpuUnified)) return;
    Hold(kCpuTotal, dir, "cpuacct.usage");
    Hold(kCpuUser, dir, "cpuacct.usage_user");
    Hold(kCpuSystem, dir, "cpuacct.usage_sys");
  }

 private:
  enum File {
    kCpuUnified,
    kCpuTotal,
    kCpuUser,
    kCpuSystem,
    kThrottling,
    kMemoryUsage,
    kMemoryPeak,
    kMemoryStat,
    kMemoryFailures,
    kOom,
    kBlockBytes,
    kBlockOperations,
    kFiles,
  };

  void SampleOwn(Stats& stats) override {
    SampleCpu(stats);
    SampleMemory(stats);
    SampleBlock(stats);
  }

  void SampleCpu(Stats& stats) {
    if (auto content = reader_.Read(file(kCpuUnified))) {
      ParseCpuStatV2(*content, stats);
    } else {
      stats.cpu_total_ns = reader_.ReadNumber(file(kCpuTotal));
      stats.cpu_user_ns = reader_.ReadNumber(file(kCpuUser));
      stats.cpu_system_ns = reader_.ReadNumber(file(kCpuSystem));
    }
    if (auto content = reader_.Read(file(kThrottling))) ParseThrottlingV1(*content, stats);
  }

  void SampleMemory(Stats& stats) {
    stats.memory_usage_bytes = reader_.ReadNumber(file(kMemoryUsage));
    stats.memory_peak_bytes = reader_.ReadNumber(file(kMemoryPeak));
    stats.memory_max_events = reader_.ReadNumber(file(kMemoryFailures));
    if (auto content = reader_.Read(file(kMemoryStat))) ParseMemoryStat(*content, true, stats);
    auto content = reader_.Read(file(kOom));
    if (content) stats.oom_kills = ParseKeyed(*content, "oom_kill");
    if (stats.oom_kills) *stats.oom_kills += OomKillsBelow();
  }

  // The kill count of v1 is of one group alone, and a payload may have made groups below.
  uint64_t OomKillsBelow() const {
    constexpr nlink_t kNoneBelow = 2;
    struct stat info;
    // A directory has a link more for each in it: one system call where there is none, as usual.
    if (fstatat(memory_->parent.get(), group_.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        info.st_nlink <= kNoneBelow) {
      return 0;
    }
    auto dir = OpenAt(memory_->parent.get(), group_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    return dir.ok() ? SumOomKills(dir->get(), /*with_top=*/false) : 0;
  }

  void SampleBlock(Stats& stats) {
    if (auto content = reader_.Read(file(kBlockBytes))) {
      stats.block_devices.emplace();
      ParseBlkio(*content, BlkioFile::kBytes, *stats.block_devices);
    }
    if (auto content = reader_.Read(file(kBlockOperations))) {
      if (!stats.block_devices) stats.block_devices.emplace();
      ParseBlkio(*content, BlkioFile::kOperations, *stats.block_devices);
    }
  }

  const std::shared_ptr<const V1Host> host_;
  const Hierarchy* memory_ = nullptr;
};

std::optional<uint64_t> V1Group::OomKills() const {
  auto dir = OpenDir("memory");
  // A kernel before 4.13 does not count.
  auto own = dir.ok() ? ReadOptional(dir->get(), "memory.oom_control") : std::nullopt;
  if (!own || !ParseKeyed(*own, "oom_kill")) return std::nullopt;
  return SumOomKills(dir->get(), /*with_top=*/true);
}

absl::Status V1Group::TellOom(OomWatch& watch) const {
  ASSIGN_OR_RETURN(UniqueFd dir, OpenDir("memory"));
  return watch.AddV1(name_, dir.get());
}

absl::StatusOr<std::unique_ptr<Sampler>> V1Group::OpenSampler(const SampleOptions& options) const {
  auto sampler = std::make_unique<V1Sampler>(host_, name_);
  bool found = false;
  UniqueFd cpuacct;
  for (size_t i = 0; i < members_.size(); ++i) {
    const Hierarchy& hierarchy = host_->hierarchies[i];
    if (!HasStats(hierarchy)) continue;
    auto dir = OpenMember(i);
    if (absl::IsNotFound(dir.status())) continue;
    RETURN_IF_ERROR(dir.status());
    found = true;
    sampler->Open(hierarchy, dir->get(), options);
    if (hierarchy.Has("cpuacct")) cpuacct = *std::move(dir);
  }
  if (!found) return absl::NotFoundError(absl::StrCat("cgroup \"", name_, "\" is gone"));
  if (cpuacct) sampler->OpenCpuacct(cpuacct.get());
  return sampler;
}

}  // namespace noded::cgroup
