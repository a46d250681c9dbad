// One interface over both cgroup hierarchies. A Driver is chosen once at start by what is mounted;
// it makes, finds and removes Groups, and a Group is one container's cgroup in every controller.
//
// Kernel documentation: admin-guide/cgroup-v1/*, admin-guide/cgroup-v2.
#ifndef CGROUP_DRIVER_H_
#define CGROUP_DRIVER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cgroup/limits.h"
#include "node/base/unique_fd.h"

namespace noded::cgroup {

// What is mounted. Hybrid is v1 controllers with a v2 mount beside them, used for what it offers
// (cgroup.kill, cgroup.freeze) but driven as v1.
enum class Mode { kV1, kV2, kHybrid };
std::string_view ModeName(Mode mode);  // "v1", "v2", "hybrid"

// How a child gets into the group, as passed descriptors, so that no path is looked up twice. Both
// ways spare the lock that a write of a pid to cgroup.procs takes, for which the kernel waits for a
// grace period of RCU: some 10 ms on a quiet host.
struct AttachFds {
  // v2, and the v2 side of hybrid: a directory for CLONE_INTO_CGROUP (on v2 the leaf that holds the
  // payload). Else invalid.
  UniqueFd into;
  // v1: `tasks` files, opened for writing. The child, with one thread, writes "0" to each and so
  // moves itself; that the mover is the moved is why no lock is needed (since Linux 5.5,
  // cgroup_procs_write_start).
  std::vector<UniqueFd> tasks;
};

// Thread-compatible. Holds descriptors of its directories, so a group made again under the same
// name is never taken for the old one. Destroying a Group does not remove the cgroup.
class Group {
 public:
  virtual ~Group() = default;

  virtual absl::StatusOr<AttachFds> OpenAttach() const = 0;
  // From held descriptors: no path walk. A group that is gone: NOT_FOUND.
  virtual absl::StatusOr<Stats> ReadStats() const = 0;
  virtual absl::StatusOr<std::vector<pid_t>> Pids() const = 0;
  virtual absl::Status Freeze() = 0;
  virtual absl::Status Thaw() = 0;
  // SIGKILL to every task, also those forked meanwhile: cgroup.kill, else freeze, signal, thaw (on
  // v1 a frozen task does not die before the thaw). Returns without waiting for their end.
  virtual absl::Status Kill() = 0;
  // Removes the group and what a payload made below it. Retries EBUSY with backoff while tasks die,
  // for `bound` at most; DEADLINE_EXCEEDED names the tasks that are left and their state. Gone: OK.
  virtual absl::Status Remove(absl::Duration bound) = 0;
};

// Thread-safe.
class Driver {
 public:
  virtual ~Driver() = default;

  virtual Mode mode() const = 0;
  // Controllers that work here, by name: "memory", "cpu", "cpuacct", "cpuset", "pids", "devices",
  // "freezer", …
  virtual std::vector<std::string> controllers() const = 0;
  // Makes <parent>/<name> in every controller and applies the limits; all or nothing. A limit whose
  // controller is missing is FAILED_PRECONDITION with the field's name ("limits.memory_bytes").
  virtual absl::StatusOr<std::unique_ptr<Group>> Create(const std::string& name,
                                                        const Limits& limits) = 0;
  // Opens an existing group after a restart. NOT_FOUND when it is not there in any controller.
  virtual absl::StatusOr<std::unique_ptr<Group>> Open(const std::string& name) = 0;
  // Names of the groups below the parent, for finding what a crash left behind.
  virtual absl::StatusOr<std::vector<std::string>> List() = 0;
};

struct DriverOptions {
  std::string parent = "/noded";  // below each hierarchy's root; made when missing
  std::string driver = "auto";    // "auto", "v1", "v2"
  std::string mounts_path = "/proc/self/mountinfo";  // tests give a picture of another host
};
// FAILED_PRECONDITION says what is mounted and what was asked for.
absl::StatusOr<std::unique_ptr<Driver>> OpenDriver(const DriverOptions& options);

}  // namespace noded::cgroup

#endif  // CGROUP_DRIVER_H_
