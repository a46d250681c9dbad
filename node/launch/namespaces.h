// Which namespaces a container has once the defaults are filled in, and what follows from that for
// others. Pure and thread-safe.
#ifndef NODE_LAUNCH_NAMESPACES_H_
#define NODE_LAUNCH_NAMESPACES_H_

#include <cstdint>

#include "node/v1/container.pb.h"

namespace noded::launch {

// Never NAMESPACE_MODE_UNSPECIFIED.
struct NamespaceModes {
  node::v1::NamespaceMode pid, network, ipc, uts, cgroup, user;

  bool private_user() const { return user == node::v1::NAMESPACE_MODE_PRIVATE; }
};

NamespaceModes ResolveNamespaces(const node::v1::Namespaces& namespaces);

// CLONE_NEW* flags of those that clone3 makes: the private ones but cgroup, and the mount
// namespace.
uint64_t CloneFlags(const NamespaceModes& modes);
// CLONE_NEW* flags of those in which a container's init differs from its supervisor.
uint64_t ExecJoinFlags(const NamespaceModes& modes);

}  // namespace noded::launch

#endif  // NODE_LAUNCH_NAMESPACES_H_
