// Which of a spec's limits this host keeps: the others are refused by name or, on best effort, left
// out and told. Never silently.
#ifndef NODE_KEPT_LIMITS_H_
#define NODE_KEPT_LIMITS_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "cgroup/driver.h"
#include "node/launch/plan.h"
#include "node/v1/container.pb.h"

namespace noded {

struct KeptLimits {
  cgroup::Limits limits;  // what the group gets
  // Container.unenforced_limits: field → reason and remedy. What is kept in part is here, too.
  std::map<std::string, std::string> unenforced;
};

// Of `limits`, compiled from `spec`. FAILED_PRECONDITION (NOT_SUPPORTED) names each that is not
// kept; INVALID_ARGUMENT for what no host would keep.
absl::StatusOr<KeptLimits> KeepLimits(const cgroup::Driver& driver,
                                      const node::v1::ContainerSpec& spec, cgroup::Limits limits);
// As KeepLimits, with the spec's devices looked up on this machine at this moment. Blocks on their
// paths.
absl::StatusOr<KeptLimits> KeepLimitsOf(const cgroup::Driver& driver,
                                        const node::v1::ContainerSpec& spec);

// Whether the container tells this already; and makes it so.
bool IsTold(const KeptLimits& kept, const node::v1::Container& container);
void Tell(const KeptLimits& kept, node::v1::Container& container);

}  // namespace noded

#endif  // NODE_KEPT_LIMITS_H_
