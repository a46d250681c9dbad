#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "node/shim/child.h"
#include "node/shim/credentials.h"
#include "node/shim/process.h"
#include "node/shim/terminal.h"

namespace noded::shim {

void RunExec(ExecChild child) {
  Reporter reporter(std::move(child.handshake));
  AwaitGoAndEnterCgroups(reporter, child.cgroup_tasks,
                         {child.init, child.stdio[0], child.stdio[1], child.stdio[2]});
  // This process is not dumpable, as the supervisor is not: else the container's processes could
  // trace it once it is among them, and take what it holds (CVE-2016-9962). The pid namespace is
  // left out, because it was joined before the clone.
  const uint64_t flags = child.plan.join_flags() & ~static_cast<uint64_t>(CLONE_NEWPID);
  if (flags != 0 && setns(child.init, static_cast<int>(flags)) != 0) {
    const auto step = errno == ESRCH ? pb::FAILURE_STEP_NOT_RUNNING : pb::FAILURE_STEP_NAMESPACE;
    reporter.FailAndExit(Fail(step, errno, "namespaces of the container"));
  }
  if (flags & CLONE_NEWUSER) reporter.ExitOn(BecomeNamespaceRoot());
  umask(0);
  UniqueFd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) reporter.FailAndExit(Fail(pb::FAILURE_STEP_ROOT, errno, "/"));
  Terminal terminal;
  if (child.plan.process().tty()) reporter.ExitOn(OpenTerminal(root.get(), &terminal));
  ProcessContext context{.plan = child.plan.process(),
                         .root = root.get(),
                         .terminal = child.plan.process().tty() ? &terminal : nullptr,
                         .reporter = reporter};
  memcpy(context.stdio, child.stdio, sizeof(context.stdio));
  RunProcess(context);
}

}  // namespace noded::shim
