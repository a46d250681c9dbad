// libs: rootfs_registry
// WWW-Authenticate, Location, Retry-After and the errors and tokens of a registry: whatever they
// hold, what is made of them is within bounds and fit for a header or a message.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "rootfs/registry/authorizer.h"
#include "rootfs/registry/challenge.h"
#include "rootfs/registry/quote.h"
#include "rootfs/registry/session.h"
#include "rootfs/registry/url.h"

namespace registry = noded::registry;

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckLocation(const std::string& text) {
  const registry::Url base = *registry::ParseUrl("https://registry.example:5000/v2/app/blobs/x");
  const auto url = registry::ResolveLocation(base, text);
  if (!url.ok()) return;
  Require(url->scheme == "http" || url->scheme == "https");
  Require(!url->host.empty() && url->port != 0);
  // A redirect never leaves TLS but for loopback, and never enters loopback.
  if (registry::CheckRedirect(base, *url).ok())
    Require(url->scheme == "https" && !registry::IsLoopback(url->host));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 16 << 10) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto challenges = registry::ParseChallenges(text);
  Require(challenges.size() <= registry::kMaxChallenges);
  for (const registry::Challenge& challenge : challenges)
    Require(!challenge.scheme.empty() && challenge.parameters.size() <= registry::kMaxChallenges);

  CheckLocation(text);
  const auto token = registry::ParseToken(text);
  if (token.ok()) {
    Require(token->lifetime >= absl::ZeroDuration());
    for (char c : token->text) Require(absl::ascii_isgraph(c));
  }
  const std::string quoted = registry::QuotedError(text);
  Require(quoted.size() < 400);
  for (char c : quoted) Require(absl::ascii_isprint(c));
  Require(registry::ParseRetryAfter(text, absl::UnixEpoch()) >= absl::ZeroDuration());
  return 0;
}
