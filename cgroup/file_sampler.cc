#include "cgroup/file_sampler.h"

#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"

namespace noded::cgroup {
namespace {

// Invalid when it is not there.
UniqueFd TryOpen(int dir, const std::string& name) {
  auto fd = OpenAt(dir, name, O_RDONLY);
  return fd.ok() ? *std::move(fd) : UniqueFd();
}

}  // namespace

void FileSampler::Hold(size_t file, int dir, const std::string& name) {
  if (!files_[file]) files_[file] = TryOpen(dir, name);
}

void FileSampler::HoldPids(int dir) {
  pids_ = TryOpen(dir, "pids.current");
  pids_max_ = TryOpen(dir, "pids.max");
}

void FileSampler::HoldPressure(int dir) {
  cpu_pressure_ = TryOpen(dir, "cpu.pressure");
  memory_pressure_ = TryOpen(dir, "memory.pressure");
  io_pressure_ = TryOpen(dir, "io.pressure");
}

void FileSampler::HoldHugetlb(int dir, const std::vector<std::string>& sizes,
                              const std::string& suffix) {
  for (const std::string& size : sizes) {
    std::string name = absl::StrCat("hugetlb.", size, ".", suffix);
    if (faccessat(dir, name.c_str(), F_OK, 0) == 0) page_sizes_.emplace_back(size, std::move(name));
  }
  if (page_sizes_.size() == 1) hugetlb_ = TryOpen(dir, page_sizes_[0].second);
  if (page_sizes_.size() > 1) hugetlb_ = TryOpen(dir, ".");
}

absl::StatusOr<Stats> FileSampler::Sample() {
  Stats stats;
  SampleOwn(stats);
  stats.pids_current = reader_.ReadNumber(pids_);
  stats.pids_limit = reader_.ReadNumber(pids_max_);
  for (const auto& [size, name] : page_sizes_) {
    std::optional<uint64_t> usage = page_sizes_.size() == 1
                                        ? reader_.ReadNumber(hugetlb_)
                                        : reader_.ReadNumber(TryOpen(hugetlb_.get(), name));
    if (!usage) continue;
    if (!stats.hugetlb) stats.hugetlb.emplace();
    stats.hugetlb->push_back({size, *usage});
  }
  auto sample_pressure = [this](const UniqueFd& file, std::optional<Pressure>& pressure) {
    if (auto content = reader_.Read(file)) pressure = ParsePressure(*content);
  };
  sample_pressure(cpu_pressure_, stats.cpu_pressure);
  sample_pressure(memory_pressure_, stats.memory_pressure);
  sample_pressure(io_pressure_, stats.io_pressure);
  if (reader_.gone()) return absl::NotFoundError(absl::StrCat("cgroup \"", group_, "\" is gone"));
  return stats;
}

int FileSampler::descriptors() const {
  int held = 0;
  for (const UniqueFd& one : files_) held += one.valid();
  for (const UniqueFd* one :
       {&pids_, &pids_max_, &hugetlb_, &cpu_pressure_, &memory_pressure_, &io_pressure_}) {
    held += one->valid();
  }
  return held;
}

}  // namespace noded::cgroup
