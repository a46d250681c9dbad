// What goes into the Authorization header for a host: asked for as its challenge says, and kept
// until it ends, so that the many requests of a pull are one to the token server.
#ifndef ROOTFS_REGISTRY_AUTHORIZER_H_
#define ROOTFS_REGISTRY_AUTHORIZER_H_

#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "node/base/cancel.h"
#include "rootfs/registry/challenge.h"
#include "rootfs/registry/credentials.h"
#include "rootfs/registry/http.h"

namespace noded::registry {

// Who wants what of whom.
struct Grant {
  Url api;
  TlsFiles tls;                     // of requests to that host
  std::vector<std::string> scopes;  // "repository:library/busybox:pull"
  Credentials credentials;          // may be empty
};

// Thread-safe.
class Authorizer {
 public:
  explicit Authorizer(HttpPool& pool) : pool_(pool) {}

  // What was obtained for the same grant and has not ended; empty when there is none.
  std::string Known(const Grant& grant);
  // No longer: the host refused `authorization`.
  void Forget(const Grant& grant, const std::string& authorization);
  // Anew, by the challenges of an answer 401. UNAUTHENTICATED, PERMISSION_DENIED (REGISTRY_DENIED):
  // refused, or no credentials for what is asked. UNAVAILABLE: the token server cannot be reached;
  // again may help.
  absl::StatusOr<std::string> Obtain(const Grant& grant, const std::string& challenges,
                                     const Cancel& cancel);

 private:
  // Host, scopes, and a digest of the credentials.
  using Key = std::tuple<std::string, std::string, std::string>;
  struct Entry {
    std::string authorization;
    absl::Time end;
  };
  static Key KeyOf(const Grant& grant);

  absl::StatusOr<Entry> ObtainToken(const Grant& grant, const Challenge& challenge,
                                    const Cancel& cancel);
  absl::StatusOr<HttpAnswer> AskForToken(const Grant& grant, const Url& realm,
                                         const Challenge& challenge, const Cancel& cancel);

  HttpPool& pool_;
  absl::Mutex mutex_;
  std::map<Key, Entry> known_ ABSL_GUARDED_BY(mutex_);
};

// Files for a request from a host that is reached with `files` at `api` to `target`: elsewhere its
// authority is trusted too, but it is not told who we are, and a check is never skipped. Pure.
TlsFiles FilesFor(const TlsFiles& files, const Url& api, const Url& target);

// Value of the Authorization header. Pure.
std::string BasicAuthorization(const Credentials& credentials);

// The token in a token server's answer, and for how long it counts. UNAUTHENTICATED: there is none.
// Pure.
struct Token {
  std::string text;
  absl::Duration lifetime;
};
absl::StatusOr<Token> ParseToken(std::string_view body);

}  // namespace noded::registry

#endif  // ROOTFS_REGISTRY_AUTHORIZER_H_
