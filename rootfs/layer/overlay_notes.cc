#include "rootfs/layer/overlay_notes.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <initializer_list>

namespace noded::layer {

bool IsWhiteout(mode_t mode, dev_t device) { return S_ISCHR(mode) && device == makedev(0, 0); }

bool IsOpaque(int dir) {
  for (const char* name : {kTrustedOpaque, "user.overlay.opaque"}) {
    char value = 0;
    if (fgetxattr(dir, name, &value, 1) == 1 && value == 'y') return true;
  }
  return false;
}

}  // namespace noded::layer
