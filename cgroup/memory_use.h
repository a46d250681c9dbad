// A memory limit below what is in use: what is said, and how much is tried. Thread-safe.
#ifndef CGROUP_MEMORY_USE_H_
#define CGROUP_MEMORY_USE_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"

namespace noded::cgroup {

// How often memory is reclaimed for a forced update before it is given up.
inline constexpr int kReclaimTries = 5;

// FAILED_PRECONDITION: "limits.memory.max_bytes: 1000 bytes is less than the 2000 in use", and
// whether reclaiming was tried. Either number may be unknown.
absl::Status MemoryInUse(std::string_view field, std::optional<int64_t> limit,
                         std::optional<uint64_t> use, bool forced);

}  // namespace noded::cgroup

#endif  // CGROUP_MEMORY_USE_H_
