#include "rootfs/registry/authorizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/oci/digest.h"
#include "rootfs/registry/quote.h"

namespace noded::registry {
namespace {

using nlohmann::json;

constexpr size_t kMaxKnown = 256;
constexpr size_t kMaxTokenBytes = 32 << 10;
// What the token specification says of an answer without expires_in.
constexpr int64_t kDefaultLifetimeSeconds = 60;
constexpr int64_t kLongestLifetimeSeconds = 24 * 3600;

absl::Status Denied(absl::StatusCode code, std::string_view why) {
  return WithReason(absl::Status(code, AsAbsl(why)), reason::kRegistryDenied);
}

// application/x-www-form-urlencoded.
std::string Encoded(std::string_view text) {
  std::string encoded;
  for (unsigned char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += static_cast<char>(c);
    } else {
      absl::StrAppend(&encoded, "%", absl::Hex(c, absl::kZeroPad2));
    }
  }
  return encoded;
}

std::string Parameter(const Challenge& challenge, const std::string& name) {
  const auto found = challenge.parameters.find(name);
  return found == challenge.parameters.end() ? "" : found->second;
}

// Ours and what the challenge names besides, each once.
std::vector<std::string> Scopes(const Grant& grant, const Challenge& challenge) {
  std::vector<std::string> scopes = grant.scopes;
  for (absl::string_view scope :
       absl::StrSplit(Parameter(challenge, "scope"), ' ', absl::SkipEmpty()))
    if (std::find(scopes.begin(), scopes.end(), scope) == scopes.end()) scopes.emplace_back(scope);
  return scopes;
}

const Challenge* Find(const std::vector<Challenge>& challenges, std::string_view scheme) {
  for (const Challenge& challenge : challenges)
    if (challenge.scheme == scheme) return &challenge;
  return nullptr;
}

}  // namespace

std::string BasicAuthorization(const Credentials& credentials) {
  return absl::StrCat(
      "Basic ", absl::Base64Escape(absl::StrCat(credentials.username, ":", credentials.password)));
}

TlsFiles FilesFor(const TlsFiles& files, const Url& api, const Url& target) {
  if (target.SameOrigin(api)) return files;
  TlsFiles elsewhere;
  elsewhere.ca_file = files.ca_file;
  return elsewhere;
}

absl::StatusOr<Token> ParseToken(std::string_view body) {
  const auto none = [] {
    return Denied(absl::StatusCode::kUnauthenticated, "answered without a token");
  };
  const json document = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return none();
  Token token;
  for (const char* name : {"token", "access_token"}) {
    const auto value = document.find(name);
    if (token.text.empty() && value != document.end() && value->is_string())
      token.text = value->get_ref<const std::string&>();
  }
  // It becomes part of a header: a blank or line end in it would be another one.
  const bool printable = std::all_of(token.text.begin(), token.text.end(),
                                     [](char c) { return absl::ascii_isgraph(c); });
  if (token.text.empty() || token.text.size() > kMaxTokenBytes || !printable) return none();
  int64_t seconds = kDefaultLifetimeSeconds;
  const auto expires = document.find("expires_in");
  if (expires != document.end() && expires->is_number()) {
    // As double, for any JSON number fits; NaN is none.
    const double said = expires->get<double>();
    seconds = static_cast<int64_t>(std::clamp<double>(said, 0, kLongestLifetimeSeconds));
  }
  token.lifetime = absl::Seconds(seconds);
  return token;
}

Authorizer::Key Authorizer::KeyOf(const Grant& grant) {
  const Credentials& who = grant.credentials;
  const auto counted = [](const std::string& text) { return absl::StrCat(text.size(), ":", text); };
  const std::string text =
      absl::StrCat(counted(who.username), counted(who.password), counted(who.identity_token));
  // A digest, so that no secret lies in memory longer than its request.
  return {absl::StrCat(grant.api.scheme, "://", grant.api.Authority()),
          absl::StrJoin(grant.scopes, " "), oci::Sha256::Of(text).hex()};
}

std::string Authorizer::Known(const Grant& grant) {
  const Key key = KeyOf(grant);
  absl::MutexLock lock(&mutex_);
  const auto found = known_.find(key);
  if (found == known_.end() || found->second.end <= absl::Now()) return "";
  return found->second.authorization;
}

void Authorizer::Forget(const Grant& grant, const std::string& authorization) {
  const Key key = KeyOf(grant);
  absl::MutexLock lock(&mutex_);
  const auto found = known_.find(key);
  // Another thread may have put a newer one there.
  if (found != known_.end() && found->second.authorization == authorization) known_.erase(found);
}

