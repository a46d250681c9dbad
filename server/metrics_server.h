// Serves /metrics over HTTP for Prometheus to scrape: read-only, without authentication, on one
// address. A thread of its own, so that a scrape waits for nothing and delays no request.
#ifndef SERVER_METRICS_SERVER_H_
#define SERVER_METRICS_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/base/unique_fd.h"
#include "server/listener.h"

namespace noded::server {

// A listening socket; the file of a Unix socket goes with it. Move-only; thread-compatible.
struct MetricsSocket {
  MetricsSocket() = default;
  MetricsSocket(MetricsSocket&&) = default;
  MetricsSocket& operator=(MetricsSocket&&) = delete;
  ~MetricsSocket();

  UniqueFd fd;
  Listener listener;  // with the port that was chosen
};

// On exactly the address asked for, an IPv6 one for IPv6 alone. On a Unix socket's path, a file
// that nobody listens on is replaced; it is left 0660 root:root. FAILED_PRECONDITION when the
// address is taken or not one of this host.
absl::StatusOr<MetricsSocket> OpenMetricsSocket(const Listener& listener);

// Thread-compatible.
class MetricsServer {
 public:
  // Serves from when it returns. `render` gives the text of one scrape, on the server's thread, one
  // scrape at a time. Connections are bounded in number, size of request, and time.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(MetricsSocket socket,
                                                              std::function<std::string()> render);
  // Ends scrapes under way.
  ~MetricsServer();

 private:
  class Loop;
  explicit MetricsServer(std::unique_ptr<Loop> loop);

  std::unique_ptr<Loop> loop_;
};

}  // namespace noded::server

#endif  // SERVER_METRICS_SERVER_H_
