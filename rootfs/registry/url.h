// http and https addresses, and where a registry may send us from one to another. Pure; values.
#ifndef ROOTFS_REGISTRY_URL_H_
#define ROOTFS_REGISTRY_URL_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace noded::registry {

struct Url {
  std::string scheme;  // "http", "https"
  std::string host;    // "registry.lan", "127.0.0.1", "[::1]"; lower case
  uint16_t port = 0;   // never 0 once parsed
  std::string path;    // begins with '/'
  std::string query;   // without '?'

  std::string ToString() const;
  // Without the query, which may hold a signature: for messages.
  std::string Shown() const;
  // "host:port"; without a port that goes without saying.
  std::string Authority() const;
  bool SameOrigin(const Url& other) const;
  bool operator==(const Url&) const = default;
};

// INVALID_ARGUMENT: not http or https, no host, or with a user in it (which would be sent).
absl::StatusOr<Url> ParseUrl(std::string_view text);

// What `location`, absolute or relative, means to whoever got it from `base` (RFC 3986).
absl::StatusOr<Url> ResolveLocation(const Url& base, std::string_view location);

// localhost, 127.0.0.0/8, [::1]: what is sent there stays on this machine.
bool IsLoopback(std::string_view host);

// Whether an answer of `from` may send us to `to`. FAILED_PRECONDITION: from TLS to plain http, but
// on loopback; from elsewhere to this machine's loopback, where services trust their callers.
absl::Status CheckRedirect(const Url& from, const Url& to);

}  // namespace noded::registry

#endif  // ROOTFS_REGISTRY_URL_H_
