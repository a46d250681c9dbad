#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cgroup/stat_files.h"
#include "cgroup/v2_group.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded::cgroup {
namespace {

enum File {
  kCpu,
  kMemoryUsage,
  kMemoryPeak,
  kMemoryMax,
  kMemoryStat,
  kMemoryEvents,
  kSwap,
  kPids,
  kPidsMax,
  kIo,
  kCpuPressure,
  kMemoryPressure,
  kIoPressure,
  kFiles,
};

constexpr std::array<const char*, kFiles> kNames = {
    "cpu.stat",      "memory.current",      "memory.peak",  "memory.max", "memory.stat",
    "memory.events", "memory.swap.current", "pids.current", "pids.max",   "io.stat",
    "cpu.pressure",  "memory.pressure",     "io.pressure"};

class V2Sampler : public Sampler {
 public:
  explicit V2Sampler(std::string name) : name_(std::move(name)) {}

  void Open(int dir, const std::vector<std::string>& page_sizes, const SampleOptions& options) {
    for (size_t file = 0; file < kFiles; ++file) {
      if (file >= kCpuPressure && !options.pressure) break;
      if (auto fd = OpenAt(dir, kNames[file], O_RDONLY); fd.ok()) files_[file] = *std::move(fd);
    }
    for (const std::string& size : page_sizes) {
      auto fd = OpenAt(dir, absl::StrCat("hugetlb.", size, ".current"), O_RDONLY);
      if (fd.ok()) hugetlb_.emplace_back(size, *std::move(fd));
    }
  }

  absl::StatusOr<Stats> Sample() override {
    Stats stats;
    if (auto content = reader_.Read(files_[kCpu])) ParseCpuStatV2(*content, stats);
    SampleMemory(stats);
    stats.pids_current = reader_.ReadNumber(files_[kPids]);
    stats.pids_limit = reader_.ReadNumber(files_[kPidsMax]);
    if (auto content = reader_.Read(files_[kIo])) stats.block_devices = ParseIoStat(*content);
    for (const auto& [size, file] : hugetlb_) {
      std::optional<uint64_t> usage = reader_.ReadNumber(file);
      if (!usage) continue;
      if (!stats.hugetlb) stats.hugetlb.emplace();
      stats.hugetlb->push_back({size, *usage});
    }
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
  void SampleMemory(Stats& stats) {
    stats.memory_usage_bytes = reader_.ReadNumber(files_[kMemoryUsage]);
    stats.memory_peak_bytes = reader_.ReadNumber(files_[kMemoryPeak]);
    stats.memory_limit_bytes = reader_.ReadNumber(files_[kMemoryMax]);
    stats.memory_swap_bytes = reader_.ReadNumber(files_[kSwap]);
    if (auto content = reader_.Read(files_[kMemoryStat])) ParseMemoryStat(*content, false, stats);
    // Of the groups below too.
    if (auto content = reader_.Read(files_[kMemoryEvents])) {
      stats.memory_max_events = ParseKeyed(*content, "max");
      stats.oom_events = ParseKeyed(*content, "oom");
      stats.oom_kills = ParseKeyed(*content, "oom_kill");
    }
  }

  void SamplePressure(File file, std::optional<Pressure>& pressure) {
    if (auto content = reader_.Read(files_[file])) pressure = ParsePressure(*content);
  }

  const std::string name_;
  std::array<UniqueFd, kFiles> files_;
  std::vector<std::pair<std::string, UniqueFd>> hugetlb_;
  StatReader reader_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Sampler>> OpenV2Sampler(const V2Host& host, const std::string& name,
                                                       int dir, const SampleOptions& options) {
  // A removed group's held directory is empty: no file opens in it.
  if (faccessat(dir, "cgroup.procs", F_OK, 0) != 0) {
    return absl::NotFoundError(absl::StrCat("cgroup \"", name, "\" is gone"));
  }
  auto sampler = std::make_unique<V2Sampler>(name);
  sampler->Open(dir, host.page_sizes, options);
  return sampler;
}

}  // namespace noded::cgroup
