#include "clients/cli/registry_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "clients/cli/host.h"
#include "clients/cli/io.h"
#include "clients/cli/utf8.h"

namespace noded::cli {
namespace {

using Json = nlohmann::ordered_json;
using node::v1::RegistryCredentials;

// How Docker has called its own registry in this file since its first version.
constexpr char kDockerKey[] = "https://index.docker.io/v1/";

absl::StatusOr<Json> Parse(absl::string_view config) {
  if (absl::StripAsciiWhitespace(config).empty()) return Json::object();
  Json json = Json::parse(config.begin(), config.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("no JSON object");
  auto auths = json.find("auths");
  if (auths != json.end() && !auths->is_object()) {
    return absl::InvalidArgumentError("\"auths\" is no JSON object");
  }
  return json;
}

std::string Text(const Json& entry, const char* name) {
  auto found = entry.find(name);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : "";
}

absl::StatusOr<RegistryCredentials> CredentialsOf(const std::string& key, const Json& entry) {
  RegistryCredentials credentials;
  credentials.set_identity_token(Text(entry, "identitytoken"));
  if (!credentials.identity_token().empty()) return credentials;
  const std::string encoded = Text(entry, "auth");
  std::string pair = absl::StrCat(Text(entry, "username"), ":", Text(entry, "password"));
  const bool decoded = encoded.empty() || absl::Base64Unescape(encoded, &pair);
  // Docker pads with NUL bytes what it wrote on some systems.
  while (absl::EndsWith(pair, absl::string_view("\0", 1))) pair.pop_back();
  std::pair<std::string, std::string> parts = absl::StrSplit(pair, absl::MaxSplits(':', 1));
  if (!decoded || !absl::StrContains(pair, ':') || !IsUtf8(pair)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"auth\" of ", key, " is not the base64 of user:password"));
  }
  credentials.set_username(parts.first);
  credentials.set_password(parts.second);
  return credentials;
}

// Directories down to that of `path`, as mkdir -p, for the owner alone.
absl::Status MakeParents(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string directory = path.substr(0, slash);
    if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot make ", directory, ": ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

bool WriteWhole(int fd, absl::string_view content) {
  while (!content.empty()) {
    ssize_t count = write(fd, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    content.remove_prefix(static_cast<size_t>(count));
  }
  return fsync(fd) == 0;
}

}  // namespace

std::string RegistryHost(absl::string_view text) {
  absl::ConsumePrefix(&text, "https://") || absl::ConsumePrefix(&text, "http://");
  std::string host(text.substr(0, text.find('/')));
  if (host == "index.docker.io" || host == "registry-1.docker.io")
    return std::string(kDockerRegistry);
  for (char c : host) {
    if (!absl::ascii_isalnum(c) && !absl::StrContains(".-_:[]", absl::string_view(&c, 1)))
      return "";
  }
  return host;
}

std::string RegistryOfReference(absl::string_view reference) {
  size_t slash = reference.find('/');
  if (slash == absl::string_view::npos) return "";
  absl::string_view first = reference.substr(0, slash);
  // As every parser of references has it: a first part with a dot or a colon is a host.
  bool is_host = first == "localhost" || first.find_first_of(".:") != absl::string_view::npos;
  return is_host ? RegistryHost(first) : "";
}

absl::StatusOr<std::optional<RegistryCredentials>> FindCredentials(absl::string_view config,
                                                                   absl::string_view registry) {
  absl::StatusOr<Json> json = Parse(config);
  if (!json.ok()) return json.status();
  auto auths = json->find("auths");
  if (auths == json->end()) return std::nullopt;
  for (const auto& [key, entry] : auths->items()) {
    // Docker leaves empty entries behind for what a helper program keeps.
    if (RegistryHost(key) != registry || !entry.is_object() || entry.empty()) continue;
    absl::StatusOr<RegistryCredentials> credentials = CredentialsOf(key, entry);
    if (!credentials.ok()) return credentials.status();
    return std::optional(*std::move(credentials));
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<std::string>> DropCredentials(absl::string_view config,
                                                           absl::string_view registry) {
  absl::StatusOr<Json> json = Parse(config);
  if (!json.ok()) return json.status();
  std::vector<std::string> keys;
  auto auths = json->find("auths");
  if (auths != json->end()) {
    for (const auto& [key, entry] : auths->items()) {
      if (RegistryHost(key) == registry) keys.push_back(key);
    }
  }
  if (keys.empty()) return std::nullopt;
  for (const std::string& key : keys) auths->erase(key);
  return std::optional(json->dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

absl::StatusOr<std::string> AddCredentials(absl::string_view config, absl::string_view registry,
                                           absl::string_view username, absl::string_view password) {
  absl::StatusOr<std::optional<std::string>> without = DropCredentials(config, registry);
  if (!without.ok()) return without.status();
  absl::StatusOr<Json> json = Parse(without->has_value() ? absl::string_view(**without) : config);
  if (!json.ok()) return json.status();
  const std::string key(registry == kDockerRegistry ? kDockerKey : registry);
  (*json)["auths"][key]["auth"] = absl::Base64Escape(absl::StrCat(username, ":", password));
  return json->dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<std::string> ReadRegistryConfig(const std::string& path) {
  if (access(path.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) return "";
  return RealHost().read_file(path);
}

absl::StatusOr<std::optional<RegistryCredentials>> LoadCredentials(const RegistryFiles& files,
                                                                   absl::string_view reference) {
  const std::string registry = RegistryOfReference(reference);
  if (registry.empty()) return std::nullopt;
  for (const std::string& path : {files.own, files.docker}) {
    if (path.empty()) continue;
    absl::StatusOr<std::string> content = ReadRegistryConfig(path);
    if (!content.ok()) return content.status();
    if (content->empty()) continue;
    absl::StatusOr<std::optional<RegistryCredentials>> found = FindCredentials(*content, registry);
    if (found.ok()) return found;
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", found.status().message()));
  }
  return std::nullopt;
}

absl::Status WriteRegistryConfig(const std::string& path, absl::string_view content) {
  // Through a link, so that a file kept elsewhere stays there.
  char* resolved = realpath(path.c_str(), nullptr);
  const std::string target = resolved == nullptr ? path : resolved;
  free(resolved);
  absl::Status parents = MakeParents(target);
  if (!parents.ok()) return parents;
  std::string fresh = target + ".XXXXXX";
  ScopedFd file(mkostemp(fresh.data(), O_CLOEXEC));  // makes it 0600
  if (file.get() < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot make ", fresh, ": ", strerror(errno)));
  }
  if (WriteWhole(file.get(), content) && rename(fresh.c_str(), target.c_str()) == 0) {
    return absl::OkStatus();
  }
  absl::Status status =
      absl::FailedPreconditionError(absl::StrCat("cannot write ", target, ": ", strerror(errno)));
  unlink(fresh.c_str());
  return status;
}

}  // namespace noded::cli
