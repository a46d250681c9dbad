// The last part of making a process, the same for a container's main process and an exec'd one:
// from "root in the container's namespaces" to execve. Runs in a child that is nothing else any
// more.
#ifndef NODE_SHIM_PROCESS_H_
#define NODE_SHIM_PROCESS_H_

#include <sys/types.h>

#include <vector>

#include "node/shim/failure.h"
#include "node/shim/handshake.h"
#include "node/shim/terminal.h"

namespace noded::shim {

struct ProcessContext {
  const pb::ProcessPlan& plan;
  int root = -1;                // of the container; also this process's
  int stdio[3] = {-1, -1, -1};  // without a terminal
  Terminal* terminal = nullptr;
  Reporter& reporter;
  // The process ends with its parent: this is the reaper's pid, or 0 when it is the supervisor,
  // which a new pid namespace does not show.
  pid_t parent = 0;
};

// Never returns: becomes the program, or reports why not and exits.
[[noreturn]] void RunProcess(const ProcessContext& context);

// Closes every descriptor but these, standard streams too; negative ones are passed over: what a
// child in a container's namespaces does not hold cannot be taken from it.
void CloseAllBut(std::vector<int> kept);

}  // namespace noded::shim

#endif  // NODE_SHIM_PROCESS_H_
