// Counters of /proc/PID/net/dev. Pure; thread-safe.
#ifndef NODE_NETWORK_COUNTERS_H_
#define NODE_NETWORK_COUNTERS_H_

#include <string_view>
#include <vector>

#include "node/v1/limits.pb.h"

namespace noded {

// Lines that are not in the kernel's form are left out.
std::vector<node::v1::NetworkInterfaceStats> ParseNetworkCounters(std::string_view content);

}  // namespace noded

#endif  // NODE_NETWORK_COUNTERS_H_
