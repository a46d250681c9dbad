// The v1 driver: one group of the same name in every hierarchy that is mounted, named ones
// (name=systemd) too. On a hybrid host the v2 mount is one more hierarchy, without controllers.
#ifndef CGROUP_V1_H_
#define CGROUP_V1_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cgroup/cgroupfs.h"
#include "cgroup/driver.h"
#include "cgroup/mounts.h"
#include "cgroup/settings.h"
#include "node/base/unique_fd.h"

namespace noded::cgroup {

struct Hierarchy {
  std::vector<std::string> controllers;  // empty for the v2 mount
  bool unified = false;
  std::string path;  // of the parent group, for messages
  UniqueFd parent;   // the directory that the groups are made in

  bool Has(std::string_view controller) const;
};

// Immutable after start, shared by the driver and its groups.
struct V1Host {
  std::shared_ptr<CgroupFs> fs;
  std::vector<Hierarchy> hierarchies;
  std::vector<std::string> page_sizes;  // of huge pages: "2MB"
  bool root_parent = false;             // groups are made in the root of each hierarchy

  // nullptr when it is not mounted.
  const Hierarchy* Find(std::string_view controller) const;
  const Hierarchy* Unified() const;
  size_t IndexOf(const Hierarchy& hierarchy) const { return &hierarchy - hierarchies.data(); }
};

absl::StatusOr<std::unique_ptr<Driver>> OpenV1Driver(const Mounts& mounts,
                                                     const std::string& parent,
                                                     std::shared_ptr<CgroupFs> fs);

// A cpuset takes no tasks (ENOSPC) until it has cpus and memory nodes; what is empty is copied from
// the parent group.
absl::Status FillCpuset(int parent, int group);

class V1Group : public Group {
 public:
  // `inodes` of the group's directories, parallel to host->hierarchies; 0 where it is not.
  V1Group(std::shared_ptr<const V1Host> host, std::string name, std::vector<ino_t> inodes)
      : host_(std::move(host)), name_(std::move(name)), members_(std::move(inodes)) {}

  absl::StatusOr<AttachFds> OpenAttach() const override;
  absl::StatusOr<std::unique_ptr<Sampler>> OpenSampler(const SampleOptions& options) const override;
  std::optional<uint64_t> OomKills() const override;
  absl::Status TellOom(OomWatch& watch) const override;
  absl::Status Update(const Limits& next, const UpdateOptions& options) override;
  absl::StatusOr<std::vector<pid_t>> Pids() const override;
  absl::Status Freeze() override;
  absl::Status Thaw() override;
  absl::StatusOr<bool> frozen() const override;
  absl::Status Kill() override;
  absl::Status Remove(absl::Duration bound) override;

 private:
  // The group's directory in one hierarchy; NOT_FOUND when it is not there, or another one is.
  absl::StatusOr<UniqueFd> OpenMember(size_t hierarchy) const;
  absl::StatusOr<UniqueFd> OpenDir(std::string_view controller) const;
  absl::StatusOr<UniqueFd> OpenUnified() const;
  // Any hierarchy holds all tasks; the one in which a payload can hide them least is asked.
  absl::StatusOr<UniqueFd> OpenTasks() const;
  // The cgroup2 directory, when it has this file; else invalid.
  UniqueFd UnifiedWith(const char* file) const;
  absl::Status SetFreezerState(std::string_view state, absl::Duration bound);
  // Sets what is initial of a cpuset: what the parent has.
  absl::Status SetInitialCpuset(std::vector<Setting>& settings) const;

  std::shared_ptr<const V1Host> host_;
  std::string name_;
  std::vector<ino_t> members_;
};

// Whether samples come from this hierarchy.
bool HasStats(const Hierarchy& hierarchy);

// FAILED_PRECONDITION for a wanted setting whose controller is not there, INVALID_ARGUMENT for a
// cpuset that is beyond the parent's.
absl::Status CheckControllersV1(const V1Host& host, const std::vector<Setting>& settings);

// Opens the group in every hierarchy where it is. NOT_FOUND when it is in none.
absl::StatusOr<std::unique_ptr<V1Group>> OpenV1Group(std::shared_ptr<const V1Host> host,
                                                     const std::string& name);

}  // namespace noded::cgroup

#endif  // CGROUP_V1_H_
