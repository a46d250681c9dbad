// The life of a container as one table.
//
//   CREATING ─▶ CREATED ─▶ STARTING ─▶ RUNNING ─▶ EXITED ─▶ REMOVING
//                              │        │  ▲        │ ▲
//                              ▼        ▼  │        ▼ │
//                            EXITED    PAUSED     STARTING (again)
//
// RunContainer begins at STARTING. Any state may become REMOVING; what recovery
// cannot tell becomes UNKNOWN, and from there EXITED or REMOVING.
#ifndef NODE_CONTAINER_STATE_H_
#define NODE_CONTAINER_STATE_H_

#include <string_view>

#include "node/v1/container.pb.h"

namespace noded {

// Pure. A state may always "become" itself.
bool MayBecome(node::v1::ContainerState from, node::v1::ContainerState to);
// RUNNING or PAUSED: there is a process.
bool HasProcess(node::v1::ContainerState state);
// "running", for messages.
std::string_view StateName(node::v1::ContainerState state);

}  // namespace noded

#endif  // NODE_CONTAINER_STATE_H_
