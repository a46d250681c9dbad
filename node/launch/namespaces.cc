#include "node/launch/namespaces.h"

#include <sched.h>

#include "node/base/syscalls.h"

namespace noded::launch {
namespace {

using node::v1::NamespaceMode;

NamespaceMode ModeOr(const node::v1::Namespace& one, NamespaceMode fallback) {
  return one.mode() == node::v1::NAMESPACE_MODE_UNSPECIFIED ? fallback : one.mode();
}

}  // namespace

NamespaceModes ResolveNamespaces(const node::v1::Namespaces& namespaces) {
  constexpr NamespaceMode kPrivate = node::v1::NAMESPACE_MODE_PRIVATE;
  return {.pid = ModeOr(namespaces.pid(), kPrivate),
          .network = ModeOr(namespaces.network(), kPrivate),
          .ipc = ModeOr(namespaces.ipc(), kPrivate),
          .uts = ModeOr(namespaces.uts(), kPrivate),
          .cgroup = ModeOr(namespaces.cgroup(), kPrivate),
          .user = ModeOr(namespaces.user(), node::v1::NAMESPACE_MODE_HOST)};
}

uint64_t CloneFlags(const NamespaceModes& modes) {
  constexpr NamespaceMode kPrivate = node::v1::NAMESPACE_MODE_PRIVATE;
  uint64_t flags = CLONE_NEWNS;
  if (modes.pid == kPrivate) flags |= CLONE_NEWPID;
  if (modes.network == kPrivate) flags |= CLONE_NEWNET;
  if (modes.ipc == kPrivate) flags |= CLONE_NEWIPC;
  if (modes.uts == kPrivate) flags |= CLONE_NEWUTS;
  if (modes.user == kPrivate) flags |= CLONE_NEWUSER;
  return flags;
}

uint64_t ExecJoinFlags(const NamespaceModes& modes) {
  constexpr NamespaceMode kHost = node::v1::NAMESPACE_MODE_HOST;
  uint64_t flags = CLONE_NEWNS;
  if (modes.pid != kHost) flags |= CLONE_NEWPID;
  if (modes.network != kHost) flags |= CLONE_NEWNET;
  if (modes.ipc != kHost) flags |= CLONE_NEWIPC;
  if (modes.uts != kHost) flags |= CLONE_NEWUTS;
  if (modes.cgroup != kHost) flags |= CLONE_NEWCGROUP;
  if (modes.user != kHost) flags |= CLONE_NEWUSER;
  return flags;
}

}  // namespace noded::launch
