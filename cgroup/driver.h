// One interface over both cgroup hierarchies. A Driver is chosen once at start by what is mounted;
// it makes, finds and removes Groups, and a Group is one container's cgroup in every controller.
//
// Kernel documentation: admin-guide/cgroup-v1/*, admin-guide/cgroup-v2.
#ifndef CGROUP_DRIVER_H_
#define CGROUP_DRIVER_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cgroup/limits.h"
#include "cgroup/oom_watch.h"
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

struct SampleOptions {
  bool pressure = true;  // a quarter of a sample's cost
};

// Holds a group's statistics files open (at most 15 descriptors on a hybrid host) and reads them
// again and again. Independent of the Group that it came from. Thread-compatible.
class Sampler {
 public:
  virtual ~Sampler() = default;
  // A group that is gone: NOT_FOUND.
  virtual absl::StatusOr<Stats> Sample() = 0;
  virtual int descriptors() const = 0;
};

struct UpdateOptions {
  // Lowering memory below what is in use: reclaim first, instead of refusing at once. Nothing is
  // ever killed to get there.
  bool force = false;
};

// Thread-compatible. Knows its directories by their inodes, so a group made again under the same
// name is never taken for the old one. Destroying a Group does not remove the cgroup.
class Group {
 public:
  virtual ~Group() = default;

  virtual absl::StatusOr<AttachFds> OpenAttach() const = 0;
  // Opens a sampler, takes one sample and closes it again. A group that is gone: NOT_FOUND.
  absl::StatusOr<Stats> ReadStats() const;
  virtual absl::StatusOr<std::unique_ptr<Sampler>> OpenSampler(
      const SampleOptions& options) const = 0;
  // Tasks of the group, and of those below, that were killed because memory ran out. nullopt: the
  // host does not tell, or the group is gone. Opens one file.
  virtual std::optional<uint64_t> OomKills() const = 0;
  // Has the watch told when memory runs out in the group, by the group's name.
  virtual absl::Status TellOom(OomWatch& watch) const = 0;
  // From the limits in force, which the kernel's files tell, to `next`: a field that is absent goes
  // back to what a new group has. Only what differs is written, in an order that the kernel takes
  // at each step. All or nothing: when one is refused, those before it are written back in reverse.
  // Empty `devices` leaves device control alone. INVALID_ARGUMENT and FAILED_PRECONDITION name the
  // field ("limits.memory.max_bytes"); the latter with use and limit when memory in use is in the
  // way. A failed roll-back is INTERNAL and names both.
  virtual absl::Status Update(const Limits& next, const UpdateOptions& options) = 0;
  virtual absl::StatusOr<std::vector<pid_t>> Pids() const = 0;
  virtual absl::Status Freeze() = 0;
  virtual absl::Status Thaw() = 0;
  // By whichever freezer: what a crash left so is thawed by Thaw().
  virtual absl::StatusOr<bool> frozen() const = 0;
  // SIGKILL to every task, also those forked meanwhile: cgroup.kill, else freeze, signal, thaw (on
  // v1 a frozen task does not die before the thaw). Returns without waiting for their end. The
  // group is of no use afterwards: Linux 6.18 kills also what is cloned into it later.
  virtual absl::Status Kill() = 0;
  // Removes the group and what a payload made below it. Retries EBUSY with backoff while tasks die,
  // for `bound` at most; DEADLINE_EXCEEDED names the tasks that are left, their state and where in
  // the kernel they are. Gone: OK.
  virtual absl::Status Remove(absl::Duration bound) = 0;
};

// One field of the API ("limits.cpu.quota_us", "stats.pressure"), and whether this host keeps it.
// Reason and remedy are empty when it does.
struct Support {
  std::string field;
  bool enforceable = false;
  std::string reason;    // why not: "the host has no swap"
  std::string remedy;    // what would help: "add swap with swapon(8)"
  bool in_part = false;  // not enforceable for all that it says; see Unkept
};

// A limit of a spec that this host does not keep.
struct Unkept {
  std::string field;  // with the index in a list: "limits.block_io.devices[1].write_bytes_…"
  std::string reason;
  std::string remedy;
  // Kept for some of what it is for (v1: direct writes, not buffered ones): on best effort it is
  // applied all the same.
  bool in_part = false;
};
// FAILED_PRECONDITION (reason NOT_SUPPORTED) that names each with reason and remedy; OK for none.
absl::Status UnkeptStatus(const std::vector<Unkept>& unkept);
// Takes away what of `limits` is named there, except what is kept in part. For best effort.
void StripUnkept(const std::vector<Unkept>& unkept, Limits& limits);

// Thread-safe.
class Driver {
 public:
  virtual ~Driver() = default;

  virtual Mode mode() const = 0;
  // Controllers that work here, by name: "memory", "cpu", "cpuacct", "cpuset", "pids", "devices",
  // "freezer", …
  virtual std::vector<std::string> controllers() const = 0;
  // Every field that there is, probed when called (a file system walk of some 100 µs): whether
  // swap is on, a disk has the bfq scheduler or the kernel takes device programs may change.
  virtual std::vector<Support> Enforceable() const = 0;
  // Which of these limits this host does not keep. Whoever creates or updates asks first, and
  // either refuses (UnkeptStatus) or, on best effort, strips and records them.
  virtual std::vector<Unkept> Unenforceable(const Limits& limits) const = 0;
  // Everything of Create that can be refused before anything is made: limits that contradict each
  // other, processors that the parent has not, a controller that is missing.
  virtual absl::Status Check(const Limits& limits) const = 0;
  // Makes <parent>/<name> in every controller and applies the limits; all or nothing. A limit whose
  // controller is missing is FAILED_PRECONDITION with the field's name ("limits.memory.max_bytes").
  virtual absl::StatusOr<std::unique_ptr<Group>> Create(const std::string& name,
                                                        const Limits& limits) = 0;
  // Opens an existing group after a restart. NOT_FOUND when it is not there in any controller.
  virtual absl::StatusOr<std::unique_ptr<Group>> Open(const std::string& name) = 0;
  // Names of the groups below the parent, for finding what a crash left behind.
  virtual absl::StatusOr<std::vector<std::string>> List() = 0;
};

struct DriverOptions {
  std::string parent = "/noded";  // below each hierarchy's root
  // Make the parent when it is missing. Else it must be there, on v1 in one hierarchy at least: a
  // service manager makes its groups in some only, and the others get it then.
  bool make_parent = true;
  std::string driver = "auto";                       // "auto", "v1", "v2"
  std::string mounts_path = "/proc/self/mountinfo";  // tests give a picture of another host
  // Told of OOM in every group that is created or opened, as far as the host can. Outlives the
  // driver; nullptr: nobody is told.
  OomWatch* oom_watch = nullptr;
};
// FAILED_PRECONDITION says what is mounted and what was asked for; INVALID_ARGUMENT names
// "spec.cgroup_parent" when that must be there and is not.
absl::StatusOr<std::unique_ptr<Driver>> OpenDriver(const DriverOptions& options);

}  // namespace noded::cgroup

#endif  // CGROUP_DRIVER_H_
