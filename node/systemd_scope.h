// Where containers live on a host whose service manager is systemd: one delegated scope for all,
// <slice>/<scope>/<id>, with their supervisors in <slice>/<scope>/supervisors. Not below noded's
// own unit, because its limits would hold for them, and because systemd cannot restart a unit that
// has controllers enabled in its group (219/CGROUP).
//
// systemd-run makes the scope. A scope begins with a process and ends with its last one: a small
// process of ours, the holder, lives in it as long as we do, so that it does not come and go with
// each container. With us ends the holder (its input is a pipe of ours) and, when no container
// runs, the scope.
//
// systemd.scope(5), systemd-run(1), "Control Group APIs and Delegation" of systemd's documentation.
#ifndef NODE_SYSTEMD_SCOPE_H_
#define NODE_SYSTEMD_SCOPE_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "node/base/pidfd.h"
#include "node/base/unique_fd.h"

namespace noded {

namespace cgroup {
class CgroupFs;
struct Mounts;
}  // namespace cgroup

// The supervisors' group, beside the containers' and never one of them: ids are hexadecimal.
inline constexpr char kSupervisorsGroup[] = "supervisors";

// Whether this very process was started by systemd as PID 1: not a shell that a unit started, whose
// environment is inherited.
bool StartedBySystemd();

struct SystemdScopeOptions {
  std::string slice = "noded.slice";
  std::string scope = "noded-containers.scope";
  std::string systemd_run = "systemd-run";           // found in PATH
  std::string mounts_path = "/proc/self/mountinfo";  // tests give a picture of another host
  std::shared_ptr<cgroup::CgroupFs> fs;              // empty: the kernel's
  absl::Duration bound = absl::Seconds(10);          // for systemd to make the scope
};

// Thread-safe; may block for `bound`.
class SystemdScope {
 public:
  // Makes the scope, or finds the one that running containers keep.
  static absl::StatusOr<std::unique_ptr<SystemdScope>> Make(SystemdScopeOptions options);
  ~SystemdScope();

  // As a cgroup parent: "/noded.slice/noded-containers.scope".
  const std::string& path() const { return path_; }
  // Moves a process into the supervisors' group. A scope that somebody has stopped is made again.
  absl::Status Enter(pid_t process);

 private:
  struct Holder {
    pid_t pid = -1;
    Pidfd process;
    UniqueFd input;  // its end is the holder's
  };

  explicit SystemdScope(SystemdScopeOptions options);
  absl::Status Hold() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status HoldBy(const std::vector<std::string>& command)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static absl::StatusOr<Holder> StartHolder(std::vector<std::string> command, absl::Duration bound);
  absl::Status Place(pid_t process) const;

  const SystemdScopeOptions options_;
  const std::string path_;
  std::unique_ptr<const cgroup::Mounts> mounts_;
  absl::Mutex mutex_;
  std::optional<Holder> holder_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace noded

#endif  // NODE_SYSTEMD_SCOPE_H_
