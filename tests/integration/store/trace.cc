#include "tests/integration/store/trace.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <map>

namespace noded::store {
namespace {

const std::map<long, std::string>& Watched() {
  static const auto* const calls = new std::map<long, std::string>{
      {SYS_openat, "openat"},     {SYS_mkdirat, "mkdirat"},     {SYS_write, "write"},
      {SYS_pwrite64, "pwrite64"}, {SYS_renameat, "renameat"},   {SYS_renameat2, "renameat2"},
      {SYS_unlinkat, "unlinkat"}, {SYS_fsync, "fsync"},         {SYS_fdatasync, "fdatasync"},
      {SYS_syncfs, "syncfs"},     {SYS_ftruncate, "ftruncate"}, {SYS_fchmod, "fchmod"},
#ifdef SYS_rename
      {SYS_mkdir, "mkdir"},       {SYS_rename, "rename"},       {SYS_unlink, "unlink"},
#endif
  };
  return *calls;
}

// Empty: the stop is no beginning of a watched call.
std::string CallOf(pid_t thread) {
  __ptrace_syscall_info info{};
  if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) <= 0 ||
      info.op != PTRACE_SYSCALL_INFO_ENTRY) {
    return "";
  }
  const auto found = Watched().find(static_cast<long>(info.entry.nr));
  return found == Watched().end() ? "" : found->second;
}

}  // namespace

Traced Trace(const std::function<int()>& body, size_t kill_at) {
  Traced traced;
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    _exit(body());
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return traced;
  ptrace(PTRACE_SETOPTIONS, child, nullptr,
         PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD);
  ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
  while (true) {
    const pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0 && errno == EINTR) continue;
    if (thread < 0) return traced;
    if (!WIFSTOPPED(status)) {
      if (thread != child) continue;
      traced.ended = WIFEXITED(status);
      traced.status = traced.ended ? WEXITSTATUS(status) : -1;
      return traced;
    }
    int signal = WSTOPSIG(status);
    if (signal == (SIGTRAP | 0x80)) {
      if (const std::string call = CallOf(thread); !call.empty()) {
        if (traced.calls.size() + 1 == kill_at) {
          kill(child, SIGKILL);
          continue;
        }
        traced.calls.push_back(call);
      }
      signal = 0;
    } else if (signal == SIGTRAP || signal == SIGSTOP) {
      signal = 0;  // a new thread's first stop, or the clone that made it
    }
    ptrace(PTRACE_SYSCALL, thread, nullptr, signal);
  }
}

}  // namespace noded::store
