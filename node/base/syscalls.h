// System calls and constants that glibc 2.36 or Debian 12's kernel headers (6.1) lack. Thin: they
// return what the kernel returns, -1 with errno. Thread-safe.
#ifndef NODE_BASE_SYSCALLS_H_
#define NODE_BASE_SYSCALLS_H_

#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "node/base/unique_fd.h"

// <linux/mount.h> and <sys/mount.h> clash in glibc 2.36; sys/mount.h has the new mount API's
// constants.
#include <sys/mount.h>

namespace noded {

// clone3(2). Returns twice; without CLONE_VM the child may use all of the parent's memory (copied).
pid_t Clone3(clone_args* args);
int OpenAt2(int dir, const char* path, const open_how& how);
int PidfdOpen(pid_t pid, unsigned flags);
int PidfdSendSignal(int pidfd, int signal);

// Opens `path` below the directory `root` as a process chrooted there would: symlinks, absolute
// ones too, and ".." stay inside (openat2(2), RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS).
int OpenInRoot(int root, const char* path, int flags, mode_t mode = 0);

}  // namespace noded

#endif  // NODE_BASE_SYSCALLS_H_
