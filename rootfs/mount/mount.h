// What a container's init does to mounts, in its own mount namespace. Each function is one step of
// a launch plan. Every path is looked up below the new root's descriptor and what it names is used
// through that descriptor, so that a symlink in an image can lead no mount outside, and nothing can
// be exchanged between look-up and use. Single-threaded. REQUIRES: umask 0 and, in a user
// namespace, the credentials of its root.
#ifndef ROOTFS_MOUNT_MOUNT_H_
#define ROOTFS_MOUNT_MOUNT_H_

#include <string>

#include "node/base/unique_fd.h"
#include "node/shim/v1/plan.pb.h"
#include "rootfs/mount/result.h"

namespace noded::mount {

// Ends every exchange of mounts with the host. REQUIRED before anything is attached.
Result MakeMountsPrivate();

class NewRoot {
 public:
  // Borrowed; -1 before Attach.
  int fd() const { return root_.get(); }

  // Takes over a source's descriptor and attaches it on top of the present root, where nothing
  // looks: paths that begin with "/" still mean the host's tree until Pivot.
  Result Attach(UniqueFd source);
  Result AttachMount(int source, const std::string& description,
                     const ::node::shim::v1::AttachMount& step);
  Result NewMount(const ::node::shim::v1::NewMount& step);
  Result MakeNode(const ::node::shim::v1::MakeNode& step);
  Result MakeSymlink(const ::node::shim::v1::MakeSymlink& step);
  Result MakeDirectory(const ::node::shim::v1::MakeDirectory& step);
  // Makes it the root of the namespace and of this process, and lets go of the host's tree.
  Result Pivot();
  Result MaskPath(const std::string& path);
  Result ReadOnlyPath(const std::string& path);
  Result ReadOnlyRoot();
  // Binds an open terminal over /dev/console.
  Result BindConsole(int terminal);
  Result SetSysctl(const ::node::shim::v1::Sysctl& step);

 private:
  UniqueFd root_;
  // One empty read-only tmpfs, of which every masked directory gets a clone.
  UniqueFd empty_directory_;
};

}  // namespace noded::mount

#endif  // ROOTFS_MOUNT_MOUNT_H_
