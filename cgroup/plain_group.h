// A group without limits or leaf, the same on every hierarchy, that running processes are put into:
// a place for what belongs to containers and is none. Thread-safe.
#ifndef CGROUP_PLAIN_GROUP_H_
#define CGROUP_PLAIN_GROUP_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "cgroup/cgroupfs.h"
#include "cgroup/mounts.h"

namespace noded::cgroup {

// Puts the process into <parent>/<name> of every hierarchy that a service manager uses for its
// units. The group is made when missing. The parent must be there, NOT_FOUND otherwise, in the
// hierarchy by which a service manager knows what is whose: cgroup2 when it is mounted, else
// "name=systemd".
absl::Status EnterPlainGroup(const Mounts& mounts, const std::string& parent,
                             const std::string& name, pid_t process, CgroupFs& fs);

// Whether a process lives in the group or below it, by that same hierarchy.
bool IsPopulated(const Mounts& mounts, const std::string& group);

}  // namespace noded::cgroup

#endif  // CGROUP_PLAIN_GROUP_H_
