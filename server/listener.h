// Where noded listens: Unix sockets, which root alone may use (0660 root:root), and TCP, which
// needs mutual TLS unless it is loopback and insecurity was asked for. Thread-safe.
#ifndef SERVER_LISTENER_H_
#define SERVER_LISTENER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace noded::server {

struct Listener {
  std::string path;  // of a Unix socket, absolute; empty for TCP
  std::string host;  // address literal without brackets, or a name
  int port = 0;      // 0: any free one
  bool operator==(const Listener&) const = default;

  bool is_unix() const { return !path.empty(); }
  // As gRPC takes it: "unix:///run/noded/noded.sock", "[::1]:7000".
  std::string Address() const;
};

// "unix:///path", "host:port", "[v6]:port". "localhost" means 127.0.0.1, whatever the resolver
// says.
absl::StatusOr<Listener> ParseListener(const std::string& text);

// An IPv4 or IPv6 literal.
bool IsIpAddress(const std::string& host);

// 127.0.0.0/8 or ::1, as a literal: a name may resolve to anything.
bool IsLoopback(const std::string& host);

// Whether the listener may be opened: TCP without TLS is plain text and without authentication.
absl::Status CheckTransport(const Listener& listener, bool tls, bool insecure);

// Makes the socket's directory, 0711 so that a client may reach the socket and list nothing; one
// that exists is left as it is. Before the engine is opened, which would make its own 0700.
absl::Status MakeSocketDirectory(const std::string& path);

// Checks that `path` is free or a socket that nobody listens on, which gRPC then replaces.
// FAILED_PRECONDITION otherwise: another daemon's socket must not be taken from it.
absl::Status PrepareUnixSocket(const std::string& path);
// After gRPC has bound it. Until then it had the modes left by the umask, whose owner alone may
// write and so connect.
absl::Status RestrictUnixSocket(const std::string& path);

}  // namespace noded::server

#endif  // SERVER_LISTENER_H_
