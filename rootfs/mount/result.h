// Outcome of one thing done to a container's file system, as the kernel told it. The caller adds
// which step it was. A value; thread-compatible.
#ifndef ROOTFS_MOUNT_RESULT_H_
#define ROOTFS_MOUNT_RESULT_H_

#include <string>

namespace noded::mount {

struct [[nodiscard]] Result {
  bool failed = false;
  int error = 0;       // errno; 0 when it failed for a reason that `detail` tells
  std::string object;  // what it was about, in the user's words: a path, a user
  std::string detail;  // what errno does not tell: "at /mnt"

  bool ok() const { return !failed; }
};

inline Result Failed(int error, std::string object, std::string detail = {}) {
  return Result{true, error, std::move(object), std::move(detail)};
}

}  // namespace noded::mount

#endif  // ROOTFS_MOUNT_RESULT_H_
