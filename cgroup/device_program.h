// Device control on v2 is a BPF program attached to the group (admin-guide/cgroup-v2, "Device
// controller"). The program is a value; loading and attaching it are the only system calls here.
// Thread-safe.
#ifndef CGROUP_DEVICE_PROGRAM_H_
#define CGROUP_DEVICE_PROGRAM_H_

#include <linux/bpf.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cgroup/limits.h"
#include "node/base/unique_fd.h"

namespace noded::cgroup {

// A BPF_PROG_TYPE_CGROUP_DEVICE program that returns 1 (allowed) or 0 (EPERM). Each requested
// access bit is decided by the last rule that names the device and the bit; a bit that no rule
// names is denied.
std::vector<bpf_insn> DeviceProgram(const std::vector<DeviceRule>& rules);

absl::StatusOr<UniqueFd> LoadDeviceProgram(const std::vector<bpf_insn>& program);
// Programs that an AttachDeviceProgram put on this very group, whichever process called it.
absl::StatusOr<std::vector<UniqueFd>> OwnDevicePrograms(int group);
// The group keeps the program until it is removed; `group` is borrowed. In the place of one that is
// there; afterwards there is exactly one of ours.
absl::Status AttachDeviceProgram(int group, const std::vector<bpf_insn>& program);

}  // namespace noded::cgroup

#endif  // CGROUP_DEVICE_PROGRAM_H_
