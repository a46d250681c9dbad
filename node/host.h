// What the engine must know of the machine and its user's host paths. Reads only, but for
// MakeBindSources. May block as long as the file systems of these paths do.
#ifndef NODE_HOST_H_
#define NODE_HOST_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/launch/plan.h"
#include "node/v1/container.pb.h"

namespace noded {

// Facts that stay the same until the next boot. `open_files` as in EngineOptions.
absl::StatusOr<launch::HostFacts> ReadHostFacts(uint64_t open_files);
// A new one each boot (random(4)).
absl::StatusOr<std::string> ReadBootId();

// One mount of /proc/PID/mountinfo that shows a cgroup hierarchy; pure, for the parser's tests.
std::vector<launch::CgroupMount> ParseCgroupMounts(const std::string& mountinfo);

// What a mount of /proc/PID/mountinfo is to others: "shared:1", "master:2", both, or "" when it is
// private or not there. Pure.
std::string ParsePropagation(const std::string& mountinfo, uint64_t mount_id);

// The root directory, the sources of bind mounts, the devices and the disks must be there, and
// mounts able to propagate where that is asked for.
// INVALID_ARGUMENT names every field that is not so. `at` is told each path before it is touched.
absl::Status CheckHostPaths(const node::v1::ContainerSpec& spec,
                            const std::function<void(const std::string&)>& at);
// Of these, the devices and the disks of limits.block_io.
absl::Status CheckLimitPathsOf(const node::v1::ContainerSpec& spec,
                               const std::function<void(const std::string&)>& at);
// The paths of CheckHostPaths.
std::vector<std::string> HostPaths(const node::v1::ContainerSpec& spec);
// Makes what create_source asks for.
absl::Status MakeBindSources(const node::v1::ContainerSpec& spec);
// INVALID_ARGUMENT when one is no device any more.
absl::StatusOr<std::vector<launch::ResolvedDevice>> ResolveDevices(
    const node::v1::ContainerSpec& spec);
// The disks of limits.block_io.devices, by path or by "major:minor". INVALID_ARGUMENT when one is
// not there, is a partition (the kernel limits whole disks), or is there twice.
absl::StatusOr<std::vector<launch::BlockDevice>> ResolveBlockDevices(
    const node::v1::Limits& limits);

}  // namespace noded

#endif  // NODE_HOST_H_
