// What the samplers of both cgroup versions have alike: files that are held open, and of these
// tasks, huge pages and pressure, whose files are the same on v1 (with cgroup2 beside it) and v2.
#ifndef CGROUP_FILE_SAMPLER_H_
#define CGROUP_FILE_SAMPLER_H_

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "cgroup/driver.h"
#include "cgroup/stat_files.h"

namespace noded::cgroup {

// Thread-compatible. A file that is not there leaves its fields absent.
class FileSampler : public Sampler {
 public:
  absl::StatusOr<Stats> Sample() final;
  int descriptors() const final;

 protected:
  // `group` is for the message that it is gone. `files` are numbered by the derived class.
  FileSampler(std::string group, size_t files) : group_(std::move(group)), files_(files) {}

  // Of the rest.
  virtual void SampleOwn(Stats& stats) = 0;

  // Keeps the first that is there of those given for one number.
  void Hold(size_t file, int dir, const std::string& name);
  void HoldPids(int dir);
  void HoldPressure(int dir);
  // "hugetlb.<size>.<suffix>" of each size, one descriptor for all.
  void HoldHugetlb(int dir, const std::vector<std::string>& sizes, const std::string& suffix);
  const UniqueFd& file(size_t number) const { return files_[number]; }

  const std::string group_;
  StatReader reader_;

 private:
  std::vector<UniqueFd> files_;
  UniqueFd pids_, pids_max_;
  UniqueFd cpu_pressure_, memory_pressure_, io_pressure_;
  // Sizes of huge pages and their files. The file of the only one is held; of several their
  // directory, for the sake of descriptors: few hosts have use for more than one.
  std::vector<std::pair<std::string, std::string>> page_sizes_;
  UniqueFd hugetlb_;
};

}  // namespace noded::cgroup

#endif  // CGROUP_FILE_SAMPLER_H_
