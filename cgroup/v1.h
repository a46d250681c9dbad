// The v1 driver: one group of the same name in every hierarchy that is mounted, named ones
// (name=systemd) too. On a hybrid host the v2 mount is one more hierarchy, without controllers.
#ifndef CGROUP_V1_H_
#define CGROUP_V1_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cgroup/cgroupfs.h"
#include "cgroup/driver.h"
#include "cgroup/mounts.h"
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
  // Where the group is in one hierarchy. Inode 0: it is not there. The directory is held only where
  // it is read from (few descriptors a container); elsewhere the inode, which kernfs does not use
  // again, tells the group from a later one of the same name.
  struct Member {
    ino_t inode = 0;
    UniqueFd dir;
  };
  V1Group(std::shared_ptr<const V1Host> host, std::string name, std::vector<Member> members)
      : host_(std::move(host)), name_(std::move(name)), members_(std::move(members)) {}

  absl::StatusOr<AttachFds> OpenAttach() const override;
  absl::StatusOr<Stats> ReadStats() const override;
  absl::StatusOr<std::vector<pid_t>> Pids() const override;
  absl::Status Freeze() override;
  absl::Status Thaw() override;
  absl::Status Kill() override;
  absl::Status Remove(absl::Duration bound) override;

 private:
  // Borrowed directory of the group where this controller is; -1 when there is none.
  int DirOf(std::string_view controller) const;
  int UnifiedDir() const;
  // Any hierarchy holds all tasks; the one in which a payload can hide them least is asked.
  absl::StatusOr<int> TasksDir() const;
  absl::Status SetFreezerState(std::string_view state, absl::Duration bound);
  void ReadMemory(Stats& stats) const;
  void ReadCpu(Stats& stats) const;

  std::shared_ptr<const V1Host> host_;
  std::string name_;
  std::vector<Member> members_;  // parallel to host_->hierarchies
};

// Opens the group in every hierarchy where it is. NOT_FOUND when it is in none.
absl::StatusOr<std::unique_ptr<V1Group>> OpenV1Group(std::shared_ptr<const V1Host> host,
                                                     const std::string& name);

}  // namespace noded::cgroup

#endif  // CGROUP_V1_H_
