// What node/launch needs to know besides a spec, looked up on this machine at this moment.
#ifndef NODE_LAUNCH_INPUTS_H_
#define NODE_LAUNCH_INPUTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cgroup/driver.h"
#include "node/base/unique_fd.h"
#include "node/launch/plan.h"
#include "node/state/v1/record.pb.h"
#include "node/v1/container.pb.h"

namespace noded {

class EngineImpl;

struct LaunchInputs {
  launch::Inputs inputs;
  // Namespaces of other containers. The Launch message carries the plan as descriptor 0, then
  // these.
  std::vector<UniqueFd> joined;
};

// Blocks on host paths. FAILED_PRECONDITION when a container whose namespace is wanted is not
// running, INVALID_ARGUMENT for a device that is none.
absl::StatusOr<LaunchInputs> ResolveLaunchInputs(EngineImpl* engine,
                                                 const node::state::v1::ContainerRecord& record);

// Adds the descriptors by which a process enters its cgroup to those of a request, and their
// indexes to its Launch or Exec.
template <typename Message>
void AddAttachFds(const cgroup::AttachFds& attach, Message& message, std::vector<int>& fds) {
  if (attach.into) {
    message.set_cgroup_directory(static_cast<uint32_t>(fds.size()));
    fds.push_back(attach.into.get());
  }
  for (const UniqueFd& tasks : attach.tasks) {
    message.add_cgroup_tasks(static_cast<uint32_t>(fds.size()));
    fds.push_back(tasks.get());
  }
}

// The host name inside; of the host when that is shared.
std::string HostnameInside(EngineImpl* engine, const node::v1::ContainerSpec& spec,
                           const std::string& id);
// The etc directory of the container whose network is joined; empty: none, or it is gone.
std::string SharedEtcOf(EngineImpl* engine, const node::v1::ContainerSpec& spec);

}  // namespace noded

#endif  // NODE_LAUNCH_INPUTS_H_
