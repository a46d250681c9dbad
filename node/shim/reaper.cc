#include "node/shim/reaper.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "node/shim/credentials.h"
#include "node/shim/process.h"

namespace noded::shim {
namespace {

[[noreturn]] void EndLike(int wait_status, int status_pipe) {
  (void)!write(status_pipe, &wait_status, sizeof(wait_status));
  // What those see who look at PID 1 alone.
  _exit(WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status));
}

void ReapAll(pid_t main_process, int status_pipe) {
  while (true) {
    int wait_status;
    pid_t pid = waitpid(-1, &wait_status, WNOHANG | __WALL);
    if (pid <= 0) return;
    if (pid == main_process) EndLike(wait_status, status_pipe);
  }
}

}  // namespace

void RunReaper(pid_t main_process, int status) {
  (void)prctl(PR_SET_NAME, "node-init", 0, 0, 0);
  // In a pid namespace that is not its own, orphans would go to somebody else.
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // The standard streams too: held here, a pipe would not end when the main process closes it.
  CloseAllBut({status});
  KeepOnlyKill();
  // All are blocked since the supervisor's start, and blocked signals are queued even where PID 1
  // would ignore them, so none is lost between the clone and this wait.
  sigset_t all;
  sigfillset(&all);
  while (true) {
    siginfo_t info;
    int signal = sigwaitinfo(&all, &info);
    if (signal < 0) continue;
    if (signal == SIGCHLD) {
      ReapAll(main_process, status);
    } else {
      kill(main_process, signal);
    }
  }
}

}  // namespace noded::shim
