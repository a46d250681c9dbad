// Counters of /proc/PID/net/dev. Pure; thread-safe.
#ifndef NODE_NETWORK_COUNTERS_H_
#define NODE_NETWORK_COUNTERS_H_

#include <string>
#include <vector>

#include "node/v1/limits.pb.h"

namespace noded {

// Lines that are not in the kernel's form are left out.
std::vector<node::v1::NetworkInterfaceStats> ParseNetworkCounters(const std::string& content);

}  // namespace noded

#endif  // NODE_NETWORK_COUNTERS_H_
