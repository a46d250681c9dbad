// How overlayfs notes in an upper directory what is not to be seen of those below it
// (Documentation/filesystems/overlayfs.rst). Thread-safe.
#ifndef ROOTFS_LAYER_OVERLAY_NOTES_H_
#define ROOTFS_LAYER_OVERLAY_NOTES_H_

#include <sys/types.h>

namespace noded::layer {

inline constexpr char kTrustedOpaque[] = "trusted.overlay.opaque";

// A character device 0:0: there is nothing of that name.
bool IsWhiteout(mode_t mode, dev_t device);
// Whether nothing below that directory is seen; in both name spaces of overlayfs's attributes,
// because containers in a user namespace have it in user.*. `dir` is open for reading.
bool IsOpaque(int dir);

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_OVERLAY_NOTES_H_
