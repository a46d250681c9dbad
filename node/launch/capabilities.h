// Capability names and the set that a container gets (capabilities(7)). Pure and thread-safe.
#ifndef NODE_LAUNCH_CAPABILITIES_H_
#define NODE_LAUNCH_CAPABILITIES_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "node/launch/plan.h"

namespace noded::launch {

// "NET_ADMIN", "CAP_NET_ADMIN", in any case → 12. nullopt: no such capability in this version.
std::optional<int> CapabilityNumber(std::string_view name);

// The granted set, bit n for capability n. The default set and "ALL" are limited to what may be
// granted; one that is asked for by name and may not be is FAILED_PRECONDITION naming the field.
// REQUIRES: ValidateSpec(spec).ok().
absl::StatusOr<uint64_t> GrantedCapabilities(const node::v1::ContainerSpec& spec,
                                             const HostFacts& host);

}  // namespace noded::launch

#endif  // NODE_LAUNCH_CAPABILITIES_H_
