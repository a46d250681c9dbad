// Device rules as the v1 devices controller can hold them. Pure and thread-safe.
#ifndef CGROUP_V1_DEVICES_H_
#define CGROUP_V1_DEVICES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cgroup/limits.h"

namespace noded::cgroup {

struct DeviceWrite {
  bool allow;        // devices.allow, else devices.deny
  std::string line;  // "a", "c 1:3 rwm", "b *:* m"
  bool operator==(const DeviceWrite&) const = default;
};

// What to write, in order, for rules of which the last match wins. The v1 controller keeps one
// default and a list of exceptions to it, and silently ignores an exception's removal unless major
// and minor are the same; so the rules are folded into that form first. INVALID_ARGUMENT for a rule
// that it cannot hold, such as a denied node within an allowed range: the kernel would allow it.
absl::StatusOr<std::vector<DeviceWrite>> FoldDeviceRules(const std::vector<DeviceRule>& rules);

}  // namespace noded::cgroup

#endif  // CGROUP_V1_DEVICES_H_
