#include "rootfs/registry/credentials.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::registry {
namespace {

using nlohmann::json;

constexpr size_t kMaxFileBytes = 1 << 20;

// "https://index.docker.io/v1/" is what docker login writes for docker.io.
std::string RegistryOfKey(const std::string& key) {
  absl::string_view rest = key;
  if (!absl::ConsumePrefix(&rest, "https://")) absl::ConsumePrefix(&rest, "http://");
  rest = rest.substr(0, rest.find('/'));
  if (rest == "index.docker.io" || rest == "registry-1.docker.io") return "docker.io";
  return std::string(rest);
}

// Empty when it is not there.
absl::StatusOr<std::string> Text(const json& entry, const char* name) {
  const auto value = entry.find(name);
  if (value == entry.end() || value->is_null()) return "";
  if (!value->is_string()) return absl::InvalidArgumentError(absl::StrCat(name, " is no string"));
  const std::string& text = value->get_ref<const std::string&>();
  // They become part of a header.
  if (text.find_first_of(std::string_view("\r\n\0", 3)) != text.npos)
    return absl::InvalidArgumentError(absl::StrCat(name, " has a line end in it"));
  return text;
}

absl::StatusOr<Credentials> ParseEntry(const json& entry) {
  if (!entry.is_object()) return absl::InvalidArgumentError("is no object");
  Credentials credentials;
  ASSIGN_OR_RETURN(credentials.username, Text(entry, "username"));
  ASSIGN_OR_RETURN(credentials.password, Text(entry, "password"));
  ASSIGN_OR_RETURN(credentials.identity_token, Text(entry, "identitytoken"));
  ASSIGN_OR_RETURN(const std::string auth, Text(entry, "auth"));
  if (auth.empty()) return credentials;
  std::string pair;
  if (!absl::Base64Unescape(auth, &pair)) return absl::InvalidArgumentError("auth is not base64");
  const size_t colon = pair.find(':');
  if (colon == pair.npos || pair.find_first_of("\r\n") != pair.npos)
    return absl::InvalidArgumentError("auth is not base64 of user:password");
  credentials.username = pair.substr(0, colon);
  credentials.password = pair.substr(colon + 1);
  // docker login pads them.
  while (!credentials.password.empty() && credentials.password.back() == '\0')
    credentials.password.pop_back();
  return credentials;
}

}  // namespace

absl::StatusOr<CredentialsByRegistry> ParseCredentials(std::string_view text) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return absl::InvalidArgumentError("is no JSON object");
  CredentialsByRegistry found;
  const auto auths = document.find("auths");
  if (auths == document.end() || auths->is_null()) return found;
  if (!auths->is_object()) return absl::InvalidArgumentError("auths is no object");
  for (const auto& [key, entry] : auths->items()) {
    auto credentials = ParseEntry(entry);
    if (!credentials.ok())
      return Annotate(credentials.status(), absl::StrCat("auths[\"", key, "\"]"));
    // An empty one says only that a credential helper has them.
    if (!credentials->empty()) found[RegistryOfKey(key)] = *std::move(credentials);
  }
  return found;
}

absl::StatusOr<CredentialsFile> ReadCredentialsFile(const std::string& path) {
  CredentialsFile file;
  if (path.empty()) return file;
  const auto failed = [&](const absl::Status& status) {
    return absl::FailedPreconditionError(
        absl::StrCat("credentials file ", path, ": ", status.message()));
  };
  auto text = ReadFileAt(AT_FDCWD, path, kMaxFileBytes);
  if (absl::IsNotFound(text.status())) return file;
  if (!text.ok()) return failed(text.status());
  auto parsed = ParseCredentials(*text);
  if (!parsed.ok()) return failed(parsed.status());
  file.by_registry = *std::move(parsed);
  struct stat info;
  file.readable_by_others = stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0;
  return file;
}

std::string Redacted(std::string text, const Credentials& credentials) {
  constexpr std::string_view kInstead = "[redacted]";
  std::string pair;
  if (!credentials.password.empty())
    pair = absl::Base64Escape(absl::StrCat(credentials.username, ":", credentials.password));
  for (const std::string& secret : {pair, credentials.password, credentials.identity_token})
    if (!secret.empty()) text = absl::StrReplaceAll(text, {{secret, AsAbsl(kInstead)}});
  return text;
}

}  // namespace noded::registry
