// The child's half of packing.h: walks the tree that is its root and writes the tar.
// Single-threaded.
#ifndef ROOTFS_LAYER_PACK_TREE_H_
#define ROOTFS_LAYER_PACK_TREE_H_

#include "absl/status/statusor.h"
#include "node/base/unique_fd.h"
#include "rootfs/layer/packing.h"

namespace noded::layer {

// What is to be packed: `name` in the directory `parent` ("." for the root itself).
struct PackSource {
  UniqueFd parent;
  std::string name;
  PackedStat stat;
};

// `root` is borrowed. NOT_FOUND when there is nothing at options.path.
absl::StatusOr<PackSource> FindSource(int root, const PackOptions& options);

// Writes the stream to options.output. The end of `waiting_reader`'s reader ends this process: what
// nobody waits for is not packed.
absl::StatusOr<Packed> PackTree(const PackSource& source, const PackOptions& options,
                                int waiting_reader);

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_PACK_TREE_H_
