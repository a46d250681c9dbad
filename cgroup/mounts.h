// What of cgroups is mounted, read from /proc/self/mountinfo. Pure and thread-safe.
#ifndef CGROUP_MOUNTS_H_
#define CGROUP_MOUNTS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace noded::cgroup {

struct V1Mount {
  std::string path;
  std::vector<std::string> controllers;  // "cpu", "cpuacct"; or one "name=systemd"
  bool operator==(const V1Mount&) const = default;
};

struct Mounts {
  std::vector<V1Mount> v1;  // one a hierarchy, in the order of the file
  std::optional<std::string> v2_path;
};

// Lines that are no cgroup mounts or cannot be understood are skipped; so are read-only mounts, in
// which no group can be made, and a second mount of a hierarchy.
Mounts ParseMounts(std::string_view mountinfo);

}  // namespace noded::cgroup

#endif  // CGROUP_MOUNTS_H_
