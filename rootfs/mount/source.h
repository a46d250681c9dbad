// Detached mounts: what a container's mounts are made from. They are made by the supervisor in the
// host's mount namespace before its child exists, attached nowhere (so the host's mount table never
// shows them), and end with their descriptor unless the child attaches them in its own mount
// namespace. Single-threaded: an overlay is made with the working directory changed for a moment.
#ifndef ROOTFS_MOUNT_SOURCE_H_
#define ROOTFS_MOUNT_SOURCE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "node/base/unique_fd.h"
#include "node/shim/v1/plan.pb.h"
#include "rootfs/mount/result.h"

namespace noded::mount {

// How id-mapped sources are mapped; the others do not look at it.
struct IdMapping {
  int user_namespace = -1;  // borrowed
  // Ids on the host of its root.
  uid_t root_uid = 0;
  gid_t root_gid = 0;
};
// `mount_namespace` is borrowed: where a tree is looked up that names one; the others do not look
// at it.
Result MakeSource(const ::node::shim::v1::Source& source, const IdMapping& mapping,
                  int mount_namespace, UniqueFd* out);

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
