// What the layer child gives up before it looks at foreign bytes (child.h). In this order: load
// what will be needed later, change the root, then give up. Single-threaded: called before any
// thread.
#ifndef ROOTFS_LAYER_CONFINE_H_
#define ROOTFS_LAYER_CONFINE_H_

#include "absl/status/status.h"
#include "rootfs/layer/child.h"

namespace noded::layer {

// Makes `tree` the root and the working directory of this process; mounts made for it are in a
// mount namespace of its own.
absl::Status ChangeRoot(const Tree& tree);

// Gives up capabilities but those that make and read any file, and every system call but those that
// do that: what is left has no exec, executable mapping, socket, mount, or way to another process.
// INTERNAL or the kernel's refusal; then nothing foreign may be looked at.
absl::Status GiveUpPrivileges();

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_CONFINE_H_
