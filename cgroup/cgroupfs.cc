#include "cgroup/cgroupfs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup/device_program.h"

namespace noded::cgroup {

int CgroupFs::MakeGroup(int parent, const char* name) { return mkdirat(parent, name, 0755); }

int CgroupFs::RemoveGroup(int parent, const char* name) {
  return unlinkat(parent, name, AT_REMOVEDIR);
}

bool CgroupFs::DeviceProgramsWork() { return LoadDeviceProgram(DeviceProgram({})).ok(); }

absl::Status CgroupFs::AttachDevices(int group, const std::vector<DeviceRule>& rules) {
  return AttachDeviceProgram(group, DeviceProgram(rules));
}

}  // namespace noded::cgroup
