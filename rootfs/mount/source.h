// Detached mounts: what a container's mounts are made from. They are made by the supervisor in the
// host's mount namespace before its child exists, attached nowhere (so the host's mount table never
// shows them), and end with their descriptor unless the child attaches them in its own mount
// namespace. Single-threaded: an overlay is made with the working directory changed for a moment.
#ifndef ROOTFS_MOUNT_SOURCE_H_
#define ROOTFS_MOUNT_SOURCE_H_

#include "node/base/unique_fd.h"
#include "node/shim/v1/plan.pb.h"
#include "rootfs/mount/result.h"

namespace noded::mount {

// `user_namespace` is a borrowed descriptor, used by id-mapped sources alone.
Result MakeSource(const ::node::shim::v1::Source& source, int user_namespace, UniqueFd* out);

// Makes a new file system (fsopen, fsconfig, fsmount), detached. Options are "key" or "key=value";
// `attributes` are MOUNT_ATTR_*. What the file system itself says of a refusal is added to the
// detail.
struct FileSystem {
  std::string type;
  std::string source;
  std::vector<std::string> options;
  uint64_t attributes = 0;
};
Result MakeFileSystem(const FileSystem& wanted, UniqueFd* out);

}  // namespace noded::mount

#endif  // ROOTFS_MOUNT_SOURCE_H_
