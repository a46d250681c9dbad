// The supervisor's half of making a process: what has to be there before the clone, the clone, and
// what is done to the child from outside before it may go on. Neither waits for the child.
// Single-threaded.
#ifndef NODE_SHIM_LAUNCH_H_
#define NODE_SHIM_LAUNCH_H_

#include <sys/types.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "node/base/pidfd.h"
#include "node/base/unique_fd.h"
#include "node/shim/failure.h"
#include "node/shim/handshake.h"

namespace noded::shim {

// Where the child is put. Borrowed descriptors.
struct Placement {
  int cgroup_directory = -1;      // cgroup2: born there
  std::vector<int> cgroup_tasks;  // v1: enters them itself
};

// A child on its way to its program. Destroying it does not end the child.
struct StartedProcess {
  pid_t pid = -1;
  Pidfd pidfd;
  Handshake handshake;
};

// Ids on the host of a container's root; what is made for it is given to them.
struct HostRoot {
  uid_t uid = 0;
  gid_t gid = 0;
};
HostRoot HostRootOf(const pb::LaunchPlan& plan);
// So that root of a user namespace can open its standard streams by name, and give them to its
// users. Pipes alone: anything else (/dev/null) is not only the container's. -1 and the host's own
// root are passed over.
void GiveToHostRoot(int fd, HostRoot root);

// The supervisor's ends of init's standard streams. With a terminal there are none.
struct InitStreams {
  UniqueFd output, error_output;
  UniqueFd input;          // only if standard input is held open
  UniqueFd reaper_status;  // only with a reaper
};

// A container's init, from its plan until it is on its way. In two parts, so that noded makes the
// cgroup while the sources are made here. Neither leaves a process when it fails.
class InitLaunch {
 public:
  // `fds` are those that came with the plan (which is 0), for the namespaces to join.
  InitLaunch(pb::LaunchPlan plan, std::vector<UniqueFd> fds)
      : plan_(std::move(plan)), fds_(std::move(fds)) {}
  const pb::LaunchPlan& plan() const { return plan_; }

  // Makes the sources of mounts.
  MaybeFailure Prepare();
  // Makes the child.
  MaybeFailure Place(const Placement& placement, StartedProcess* process);
  // After that.
  InitStreams TakeStreams();

 private:
  struct Pipe {
    UniqueFd reader, writer;
  };
  static MaybeFailure MakePipe(Pipe* out);
  MaybeFailure MakeSources();
  MaybeFailure MakeStreams();
  MaybeFailure MakeChild(const Placement& placement, UniqueFd handshake, StartedProcess* process);

  const pb::LaunchPlan plan_;
  const std::vector<UniqueFd> fds_;
  std::vector<UniqueFd> sources_;
  UniqueFd null_;
  Pipe in_, out_, error_, status_;
};

struct ExecStreams {
  int stdio[3] = {-1, -1, -1};  // borrowed; -1 is /dev/null
};
MaybeFailure StartExec(const pb::ExecPlan& plan, const Pidfd& init, pid_t init_pid,
                       const Placement& placement, const ExecStreams& streams, StartedProcess* out);

// Kills and reaps it.
void Discard(StartedProcess& process);

}  // namespace noded::shim

#endif  // NODE_SHIM_LAUNCH_H_
