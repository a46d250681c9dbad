// What List and Watch select, and the page tokens of List. Pure and thread-safe.
#ifndef NODE_CONTAINER_FILTER_H_
#define NODE_CONTAINER_FILTER_H_

#include <string>

#include "node/base/status.h"
#include "node/v1/container_service.pb.h"

namespace noded {

// Adds what breaks a rule, as "filter.states[0]".
void CheckFilter(const node::v1::ContainerFilter& filter, Violations& violations);
bool Matches(const node::v1::ContainerFilter& filter, const node::v1::Container& container);

// A token says after which id the next page begins, and is bound to the filter that it came with.
std::string EncodePageToken(const std::string& last_id, const node::v1::ContainerFilter& filter);
// nullopt: not a token of ours, or of another filter.
std::optional<std::string> DecodePageToken(const std::string& token,
                                           const node::v1::ContainerFilter& filter);

}  // namespace noded

#endif  // NODE_CONTAINER_FILTER_H_
