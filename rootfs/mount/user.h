// Who a process runs as, looked up in the text of the container's /etc/passwd and /etc/group. An
// own parser, because libc's look-up (NSS) would load code by name from the container's root. Pure;
// the files are foreign: lines that do not parse are skipped, of two entries the first counts.
// Thread-safe.
#ifndef ROOTFS_MOUNT_USER_H_
#define ROOTFS_MOUNT_USER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "node/shim/v1/plan.pb.h"
#include "rootfs/mount/result.h"

namespace noded::mount {

// Larger files are refused by those who read them.
inline constexpr size_t kMaxUserFileBytes = 1 << 20;
// What the kernel takes (NGROUPS_MAX).
inline constexpr size_t kMaxGroups = 65536;

struct User {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;  // supplementary, the own one too; sorted, no repetition
  std::string home = "/";
};

// Rules, as images are written for: a number is an id, also one that no entry has; a user without a
// group gets the group of the entry, else 0, and is a member of all groups that list the name; a
// user with a group gets that group alone. Additional groups come on top. Fails, with errno 0, for
// a name that is not there.
Result ResolveUser(const ::node::shim::v1::UserPlan& plan, std::string_view passwd,
                   std::string_view group, User* out);

}  // namespace noded::mount

#endif  // ROOTFS_MOUNT_USER_H_
