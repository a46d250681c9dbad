// The part of a launch plan that makes the container's file tree: root, default mounts, devices,
// what the user asked for, and what is masked. Each function appends steps to a plan; their order
// is plan.cc's. Internal to node/launch; pure.
#ifndef NODE_LAUNCH_FILESYSTEM_H_
#define NODE_LAUNCH_FILESYSTEM_H_

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "node/launch/namespaces.h"
#include "node/launch/plan.h"
#include "node/shim/v1/plan.pb.h"

namespace noded::launch {

// What the functions below need to know; borrowed for the time of one compilation.
struct Context {
  const node::v1::ContainerSpec& spec;
  const Inputs& inputs;
  NamespaceModes namespaces;
  std::set<std::string> user_targets;  // clean targets of the user's mounts

  Context(const node::v1::ContainerSpec& spec, const Inputs& inputs);

  // Whether a mount of the user's lies at `path` or above it. What we would put there could not be
  // seen, and making its mount point could write into the user's directory, so it is left out.
  bool Hidden(std::string_view path) const;
  // Whether id 5, the usual tty group, exists in the container.
  bool TtyGroupMapped() const;
};

// Appends a clone of a host path to the plan's sources and returns it; its index is the last.
node::shim::v1::TreeSource* AddTree(node::shim::v1::LaunchPlan& plan, const std::string& path,
                                    std::string_view description);
// Appends layers without a writable one (topmost first, at least one) to the plan's sources; its
// index is the last.
void AddLayers(node::shim::v1::LaunchPlan& plan, const std::vector<std::string>& layers,
               bool id_mapped, std::string_view description);
// Attaches the last source at `target`.
node::shim::v1::AttachMount* AttachLast(node::shim::v1::LaunchPlan& plan,
                                        const std::string& target);

void AddRoot(const Context& context, node::shim::v1::LaunchPlan& plan);
// /proc, /dev, /dev/pts, /dev/shm, /dev/mqueue, /sys and the cgroup view.
void AddDefaultMounts(const Context& context, node::shim::v1::LaunchPlan& plan);
// Nodes and symlinks in /dev, then the user's devices.
void AddDevices(const Context& context, node::shim::v1::LaunchPlan& plan);
// /etc/hosts, /etc/resolv.conf, /etc/hostname.
void AddGivenFiles(const Context& context, node::shim::v1::LaunchPlan& plan);
void AddUserMounts(const Context& context, node::shim::v1::LaunchPlan& plan);
// Masked and read-only paths, default and the user's.
void AddMasks(const Context& context, node::shim::v1::LaunchPlan& plan);

}  // namespace noded::launch

#endif  // NODE_LAUNCH_FILESYSTEM_H_
