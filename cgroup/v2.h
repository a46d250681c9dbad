// The v2 driver: limits sit on <parent>/<name>, the payload in the leaf <parent>/<name>/payload.
// The leaf is there because a payload that enables controllers in its own group (systemd inside)
// makes that group refuse processes, and because what it may write must not include its own limits.
#ifndef CGROUP_V2_H_
#define CGROUP_V2_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cgroup/cgroupfs.h"
#include "cgroup/driver.h"

namespace noded::cgroup {

// Enables the controllers in cgroup.subtree_control from the root down to the parent.
absl::StatusOr<std::unique_ptr<Driver>> OpenV2Driver(const std::string& mount_path,
                                                     const std::string& parent,
                                                     std::shared_ptr<CgroupFs> fs);

}  // namespace noded::cgroup

#endif  // CGROUP_V2_H_
