// What noded asks of its layer child, as a message and descriptors by position. Pure; values.
#ifndef ROOTFS_LAYER_JOB_H_
#define ROOTFS_LAYER_JOB_H_

#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "rootfs/layer/message.h"
#include "rootfs/layer/packing.h"
#include "rootfs/layer/unpacking.h"

namespace noded::layer {

// The child's descriptors. Those of the tree follow in the order of Tree's fields.
inline constexpr int kJobFd = 0;
inline constexpr int kResultFd = 1;
inline constexpr int kStreamFd = 3;
inline constexpr int kFirstTreeFd = 4;
// noded's argv[0] as the child.
inline constexpr char kChildName[] = "noded-layer";

// Everything but the program and the descriptors.
Message ToMessage(const UnpackOptions& options);
Message ToMessage(const PackOptions& options);
// With the descriptors as the child has them. INVALID_ARGUMENT for a message that is no job.
absl::StatusOr<std::variant<UnpackOptions, PackOptions>> ParseJob(const Message& message);
// In the order in which the child gets them, from kFirstTreeFd on.
std::vector<int> DescriptorsOf(const Tree& tree);

Message ToMessage(const Unpacked& result);
Unpacked ParseUnpacked(const Message& message);
Message ToMessage(const Packed& result);
Packed ParsePacked(const Message& message);
Message ToMessage(const PackedStat& stat);
PackedStat ParsePackedStat(const Message& message);

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_JOB_H_
