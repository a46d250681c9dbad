// The gRPC server: services, health and reflection on all listeners, from start to drain.
#ifndef SERVER_API_SERVER_H_
#define SERVER_API_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "node/engine.h"
#include "server/listener.h"
#include "server/request_metrics.h"
#include "server/tls.h"

namespace noded::server {

// Thread-compatible.
class ApiServer {
 public:
  // Serves from when it returns. `engine` outlives the server. Unix sockets are made and left 0660.
  // Must not run while other threads need another umask than 022.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(const std::vector<Listener>& listeners,
                                                          const TlsFiles& tls, Engine* engine);
  // Ends what is left as Drain(0) does.
  ~ApiServer();

  // Addresses served, with the ports that were chosen.
  const std::vector<std::string>& addresses() const;

  // Of all calls so far; lives as long as this.
  const RequestMetrics& requests() const;

  // Says NOT_SERVING, refuses new calls, ends long streams, gives the others `most` to end, cancels
  // what is left, and stops listening. The engine's operations go on.
  void Drain(absl::Duration most);

 private:
  struct Parts;
  explicit ApiServer(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace noded::server

#endif  // SERVER_API_SERVER_H_
