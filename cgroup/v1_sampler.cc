// Statistics of a v1 or hybrid group. The descriptors of a hybrid host: 1 cpu.stat of the cgroup2
// mount (total, user and system in one file, where v1 has three), 1 throttling, 5 memory, 2 pids, 2
// blkio, 3 pressure.
#include <sys/stat.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cgroup/stat_files.h"
#include "cgroup/tree.h"
#include "cgroup/v1.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded::cgroup {
namespace {

// Invalid when it is not there.
UniqueFd TryOpen(int dir, const std::string& file) {
  auto fd = OpenAt(dir, file, O_RDONLY);
  return fd.ok() ? *std::move(fd) : UniqueFd();
}

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

class V1Sampler : public Sampler {
 public:
  V1Sampler(std::shared_ptr<const V1Host> host, std::string name)
      : host_(std::move(host)), name_(std::move(name)) {}

  void Open(const Hierarchy& hierarchy, int dir, const SampleOptions& options) {
    auto hold = [&](File file, const std::string& name) {
      if (!files_[file]) files_[file] = TryOpen(dir, name);
    };
    if (hierarchy.unified) {
      hold(kCpuUnified, "cpu.stat");
      if (options.pressure) {
        hold(kCpuPressure, "cpu.pressure");
        hold(kMemoryPressure, "memory.pressure");
        hold(kIoPressure, "io.pressure");
      }
    }
    if (hierarchy.Has("cpu")) hold(kThrottling, "cpu.stat");
    if (hierarchy.Has("memory")) {
      memory_ = &hierarchy;
      hold(kMemoryUsage, "memory.usage_in_bytes");
      hold(kMemoryPeak, "memory.max_usage_in_bytes");
      hold(kMemoryStat, "memory.stat");
      hold(kMemoryFailures, "memory.failcnt");
      hold(kOom, "memory.oom_control");
    }
    if (hierarchy.Has("pids")) {
      hold(kPids, "pids.current");
      hold(kPidsMax, "pids.max");
    }
    if (hierarchy.Has("blkio")) {
      hold(kBlockBytes, "blkio.throttle.io_service_bytes_recursive");
      hold(kBlockBytes, "blkio.throttle.io_service_bytes");
      hold(kBlockOperations, "blkio.throttle.io_serviced_recursive");
      hold(kBlockOperations, "blkio.throttle.io_serviced");
    }
    if (hierarchy.Has("hugetlb")) {
      for (const std::string& size : host_->page_sizes) {
        UniqueFd fd = TryOpen(dir, absl::StrCat("hugetlb.", size, ".usage_in_bytes"));
        if (fd) hugetlb_.emplace_back(size, std::move(fd));
      }
    }
  }

  // After all of Open: the older files, where the cgroup2 mount does not tell.
  void OpenCpuacct(int dir) {
    if (files_[kCpuUnified]) return;
    files_[kCpuTotal] = TryOpen(dir, "cpuacct.usage");
    files_[kCpuUser] = TryOpen(dir, "cpuacct.usage_user");
    files_[kCpuSystem] = TryOpen(dir, "cpuacct.usage_sys");
  }

  absl::StatusOr<Stats> Sample() override {
    Stats stats;
    SampleCpu(stats);
    SampleMemory(stats);
    stats.pids_current = reader_.ReadNumber(files_[kPids]);
    stats.pids_limit = reader_.ReadNumber(files_[kPidsMax]);
    SampleBlock(stats);
    SamplePressure(kCpuPressure, stats.cpu_pressure);
    SamplePressure(kMemoryPressure, stats.memory_pressure);
    SamplePressure(kIoPressure, stats.io_pressure);
    if (reader_.gone()) {
      return absl::NotFoundError(absl::StrCat("cgroup \"", name_, "\" is gone"));
    }
    return stats;
  }

  int descriptors() const override {
    int held = static_cast<int>(hugetlb_.size());
    for (const UniqueFd& file : files_) held += file.valid();
    return held;
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
    kPids,
    kPidsMax,
    kBlockBytes,
    kBlockOperations,
    kCpuPressure,
    kMemoryPressure,
    kIoPressure,
    kFiles,
  };

  void SampleCpu(Stats& stats) {
    if (auto content = reader_.Read(files_[kCpuUnified])) {
      ParseCpuStatV2(*content, stats);
    } else {
      stats.cpu_total_ns = reader_.ReadNumber(files_[kCpuTotal]);
      stats.cpu_user_ns = reader_.ReadNumber(files_[kCpuUser]);
      stats.cpu_system_ns = reader_.ReadNumber(files_[kCpuSystem]);
    }
    if (auto content = reader_.Read(files_[kThrottling])) ParseThrottlingV1(*content, stats);
  }

  void SampleMemory(Stats& stats) {
    stats.memory_usage_bytes = reader_.ReadNumber(files_[kMemoryUsage]);
    stats.memory_peak_bytes = reader_.ReadNumber(files_[kMemoryPeak]);
    stats.memory_max_events = reader_.ReadNumber(files_[kMemoryFailures]);
    if (auto content = reader_.Read(files_[kMemoryStat])) ParseMemoryStat(*content, true, stats);
    auto content = reader_.Read(files_[kOom]);
    if (content) stats.oom_kills = ParseKeyed(*content, "oom_kill");
    if (stats.oom_kills) *stats.oom_kills += OomKillsBelow();
  }

  // The kill count of v1 is of one group alone, and a payload may have made groups below.
  uint64_t OomKillsBelow() const {
    constexpr nlink_t kNoneBelow = 2;
    struct stat info;
    // A directory has a link more for each in it: one system call where there is none, as usual.
    if (fstatat(memory_->parent.get(), name_.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        info.st_nlink <= kNoneBelow) {
      return 0;
    }
    auto dir = OpenAt(memory_->parent.get(), name_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    return dir.ok() ? SumOomKills(dir->get(), /*with_top=*/false) : 0;
  }

  void SampleBlock(Stats& stats) {
    if (auto content = reader_.Read(files_[kBlockBytes])) {
      stats.block_devices.emplace();
      ParseBlkio(*content, BlkioFile::kBytes, *stats.block_devices);
    }
    if (auto content = reader_.Read(files_[kBlockOperations])) {
      if (!stats.block_devices) stats.block_devices.emplace();
      ParseBlkio(*content, BlkioFile::kOperations, *stats.block_devices);
    }
    for (const auto& [size, file] : hugetlb_) {
      std::optional<uint64_t> usage = reader_.ReadNumber(file);
      if (!usage) continue;
      if (!stats.hugetlb) stats.hugetlb.emplace();
      stats.hugetlb->push_back({size, *usage});
    }
  }

  void SamplePressure(File file, std::optional<Pressure>& pressure) {
    if (auto content = reader_.Read(files_[file])) pressure = ParsePressure(*content);
  }

  const std::shared_ptr<const V1Host> host_;
  const std::string name_;
  const Hierarchy* memory_ = nullptr;
  std::array<UniqueFd, kFiles> files_;
  std::vector<std::pair<std::string, UniqueFd>> hugetlb_;
  StatReader reader_;
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
