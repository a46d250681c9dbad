// WWW-Authenticate: how a registry wants to be told who asks (RFC 9110, 11.6.1; the token scheme of
// the distribution project's docs/spec/auth/token.md). Foreign bytes. Pure; values.
#ifndef ROOTFS_REGISTRY_CHALLENGE_H_
#define ROOTFS_REGISTRY_CHALLENGE_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "rootfs/registry/url.h"

namespace noded::registry {

inline constexpr size_t kMaxChallenges = 16;  // more are left aside; parameters of one likewise

struct Challenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case, values unquoted
};

// Of one header; may hold several. What is not understood is left aside, down to none.
std::vector<Challenge> ParseChallenges(std::string_view header);

// Whether a registry at `api` may have us ask for a token at `realm`. FAILED_PRECONDITION: plain
// http for a registry over TLS, but on loopback, because the password would be read on the way.
absl::Status CheckRealm(const Url& api, const Url& realm);

}  // namespace noded::registry

#endif  // ROOTFS_REGISTRY_CHALLENGE_H_
