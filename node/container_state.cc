#include "node/container_state.h"

#include <algorithm>
#include <iterator>

namespace noded {
namespace {

using node::v1::ContainerState;

struct Transition {
  ContainerState from;
  ContainerState to;
};

// Besides these, any state becomes REMOVING or UNKNOWN, but REMOVING only ends.
constexpr Transition kTransitions[] = {
    {node::v1::CONTAINER_STATE_CREATING, node::v1::CONTAINER_STATE_CREATED},
    {node::v1::CONTAINER_STATE_CREATED, node::v1::CONTAINER_STATE_STARTING},
    // RunContainer.
    {node::v1::CONTAINER_STATE_CREATING, node::v1::CONTAINER_STATE_STARTING},
    {node::v1::CONTAINER_STATE_STARTING, node::v1::CONTAINER_STATE_RUNNING},
    // Its process could not be started, or had ended before the start was acknowledged.
    {node::v1::CONTAINER_STATE_STARTING, node::v1::CONTAINER_STATE_EXITED},
    {node::v1::CONTAINER_STATE_RUNNING, node::v1::CONTAINER_STATE_PAUSED},
    {node::v1::CONTAINER_STATE_RUNNING, node::v1::CONTAINER_STATE_EXITED},
    {node::v1::CONTAINER_STATE_PAUSED, node::v1::CONTAINER_STATE_RUNNING},
    // Killed while frozen.
    {node::v1::CONTAINER_STATE_PAUSED, node::v1::CONTAINER_STATE_EXITED},
    {node::v1::CONTAINER_STATE_EXITED, node::v1::CONTAINER_STATE_STARTING},
    {node::v1::CONTAINER_STATE_UNKNOWN, node::v1::CONTAINER_STATE_EXITED},
};

}  // namespace

bool MayBecome(ContainerState from, ContainerState to) {
  if (from == to) return true;
  if (from == node::v1::CONTAINER_STATE_REMOVING) return false;
  if (to == node::v1::CONTAINER_STATE_REMOVING || to == node::v1::CONTAINER_STATE_UNKNOWN) {
    return true;
  }
  return std::any_of(std::begin(kTransitions), std::end(kTransitions),
                     [&](const Transition& one) { return one.from == from && one.to == to; });
}

bool HasProcess(ContainerState state) {
  return state == node::v1::CONTAINER_STATE_RUNNING || state == node::v1::CONTAINER_STATE_PAUSED;
}

std::string_view StateName(ContainerState state) {
  switch (state) {
    case node::v1::CONTAINER_STATE_CREATING:
      return "creating";
    case node::v1::CONTAINER_STATE_CREATED:
      return "created";
    case node::v1::CONTAINER_STATE_STARTING:
      return "starting";
    case node::v1::CONTAINER_STATE_RUNNING:
      return "running";
    case node::v1::CONTAINER_STATE_PAUSED:
      return "paused";
    case node::v1::CONTAINER_STATE_EXITED:
      return "exited";
    case node::v1::CONTAINER_STATE_REMOVING:
      return "removing";
    default:
      return "unknown";
  }
}

}  // namespace noded
