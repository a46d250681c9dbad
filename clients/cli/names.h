// The API's enumerations as people read and type them: "running", "exited". Pure.
#ifndef CLIENTS_CLI_NAMES_H_
#define CLIENTS_CLI_NAMES_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "node/v1/container_service.pb.h"

namespace noded::cli {

std::string NameOf(node::v1::ContainerState state);
std::string NameOf(node::v1::ContainerEventType type);
std::optional<node::v1::ContainerState> StateNamed(absl::string_view name);
std::optional<node::v1::ContainerEventType> EventTypeNamed(absl::string_view name);
// All of them, for messages: "creating, created, …".
std::string StateNames();
std::string EventTypeNames();
// "SIGKILL"; "signal 70" when it has no name.
std::string SignalName(int number);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_NAMES_H_
