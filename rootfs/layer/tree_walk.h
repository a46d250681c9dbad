// Directories of a tree by their names, for many names in a row: the way to the last one is kept
// open, as tars list what is in a directory together. Symlinks among them lead where they would for
// a process whose root the tree is. Each step is taken from a held directory without following
// anything, so it does not matter who changes the tree meanwhile. Thread-compatible.
#ifndef ROOTFS_LAYER_TREE_WALK_H_
#define ROOTFS_LAYER_TREE_WALK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/base/unique_fd.h"

namespace noded::layer {

class TreeWalk {
 public:
  // Makes a directory that is missing on the way; `whiteout` when a whiteout device is in its
  // place.
  using MakeDirectory =
      std::function<absl::Status(int parent, const std::string& name, bool whiteout)>;

  // `root` is borrowed.
  TreeWalk(int root, MakeDirectory make) : root_(root), make_(std::move(make)) {}

  // The directory of that path (O_PATH), made where missing; valid until the next call.
  // INVALID_ARGUMENT (LAYER_REFUSED): something else is in the way; too many links; too deep.
  absl::StatusOr<int> EnterOrMake(const std::vector<std::string>& parts);
  // NOT_FOUND when it is not there.
  absl::StatusOr<int> Enter(const std::vector<std::string>& parts);

 private:
  struct Level {
    std::string name;
    UniqueFd fd;
  };
  absl::StatusOr<int> Go(const std::vector<std::string>& parts, bool make);
  absl::StatusOr<UniqueFd> Step(int dir, const std::vector<std::string>& parts, size_t count,
                                bool make);
  // From the root, following links.
  absl::StatusOr<UniqueFd> Follow(const std::vector<std::string>& parts, size_t count, bool make);
  absl::StatusOr<UniqueFd> OpenOrMake(int dir, const std::string& name, bool make,
                                      std::string* link);

  int root_;
  MakeDirectory make_;
  std::vector<Level> levels_;
};

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_TREE_WALK_H_
