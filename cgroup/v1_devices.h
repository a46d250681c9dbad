// Device rules as the v1 devices controller can hold them, and writing them. Thread-safe.
#ifndef CGROUP_V1_DEVICES_H_
#define CGROUP_V1_DEVICES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
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

// What brings a group with this devices.list to what FoldDeviceRules says, and back again.
struct DeviceChange {
  std::vector<DeviceWrite> writes, undo;
  // The default changes, for which the kernel takes "a", and takes it only without groups below.
  bool whole = false;
};
DeviceChange DevicesBetween(std::string_view device_list, const std::vector<DeviceWrite>& wanted);

// Writes them to devices.allow and devices.deny at `prefix` ("web/") below a borrowed directory.
absl::Status WriteDevices(int dir, const std::string& prefix,
                          const std::vector<DeviceWrite>& writes);
// The change as a whole for the group `dir`: parents before children, since a group may hold only
// what its parent holds. A group below that has the same list as ours gets what is added too; one
// of which the payload made something else keeps it. What is taken away the kernel takes from all.
absl::Status UpdateDevices(int dir, const std::vector<DeviceWrite>& wanted);

}  // namespace noded::cgroup

#endif  // CGROUP_V1_DEVICES_H_
