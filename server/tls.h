// Mutual TLS, version 1.3 and nothing older.
#ifndef SERVER_TLS_H_
#define SERVER_TLS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/security/server_credentials.h"

namespace noded::server {

// Paths of PEM files: all three or none.
struct TlsFiles {
  std::string certificate;  // the server's own, then intermediate ones
  std::string key;          // its private key
  std::string ca;           // whoever has a client certificate from these is let in
  bool empty() const { return certificate.empty() && key.empty() && ca.empty(); }
};

// Makes every TLS context that gRPC makes from now on refuse what is older than 1.3. Once, before
// any is made. INTERNAL when OpenSSL does not play along; then nothing may be listened on by TLS.
absl::Status RequireTls13();

// Reads and checks the files: each must parse, and the key must belong to the certificate. Clients
// must show a certificate that `ca` verifies.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeTlsCredentials(const TlsFiles& files);

}  // namespace noded::server

#endif  // SERVER_TLS_H_
