// Paths of a container, looked up below a descriptor of its root and never outside of it: symlinks
// of the image, absolute ones too, stay inside (openat2(2), RESOLVE_IN_ROOT). Missing parts are
// made inside only. Thread-safe.
#ifndef ROOTFS_MOUNT_PATH_H_
#define ROOTFS_MOUNT_PATH_H_

#include <sys/types.h>

#include <string>

#include "node/base/unique_fd.h"
#include "rootfs/mount/result.h"

namespace noded::mount {

// Who owns what is made; -1 leaves it to the kernel.
struct Owner {
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
};

// O_PATH of the directory, after making it and its parents where missing.
Result MakeDirectories(int root, const std::string& path, mode_t mode, Owner owner, UniqueFd* out);

// O_PATH of something to mount on; made when missing, as an empty file or a directory.
Result OpenTarget(int root, const std::string& path, bool directory, UniqueFd* out);

// The directory that `path` is in (made when missing) and its last part.
Result OpenParent(int root, const std::string& path, UniqueFd* parent, std::string* name);

}  // namespace noded::mount

#endif  // ROOTFS_MOUNT_PATH_H_
