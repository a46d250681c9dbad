// What a cloned child does between clone3 and RunProcess: init of a container carries out the
// plan's steps, an exec'd process joins init's namespaces.
#ifndef NODE_SHIM_CHILD_H_
#define NODE_SHIM_CHILD_H_

#include <vector>

#include "node/base/unique_fd.h"
#include "node/shim/failure.h"
#include "node/shim/handshake.h"

namespace noded::shim {

// Descriptors of the child, all borrowed from the supervisor's table as it was copied; the child
// closes all others.
struct InitChild {
  const pb::LaunchPlan& plan;
  std::vector<UniqueFd>& sources;
  UniqueFd handshake;
  const std::vector<int>& cgroup_tasks;
  int stdio[3];
  int reaper_status = -1;  // write end; only with a reaper
};
[[noreturn]] void RunInit(InitChild child);

struct ExecChild {
  const pb::ExecPlan& plan;
  int init = -1;  // pidfd
  UniqueFd handshake;
  const std::vector<int>& cgroup_tasks;
  int stdio[3];
};
[[noreturn]] void RunExec(ExecChild child);

// The first that either does: closes all that is not its own, waits for the supervisor, enters its
// cgroups, so that all further is under their limits. `own` are the descriptors that it keeps.
void AwaitGoAndEnterCgroups(Reporter& reporter, const std::vector<int>& cgroup_tasks,
                            std::vector<int> own);

}  // namespace noded::shim

#endif  // NODE_SHIM_CHILD_H_