absl::StatusOr<std::string> Authorizer::Obtain(const Grant& grant, const std::string& challenges,
                                               const Cancel& cancel) {
  const std::vector<Challenge> asked = ParseChallenges(challenges);
  Entry entry;
  if (const Challenge* bearer = Find(asked, "bearer"); bearer != nullptr) {
    ASSIGN_OR_RETURN(entry, ObtainToken(grant, *bearer, cancel));
  } else if (Find(asked, "basic") == nullptr) {
    return Denied(absl::StatusCode::kUnauthenticated,
                  "wants an authorization that is neither basic nor by token");
  } else if (grant.credentials.username.empty()) {
    return Denied(absl::StatusCode::kUnauthenticated,
                  "wants a user and password, and none are known for it");
  } else {
    entry = {BasicAuthorization(grant.credentials), absl::Now() + absl::Minutes(10)};
  }
  absl::MutexLock lock(&mutex_);
  const absl::Time now = absl::Now();
  for (auto it = known_.begin(); it != known_.end();)
    it = it->second.end <= now ? known_.erase(it) : std::next(it);
  if (known_.size() >= kMaxKnown) known_.erase(known_.begin());
  known_[KeyOf(grant)] = entry;
  return entry.authorization;
}

absl::StatusOr<HttpAnswer> Authorizer::AskForToken(const Grant& grant, const Url& realm,
                                                   const Challenge& challenge,
                                                   const Cancel& cancel) {
  HttpRequest request;
  request.url = realm;
  request.tls = FilesFor(grant.tls, grant.api, realm);
  const std::vector<std::string> scopes = Scopes(grant, challenge);
  const std::string service = Encoded(Parameter(challenge, "service"));
  std::string form;
  if (!grant.credentials.identity_token.empty()) {
    // OAuth2: one scope parameter holds them all.
    form = absl::StrCat("grant_type=refresh_token&client_id=noded&service=", service,
                        "&scope=", Encoded(absl::StrJoin(scopes, " ")),
                        "&refresh_token=", Encoded(grant.credentials.identity_token));
    request.method = "POST";
    request.body = form;
  } else {
    std::string& query = request.url.query;
    absl::StrAppend(&query, query.empty() ? "" : "&", "service=", service);
    for (const std::string& scope : scopes) absl::StrAppend(&query, "&scope=", Encoded(scope));
    if (!grant.credentials.username.empty()) {
      absl::StrAppend(&query, "&account=", Encoded(grant.credentials.username));
      request.headers.push_back(
          absl::StrCat("Authorization: ", BasicAuthorization(grant.credentials)));
    }
  }
  Exchange exchange = pool_.Perform(request, cancel);
  if (exchange.failure != Failure::kNone) return exchange.status;
  return std::move(exchange.answer);
}

absl::StatusOr<Authorizer::Entry> Authorizer::ObtainToken(const Grant& grant,
                                                          const Challenge& challenge,
                                                          const Cancel& cancel) {
  auto realm = ParseUrl(Parameter(challenge, "realm"));
  if (!realm.ok())
    return Denied(absl::StatusCode::kUnauthenticated,
                  absl::StrCat("names no token server: ", realm.status().message()));
  if (absl::Status status = CheckRealm(grant.api, *realm); !status.ok())
    return WithReason(status, reason::kRegistryDenied);
  const std::string server = absl::StrCat("token server ", realm->Shown());
  auto answer = AskForToken(grant, *realm, challenge, cancel);
  if (!answer.ok()) return Annotate(answer.status(), server);
  if (!answer->success()) {
    const std::string why =
        absl::StrCat(server, " answered ", answer->status, ": ",
                     QuotedError(Redacted(std::move(answer->body), grant.credentials)));
    if (answer->status == 429 || answer->status >= 500)
      return WithReason(absl::UnavailableError(why), reason::kRegistryUnreachable);
    return Denied(answer->status == 403 ? absl::StatusCode::kPermissionDenied
                                        : absl::StatusCode::kUnauthenticated,
                  why);
  }
  auto token = ParseToken(answer->body);
  if (!token.ok()) return Annotate(token.status(), server);
  // A tenth less, because the answer was on its way and clocks differ.
  return Entry{absl::StrCat("Bearer ", token->text), absl::Now() + token->lifetime * 0.9};
}

}  // namespace noded::registry
