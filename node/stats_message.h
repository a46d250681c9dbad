// A group's statistics as the API's message: what is not known stays absent. Pure; thread-safe.
#ifndef NODE_STATS_MESSAGE_H_
#define NODE_STATS_MESSAGE_H_

#include "cgroup/limits.h"
#include "node/v1/limits.pb.h"

namespace noded {

void CopyStats(const cgroup::Stats& from, node::v1::ContainerStats& to);

}  // namespace noded

#endif  // NODE_STATS_MESSAGE_H_
