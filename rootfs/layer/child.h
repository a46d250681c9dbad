// The child process that touches foreign bytes and foreign trees: it unpacks and packs tar streams
// with the tree as its root and without any privilege that it does not need for that. It is noded
// itself, run again under another name: posix_spawn(2) of a program that is there anyhow, because a
// daemon with threads must not fork.
//
// What it has given up before it looks at the first byte: its mounts and its root (it sees the tree
// alone), every capability but those that make files, all executable mappings, exec, sockets,
// mounts, other processes. Nothing is loaded by name after the change of root, because glibc would
// take gconv modules, locales and NSS libraries from the layer just unpacked and run them as root.
#ifndef ROOTFS_LAYER_CHILD_H_
#define ROOTFS_LAYER_CHILD_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace noded::layer {

// How noded's main knows that it is to be the child: the first thing that it asks, because neither
// gRPC nor threads may be started.
bool IsLayerChild(std::string_view program_name);
// Does the job that its descriptors describe; the result is main's.
int LayerMain();

// What becomes the root of the child. All descriptors are borrowed until the child was started.
struct Tree {
  // A directory, also one of another mount namespace ("/proc/PID/root").
  int directory = -1;
  // Instead of it an overlay, mounted in a mount namespace that ends with the child: `lowers` top
  // first, at most 500 together with `upper`; without `work` it is read-only.
  std::vector<int> lowers;
  int upper = -1;
  int work = -1;
};

// Ids inside a container that begin at `inside` are `outside` and following on the host.
struct IdRange {
  uint32_t inside = 0;
  uint32_t outside = 0;
  uint32_t count = 0;
};
// Empty: ids are the same inside and outside.
using IdMap = std::vector<IdRange>;

// Where the child's program is: noded itself. Tests have a small one.
inline constexpr char kOwnProgram[] = "/proc/self/exe";

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_CHILD_H_
