// The process part of a plan. Internal to node/launch; pure and thread-safe.
#ifndef NODE_LAUNCH_PROCESS_H_
#define NODE_LAUNCH_PROCESS_H_

#include <optional>
#include <string>
#include <string_view>

#include "node/launch/plan.h"

namespace noded::launch {

// "nofile" → RLIMIT_NOFILE. nullopt: no such limit.
std::optional<int> RlimitNumber(std::string_view name);
// The names, for a message: "as, core, cpu, …".
std::string RlimitNames();

// The container's main process. `hostname` is what HOSTNAME says; empty: it is left out.
absl::StatusOr<node::shim::v1::ProcessPlan> CompileProcess(const node::v1::ContainerSpec& spec,
                                                           const std::string& hostname,
                                                           const HostFacts& host);

// The container's process with what `process` says laid over it, as an exec's.
node::v1::Process OverlayProcess(const node::v1::Process& container, const node::v1::Process& exec);

}  // namespace noded::launch

#endif  // NODE_LAUNCH_PROCESS_H_
