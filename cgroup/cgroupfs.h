// What a cgroup file system does and a plain directory tree does not, so that the drivers also run
// over a tree drawn in a test: mkdir fills the new directory with files, rmdir takes them along,
// and device programs can be attached. Everything else the drivers do is open, read and write.
// Thread-safe.
#ifndef CGROUP_CGROUPFS_H_
#define CGROUP_CGROUPFS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cgroup/driver.h"
#include "cgroup/limits.h"

namespace noded::cgroup {

class CgroupFs {
 public:
  virtual ~CgroupFs() = default;
  // As mkdirat(2) and rmdir(2) relative to a borrowed directory: 0, or -1 with errno.
  virtual int MakeGroup(int parent, const char* name);
  virtual int RemoveGroup(int parent, const char* name);
  // v2 only: whether the kernel takes device programs, and attaching one to a borrowed group.
  virtual bool DeviceProgramsWork();
  // Afterwards the group has exactly one program of ours, at no moment none.
  virtual absl::Status AttachDevices(int group, const std::vector<DeviceRule>& rules);
  // Where a file of the host's /proc or /sys is.
  virtual std::string HostPath(const std::string& path) const { return path; }
};

// OpenDriver over another file system than the kernel's. The driver and its groups share `fs`.
absl::StatusOr<std::unique_ptr<Driver>> OpenDriverOn(const DriverOptions& options,
                                                     std::shared_ptr<CgroupFs> fs);

}  // namespace noded::cgroup

#endif  // CGROUP_CGROUPFS_H_
