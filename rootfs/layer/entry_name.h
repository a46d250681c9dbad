// What the names in a layer mean (OCI image-spec, layer.md): where they lead, and which of them are
// orders of a union file system instead of files. Pure; thread-safe.
#ifndef ROOTFS_LAYER_ENTRY_NAME_H_
#define ROOTFS_LAYER_ENTRY_NAME_H_

#include <string>
#include <string_view>
#include <vector>

namespace noded::layer {

// The parts of a name of a tar, taken from the root of the tree: without "." and empty ones, each
// ".." taking away the one before it, and none at the root, as in a shell whose root it is. Of "/",
// "." and "" nothing is left.
std::vector<std::string> PathParts(std::string_view name);

inline constexpr std::string_view kWhiteoutPrefix = ".wh.";
inline constexpr std::string_view kOpaqueMarker = ".wh..wh..opq";

enum class NameKind {
  kFile,
  kWhiteout,  // ".wh.name": `name` of the layers below is gone
  kOpaque,    // ".wh..wh..opq": nothing of this directory in the layers below is seen
  kIgnored,   // other ".wh..wh.…": aufs's own files
  kInvalid,   // a whiteout of nothing, "." or ".."
};
// Of the last part of a name.
NameKind KindOfName(std::string_view base);

// Whether a layer may not bring that attribute: those by which overlayfs itself notes redirections
// and opaque directories, which the kernel would follow, and labels of the host's own policy.
bool IsReservedAttribute(std::string_view name);
}  // namespace noded::layer

#endif  // ROOTFS_LAYER_ENTRY_NAME_H_
