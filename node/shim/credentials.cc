#include "node/shim/credentials.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "node/base/syscalls.h"

namespace noded::shim {
namespace {

constexpr int kMaxCapability = 63;

MaybeFailure ReadUserFile(int root, const char* path, std::string* out) {
  // Not blocking: an image may have a FIFO there.
  UniqueFd file(OpenInRoot(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return Fail(pb::FAILURE_STEP_USER, errno, path);
  }
  struct stat info;
  if (fstat(file.get(), &info) != 0) return Fail(pb::FAILURE_STEP_USER, errno, path);
  if (!S_ISREG(info.st_mode)) {
    return Fail(pb::FAILURE_STEP_USER, EINVAL, path, "which is not a regular file");
  }
  char buffer[4096];
  while (true) {
    ssize_t got = read(file.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Fail(pb::FAILURE_STEP_USER, errno, path);
    if (got == 0) return std::nullopt;
    out->append(buffer, static_cast<size_t>(got));
    if (out->size() > mount::kMaxUserFileBytes) return Fail(pb::FAILURE_STEP_USER, EFBIG, path);
  }
}

// The raw call: libc's wrapper is libcap's, one more library for twenty lines.
int SetCapabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2];
  for (int half = 0; half < 2; ++half) {
    data[half].effective = static_cast<uint32_t>(effective >> (32 * half));
    data[half].permitted = static_cast<uint32_t>(permitted >> (32 * half));
    data[half].inheritable = static_cast<uint32_t>(inheritable >> (32 * half));
  }
  return static_cast<int>(syscall(SYS_capset, &header, data));
}

MaybeFailure DropFromBounding(uint64_t kept) {
  for (int capability = 0; capability <= kMaxCapability; ++capability) {
    if (kept >> capability & 1) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // past the last that this kernel knows
    return Fail(pb::FAILURE_STEP_CREDENTIALS, errno, "bounding set",
                "of capability " + std::to_string(capability));
  }
  return std::nullopt;
}

MaybeFailure SetIds(const mount::User& user) {
  // libc's wrappers would signal all threads to follow; there is one, and the raw calls say so.
  if (syscall(SYS_setgroups, user.groups.size(), user.groups.data()) != 0) {
    return Fail(pb::FAILURE_STEP_CREDENTIALS, errno, "supplementary groups");
  }
  if (syscall(SYS_setresgid, user.gid, user.gid, user.gid) != 0) {
    return Fail(pb::FAILURE_STEP_CREDENTIALS, errno, "group " + std::to_string(user.gid));
  }
  if (syscall(SYS_setresuid, user.uid, user.uid, user.uid) != 0) {
    return Fail(pb::FAILURE_STEP_CREDENTIALS, errno, "user " + std::to_string(user.uid));
  }
  return std::nullopt;
}

}  // namespace

MaybeFailure LookUpUser(int root, const pb::ProcessPlan& plan, mount::User* out) {
  std::string passwd, group;
  const pb::UserPlan& user = plan.user();
  const bool known = user.name().empty() && user.has_gid() && user.additional_groups().empty();
  if (known && !plan.set_home()) {
    return FromResult(pb::FAILURE_STEP_USER, mount::ResolveUser(user, passwd, group, out));
  }
  if (MaybeFailure failure = ReadUserFile(root, "/etc/passwd", &passwd)) return failure;
  if (MaybeFailure failure = ReadUserFile(root, "/etc/group", &group)) return failure;
  return FromResult(pb::FAILURE_STEP_USER, mount::ResolveUser(user, passwd, group, out));
}

MaybeFailure BecomeUser(const mount::User& user, const pb::CapabilityPlan& capabilities) {
  // First, while CAP_SETPCAP is held.
  if (MaybeFailure failure = DropFromBounding(capabilities.bounding())) return failure;
  // Else the kernel clears the permitted set with the change from root, and ambient ones could not
  // be raised.
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) {
    return Fail(pb::FAILURE_STEP_CREDENTIALS, errno, "keep capabilities");
  }
  if (MaybeFailure failure = SetIds(user)) return failure;
  const uint64_t permitted =
      user.uid == 0 ? capabilities.permitted() : capabilities.permitted() & capabilities.ambient();
  if (SetCapabilities(permitted, permitted, capabilities.inheritable()) != 0) {
    return Fail(pb::FAILURE_STEP_CREDENTIALS, errno, "capabilities");
  }
  for (int capability = 0; capability <= kMaxCapability; ++capability) {
    if (!(capabilities.ambient() >> capability & 1)) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) {
      return Fail(pb::FAILURE_STEP_CREDENTIALS, errno, "ambient set",
                  "of capability " + std::to_string(capability));
    }
  }
  return std::nullopt;
}

MaybeFailure BecomeNamespaceRoot() { return SetIds(mount::User{}); }

void KeepOnlyKill() {
  (void)DropFromBounding(0);
  (void)SetCapabilities(1u << CAP_KILL, 1u << CAP_KILL, 0);
  (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

}  // namespace noded::shim
