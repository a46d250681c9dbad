// Tells a service manager of our state by sd_notify's datagram, without libsystemd. Thread-safe.
#ifndef SERVER_NOTIFY_H_
#define SERVER_NOTIFY_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace noded::server {

// `socket` is NOTIFY_SOCKET's value: a path, or with '@' first an abstract name. Empty: no manager,
// OK. `state` as in sd_notify(3): "READY=1".
absl::Status NotifyServiceManager(const std::string& socket, std::string_view state);

}  // namespace noded::server

#endif  // SERVER_NOTIFY_H_
