// What an overlay's upper directory changes in the layers below it. Only names, types and
// attributes are looked at: no file is opened, no link followed. In the caller's process, because
// it reads no foreign bytes. Thread-safe; the upper directory may change meanwhile, and what
// vanishes is left out.
#ifndef ROOTFS_LAYER_DIFF_H_
#define ROOTFS_LAYER_DIFF_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace noded::layer {

enum class ChangeKind { kAdded, kChanged, kDeleted };

struct Change {
  std::string path;  // absolute inside
  ChangeKind kind = ChangeKind::kAdded;
  bool operator==(const Change&) const = default;
};

// In the order of the paths, each directory before what is in it. `upper` and `lowers` (top first)
// are borrowed directories. A directory that overlayfs copied up for something in it is kChanged.
// RESOURCE_EXHAUSTED past `most_changes`.
absl::StatusOr<std::vector<Change>> DiffUpper(int upper, const std::vector<int>& lowers,
                                              size_t most_changes = 4 << 20);

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_DIFF_H_
