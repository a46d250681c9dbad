#include <unistd.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cgroup/file_sampler.h"
#include "cgroup/v2_group.h"
#include "cgroup/values.h"
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
  kIo,
  kFiles,
};

constexpr std::array<const char*, kFiles> kNames = {
    "cpu.stat",    "memory.current", "memory.peak",         "memory.max",
    "memory.stat", "memory.events",  "memory.swap.current", "io.stat"};

class V2Sampler : public FileSampler {
 public:
  explicit V2Sampler(std::string name) : FileSampler(std::move(name), kFiles) {}

  void Open(int dir, const std::vector<std::string>& page_sizes, const SampleOptions& options) {
    for (size_t file = 0; file < kFiles; ++file) Hold(file, dir, kNames[file]);
    HoldPids(dir);
    if (options.pressure) HoldPressure(dir);
    HoldHugetlb(dir, page_sizes, "current");
  }

 private:
  void SampleOwn(Stats& stats) override {
    if (auto content = reader_.Read(file(kCpu))) ParseCpuStatV2(*content, stats);
    SampleMemory(stats);
    if (auto content = reader_.Read(file(kIo))) stats.block_devices = ParseIoStat(*content);
  }

  void SampleMemory(Stats& stats) {
    stats.memory_usage_bytes = reader_.ReadNumber(file(kMemoryUsage));
    stats.memory_peak_bytes = reader_.ReadNumber(file(kMemoryPeak));
    stats.memory_limit_bytes = reader_.ReadNumber(file(kMemoryMax));
    stats.memory_swap_bytes = reader_.ReadNumber(file(kSwap));
    if (auto content = reader_.Read(file(kMemoryStat))) ParseMemoryStat(*content, false, stats);
    // Of the groups below too.
    if (auto content = reader_.Read(file(kMemoryEvents))) {
      stats.memory_max_events = ParseKeyed(*content, "max");
      stats.oom_events = ParseKeyed(*content, "oom");
      stats.oom_kills = ParseKeyed(*content, "oom_kill");
    }
  }
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
