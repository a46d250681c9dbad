// /dev: the nodes and symlinks that every container has, and the user's devices.
#include <sys/stat.h>

#include <array>

#include "node/base/syscalls.h"
#include "node/launch/filesystem.h"
#include "node/launch/paths.h"

namespace noded::launch {
namespace {

using node::shim::v1::LaunchPlan;

struct DefaultNode {
  const char* path;
  uint32_t major, minor;
};
constexpr std::array<DefaultNode, 6> kNodes = {{{"/dev/null", 1, 3},
                                                {"/dev/zero", 1, 5},
                                                {"/dev/full", 1, 7},
                                                {"/dev/random", 1, 8},
                                                {"/dev/urandom", 1, 9},
                                                {"/dev/tty", 5, 0}}};

struct DefaultSymlink {
  const char* path;
  const char* target;
};
constexpr std::array<DefaultSymlink, 6> kSymlinks = {{{"/dev/ptmx", "pts/ptmx"},
                                                      {"/dev/fd", "/proc/self/fd"},
                                                      {"/dev/stdin", "/proc/self/fd/0"},
                                                      {"/dev/stdout", "/proc/self/fd/1"},
                                                      {"/dev/stderr", "/proc/self/fd/2"},
                                                      {"/dev/core", "/proc/kcore"}}};

void AddDevice(const Context& context, const ResolvedDevice& device, LaunchPlan& plan) {
  if (context.Hidden(CleanPath(device.container_path))) return;
  if (context.namespaces.private_user()) {
    // mknod in a user namespace is EPERM, so the host's node is bound. Not id-mapped: devtmpfs
    // cannot be.
    AddTree(plan, device.host_path, device.host_path);
    AttachLast(plan, CleanPath(device.container_path))
        ->set_attributes(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    return;
  }
  node::shim::v1::MakeNode* node = plan.add_steps()->mutable_make_node();
  node->set_path(CleanPath(device.container_path));
  node->set_mode(device.mode);
  node->set_major(device.major);
  node->set_minor(device.minor);
  node->set_uid(device.uid);
  node->set_gid(device.gid);
}

}  // namespace

void AddDevices(const Context& context, LaunchPlan& plan) {
  for (const DefaultNode& node : kNodes) {
    AddDevice(context,
              {.container_path = node.path,
               .mode = S_IFCHR | 0666,
               .major = node.major,
               .minor = node.minor,
               .host_path = node.path},
              plan);
  }
  for (const DefaultSymlink& symlink : kSymlinks) {
    if (context.Hidden(symlink.path)) continue;
    node::shim::v1::MakeSymlink* step = plan.add_steps()->mutable_make_symlink();
    step->set_path(symlink.path);
    step->set_target(symlink.target);
  }
  for (const ResolvedDevice& device : context.inputs.devices) AddDevice(context, device, plan);
  // The container's own terminal, from its own devpts: the name of the host's would lead nowhere
  // inside.
  if (context.spec.process().tty() && !context.Hidden("/dev/console")) {
    plan.add_steps()->mutable_bind_console();
  }
}

}  // namespace noded::launch
