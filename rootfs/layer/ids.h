// Ids inside a container and on the host (user_namespaces(7)). Pure; thread-safe.
#ifndef ROOTFS_LAYER_IDS_H_
#define ROOTFS_LAYER_IDS_H_

#include <cstdint>
#include <optional>

#include "rootfs/layer/child.h"

namespace noded::layer {

// nullopt: not mapped, or no id at all (negative, or 2^32-1, which means "unchanged" to chown(2)).
std::optional<uint32_t> ToOutside(const IdMap& map, int64_t inside);
std::optional<uint32_t> ToInside(const IdMap& map, uint32_t outside);

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_IDS_H_
