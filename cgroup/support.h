// Which limits this host keeps, found by looking: a file that takes a write is not yet a limit.
#ifndef CGROUP_SUPPORT_H_
#define CGROUP_SUPPORT_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cgroup/cgroupfs.h"
#include "cgroup/driver.h"
#include "cgroup/limits.h"

namespace noded::cgroup {

// What a driver knows of its hierarchies. Thread-safe.
struct Probe {
  bool v1 = false;
  const CgroupFs* fs = nullptr;
  std::function<bool(std::string_view controller)> has_controller;
  // Of a group, as seen in the parent group; true when that is a root, which has few files.
  std::function<bool(std::string_view controller, std::string_view file)> has_file;
  bool device_programs = false;  // v2
  bool unified_freezer = false;  // cgroup.freeze, on v2 and hybrid
  bool pressure = false;         // cpu.pressure of a group
};

std::vector<Support> ListSupport(const Probe& probe);
std::vector<Unkept> FindUnkept(const Probe& probe, const Limits& limits);

// "2MB", "1GB": the sizes of which the host can have huge pages.
std::vector<std::string> HugePageSizes(const CgroupFs& fs);
// Whether any disk is scheduled by bfq, without which its weights mean nothing.
bool HasBfqDisk(const CgroupFs& fs);

}  // namespace noded::cgroup

#endif  // CGROUP_SUPPORT_H_
