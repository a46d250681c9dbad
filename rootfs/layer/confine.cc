#include "rootfs/layer/confine.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "node/base/status.h"
#include "node/base/syscalls.h"
#include "node/base/unique_fd.h"
#include "rootfs/layer/job.h"

namespace noded::layer {
namespace {

// CAP_SYS_ADMIN for trusted.* alone: overlayfs keeps its notes there.
constexpr int kKept[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
                         CAP_FSETID, CAP_MKNOD,        CAP_SETFCAP,         CAP_SYS_ADMIN};

// All that files, memory and threads need. Anything that is not here is EPERM, so a new system call
// of a newer libc fails where it can fall back.
constexpr int kAllowed[] = {SCMP_SYS(read),
                            SCMP_SYS(write),
                            SCMP_SYS(readv),
                            SCMP_SYS(writev),
                            SCMP_SYS(pread64),
                            SCMP_SYS(pwrite64),
                            SCMP_SYS(openat),
                            SCMP_SYS(openat2),
                            SCMP_SYS(close),
                            SCMP_SYS(fstat),
                            SCMP_SYS(newfstatat),
                            SCMP_SYS(statx),
                            SCMP_SYS(lseek),
                            SCMP_SYS(ftruncate),
                            SCMP_SYS(mkdirat),
                            SCMP_SYS(mknodat),
                            SCMP_SYS(unlinkat),
                            SCMP_SYS(symlinkat),
                            SCMP_SYS(linkat),
                            SCMP_SYS(renameat2),
                            SCMP_SYS(readlinkat),
                            SCMP_SYS(getdents64),
                            SCMP_SYS(fchmod),
                            SCMP_SYS(fchmodat),
                            SCMP_SYS(fchown),
                            SCMP_SYS(fchownat),
                            SCMP_SYS(utimensat),
                            SCMP_SYS(fsetxattr),
                            SCMP_SYS(lsetxattr),
                            SCMP_SYS(fgetxattr),
                            SCMP_SYS(lgetxattr),
                            SCMP_SYS(flistxattr),
                            SCMP_SYS(llistxattr),
                            SCMP_SYS(fchdir),
                            SCMP_SYS(fadvise64),
                            SCMP_SYS(fcntl),
                            SCMP_SYS(dup),
                            SCMP_SYS(poll),
                            SCMP_SYS(ppoll),
                            SCMP_SYS(eventfd2),
                            SCMP_SYS(brk),
                            SCMP_SYS(munmap),
                            SCMP_SYS(mremap),
                            SCMP_SYS(madvise),
                            SCMP_SYS(futex),
                            SCMP_SYS(set_robust_list),
                            SCMP_SYS(rseq),
                            SCMP_SYS(rt_sigprocmask),
                            SCMP_SYS(rt_sigaction),
                            SCMP_SYS(rt_sigreturn),
                            SCMP_SYS(sigaltstack),
                            SCMP_SYS(gettid),
                            SCMP_SYS(getpid),
                            SCMP_SYS(tgkill),
                            SCMP_SYS(exit),
                            SCMP_SYS(exit_group),
                            SCMP_SYS(restart_syscall),
                            SCMP_SYS(clock_gettime),
                            SCMP_SYS(clock_nanosleep),
                            SCMP_SYS(sched_yield),
                            SCMP_SYS(sched_getaffinity),
                            SCMP_SYS(getrandom),
                            SCMP_SYS(umask)};

struct Limit {
  int resource;
  rlim_t value;
  const char* name;
};
// A core would hold what the layer had. Memory: what zstd's largest usual window (128 MiB) needs,
// and the names of a few million directories.
constexpr Limit kLimits[] = {{RLIMIT_CORE, 0, "core"}, {RLIMIT_DATA, rlim_t{1} << 30, "data"}};

// The same directory through this mount namespace: overlayfs takes no layer of another one, and
// that is where the descriptor was opened.
absl::Status Reopen(int fd) {
  char path[PATH_MAX];
  const ssize_t size = readlink(absl::StrCat("/proc/self/fd/", fd).c_str(), path, sizeof path - 1);
  if (size < 0) return ErrnoStatus(errno, "find a layer");
  path[size] = '\0';
  struct stat before, now;
  const UniqueFd again(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!again || fstat(fd, &before) != 0 || fstat(again.get(), &now) != 0) {
    return ErrnoStatus(errno, absl::StrCat("open layer \"", path, "\""));
  }
  if (before.st_dev != now.st_dev || before.st_ino != now.st_ino) {
    return absl::AbortedError(absl::StrCat("layer \"", path, "\" was moved meanwhile"));
  }
  if (dup3(again.get(), fd, O_CLOEXEC) < 0) return ErrnoStatus(errno, "hold a layer");
  return absl::OkStatus();
}

absl::Status MountOverlay(const Tree& tree) {
  for (int fd : DescriptorsOf(tree)) RETURN_IF_ERROR(Reopen(fd));
  std::string options;
  if (tree.upper >= 0 && tree.work >= 0) {
    options = absl::StrCat("upperdir=", tree.upper, ",workdir=", tree.work, ",");
  }
  std::vector<int> lowers = tree.lowers;
  if (tree.upper >= 0 && tree.work < 0) lowers.insert(lowers.begin(), tree.upper);
  // Bare numbers, so that 500 of them fit the page that mount(2) takes.
  absl::StrAppend(&options, "lowerdir=", absl::StrJoin(lowers, ":"),
                  ",redirect_dir=off,metacopy=off,index=off");
  if (chdir("/proc/self/fd") != 0) return ErrnoStatus(errno, "enter /proc/self/fd");
  // Anywhere that is not needed any more; nobody else sees this mount namespace.
  if (mount("overlay", "/proc", "overlay", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return ErrnoStatus(errno, "mount the layers");
  }
  if (chdir("/proc") != 0) return ErrnoStatus(errno, "enter the layers");
  return absl::OkStatus();
}

// A mount of the directory alone, to pivot to: then nothing of the host is left to go back to. Made
// before the mount namespace is left, because only mounts of one's own can be cloned. Invalid for
// one of another namespace; there chroot(2) must do.
UniqueFd CloneTree(int directory) {
  return UniqueFd(static_cast<int>(
      syscall(SYS_open_tree, directory, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
}

absl::Status Pivot(int tree) {
  if (syscall(SYS_move_mount, tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return ErrnoStatus(errno, "attach the tree");
  }
  // pivot_root(2): with "." twice the old root ends stacked on the new one, and is detached.
  if (fchdir(tree) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
      umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
    return ErrnoStatus(errno, "make the tree the root");
  }
  return absl::OkStatus();
}

absl::Status LowerLimits() {
  for (const Limit& limit : kLimits) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    if (limit.resource == RLIMIT_DATA) continue;  // their shadow memory is beyond any
#endif
    const rlimit both{limit.value, limit.value};
    rlimit now{};
    getrlimit(limit.resource, &now);
    if (now.rlim_max < limit.value) continue;
    if (setrlimit(limit.resource, &both) != 0) {
      return ErrnoStatus(errno, absl::StrCat("limit ", limit.name));
    }
  }
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  return absl::OkStatus();
}

absl::Status DropCapabilities() {
  uint64_t kept = 0;
  for (int capability : kKept) kept |= uint64_t{1} << capability;
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if ((kept >> capability & 1) == 0 && prctl(PR_CAPBSET_DROP, capability) != 0) {
      return ErrnoStatus(errno, "drop capability");
    }
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  // What a container's root (tests in one, too) does not have cannot be kept.
  if (syscall(SYS_capget, &header, data) != 0) return ErrnoStatus(errno, "read capabilities");
  for (int i = 0; i < 2; ++i) {
    data[i].permitted &= static_cast<uint32_t>(kept >> (32 * i));
    data[i].effective = data[i].permitted;
    data[i].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data) != 0) return ErrnoStatus(errno, "drop capabilities");
  return absl::OkStatus();
}

struct FreeFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FreeFilter>;

absl::Status FilterCalls() {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) return absl::InternalError("make a filter of system calls");
  int result = 0;
  for (int call : kAllowed) {
    if (result == 0) result = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
  }
  // No mapping is executable, so nothing of a layer can become code.
  for (int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    if (result != 0) break;
    result = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  }
  // Threads only; clone3 hides its flags from filters, and libc falls back from ENOSYS to clone.
  if (result == 0) {
    result = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  }
  if (result == 0) {
    result = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  }
  if (result == 0) result = seccomp_load(filter.get());
  if (result != 0) return ErrnoStatus(-result, "filter system calls");
  return absl::OkStatus();
}

}  // namespace

absl::Status ChangeRoot(const Tree& tree) {
  UniqueFd clone;
  if (tree.directory >= 0) clone = CloneTree(tree.directory);
  if (unshare(CLONE_NEWNS) != 0) return ErrnoStatus(errno, "make a mount namespace");
  if (mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0) {
    return ErrnoStatus(errno, "make mounts private");
  }
  if (clone) return Pivot(clone.get());
  if (tree.directory < 0) {
    RETURN_IF_ERROR(MountOverlay(tree));
  } else if (fchdir(tree.directory) != 0) {
    return ErrnoStatus(errno, "enter the tree");
  }
  if (chroot(".") != 0 || chdir("/") != 0) return ErrnoStatus(errno, "make the tree the root");
  return absl::OkStatus();
}

absl::Status GiveUpPrivileges() {
  umask(0);
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return ErrnoStatus(errno, "hide memory");
  RETURN_IF_ERROR(LowerLimits());
  RETURN_IF_ERROR(DropCapabilities());
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return ErrnoStatus(errno, "set no_new_privs");
  return FilterCalls();
}

}  // namespace noded::layer
