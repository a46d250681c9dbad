#include "node/base/syscalls.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace noded {

pid_t Clone3(clone_args* args) {
  return static_cast<pid_t>(syscall(SYS_clone3, args, sizeof(*args)));
}

int OpenAt2(int dir, const char* path, const open_how& how) {
  return static_cast<int>(syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}

int PidfdOpen(pid_t pid, unsigned flags) {
  return static_cast<int>(syscall(SYS_pidfd_open, pid, flags));
}

int PidfdSendSignal(int pidfd, int signal) {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

int OpenInRoot(int root, const char* path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  // openat2 refuses a mode where no file can be created.
  if (flags & (O_CREAT | __O_TMPFILE)) how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // A rename anywhere on the host while ".." is resolved makes the kernel answer EAGAIN, because it
  // cannot tell whether the walk left the root. Bounded, so that a busy host cannot hold us here.
  constexpr int kAttempts = 128;
  int fd = -1;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    fd = OpenAt2(root, path, how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  return fd;
}

}  // namespace noded
