// One container's group on v2: limits on the group, the payload in the leaf below.
#ifndef CGROUP_V2_GROUP_H_
#define CGROUP_V2_GROUP_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cgroup/cgroupfs.h"
#include "cgroup/driver.h"
#include "cgroup/settings.h"
#include "node/base/unique_fd.h"

namespace noded::cgroup {

inline constexpr char kPayloadGroup[] = "payload";

// Immutable after start, shared by the driver and its groups.
struct V2Host {
  std::shared_ptr<CgroupFs> fs;
  UniqueFd parent;
  std::string path;                      // of the parent group, for messages
  std::vector<std::string> controllers;  // enabled for the groups in it
  std::vector<std::string> page_sizes;   // of huge pages: "2MB"
  bool devices = false;
  bool root_parent = false;

  bool Has(std::string_view controller) const;
};

// FAILED_PRECONDITION for a wanted setting whose controller is not there, INVALID_ARGUMENT for a
// cpuset that is beyond the parent's.
absl::Status CheckControllersV2(const V2Host& host, const std::vector<Setting>& settings,
                                const Limits& limits);

// Takes an open directory of the group.
absl::StatusOr<std::unique_ptr<Group>> WrapV2Group(std::shared_ptr<const V2Host> host,
                                                   const std::string& name, UniqueFd dir);

// Statistics of the group `dir`, borrowed for the call. Descriptors: 1 cpu, 6 memory, 2 pids, 1 io,
// 3 pressure, 1 a size of huge pages.
absl::StatusOr<std::unique_ptr<Sampler>> OpenV2Sampler(const V2Host& host, const std::string& name,
                                                       int dir, const SampleOptions& options);

}  // namespace noded::cgroup

#endif  // CGROUP_V2_GROUP_H_
