// The errors of layers: what a stream did wrong, and what the host's disk said. Pure; thread-safe.
#ifndef ROOTFS_LAYER_REFUSAL_H_
#define ROOTFS_LAYER_REFUSAL_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace noded::layer {

// INVALID_ARGUMENT (LAYER_REFUSED): the stream is not what a layer may be.
absl::Status Refused(std::string_view why);
// RESOURCE_EXHAUSTED (LIMIT_REACHED).
absl::Status BeyondLimit(std::string_view what);
// A failed system call: RESOURCE_EXHAUSTED (NO_SPACE) for a full disk or quota, else as
// ErrnoStatus.
absl::Status DiskError(int error, std::string_view what);
// A name of a file for a message: in quotes, short, and UTF-8 whatever its bytes are.
std::string Quoted(std::string_view name);

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_REFUSAL_H_
