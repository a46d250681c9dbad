// Of this library alone; see document.h.
#ifndef ROOTFS_OCI_PLATFORM_H_
#define ROOTFS_OCI_PLATFORM_H_

#include "rootfs/oci/document.h"

namespace noded::oci {

// One spelling for each: x86_64 becomes amd64, arm64/v8 arm64, arm arm/v7. Pure.
Platform Normalized(Platform platform);

}  // namespace noded::oci

#endif  // ROOTFS_OCI_PLATFORM_H_
