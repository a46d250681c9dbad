#include "rootfs/registry/hosts.h"

#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::registry {
namespace {

constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kDockerHubHost = "registry-1.docker.io";

// Words between blanks; double quotes keep blanks together.
absl::StatusOr<std::vector<std::string>> WordsOf(std::string_view rule) {
  std::vector<std::string> words;
  bool quoted = false, in_word = false;
  for (char c : rule) {
    if (static_cast<unsigned char>(c) < ' ' && c != '\t')
      return absl::InvalidArgumentError("has a control character");
    if (c == '"') {
      quoted = !quoted;
    } else if ((c == ' ' || c == '\t') && !quoted) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c != '"') words.back() += c;
  }
  if (quoted) return absl::InvalidArgumentError("has a quote that does not end");
  return words;
}

absl::Status SetCapabilities(std::string_view list, Host& host) {
  host.pull = host.resolve = host.push = false;
  for (absl::string_view word : absl::StrSplit(AsAbsl(list), ',')) {
    if (word == "pull") {
      host.pull = true;
    } else if (word == "resolve") {
      host.resolve = true;
    } else if (word == "push") {
      host.push = true;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", word, "\" is none of pull, resolve, push"));
    }
  }
  return absl::OkStatus();
}

absl::Status SetHeader(std::string_view header, Host& host) {
  const size_t colon = header.find(':');
  const std::string_view name = header.substr(0, colon);
  if (colon == header.npos || name.empty() || name.find_first_of(" \t") != name.npos)
    return absl::InvalidArgumentError("header must be \"header=NAME: VALUE\"");
  host.headers.emplace_back(header);
  return absl::OkStatus();
}

absl::Status SetOption(const std::string& word, Host& host, bool& last) {
  absl::string_view value = word;
  if (word == "skip-verify") {
    host.tls.skip_verify = true;
  } else if (word == "last") {
    last = true;
  } else if (absl::ConsumePrefix(&value, "ca=")) {
    host.tls.ca_file = std::string(value);
  } else if (absl::ConsumePrefix(&value, "cert=")) {
    host.tls.certificate_file = std::string(value);
  } else if (absl::ConsumePrefix(&value, "key=")) {
    host.tls.key_file = std::string(value);
  } else if (absl::ConsumePrefix(&value, "header=")) {
    return SetHeader(AsStd(value), host);
  } else {
    return SetCapabilities(word, host);
  }
  return absl::OkStatus();
}

// The registry's own address; over TLS until something else is known.
absl::StatusOr<Host> Itself(const std::string& registry) {
  Host host;
  host.registry = registry;
  const std::string_view name = registry == kDockerHub ? kDockerHubHost : registry;
  ASSIGN_OR_RETURN(host.api, ParseUrl(absl::StrCat("https://", AsAbsl(name))));
  if (host.api.path != "/" || !host.api.query.empty())
    return absl::InvalidArgumentError("is no host with or without a port");
  host.api.path = "/v2";
  host.scheme_is_guessed = true;
  return host;
}

std::string ApiPath(const std::string& path) {
  const std::string trimmed(absl::StripSuffix(path, "/"));
  return absl::EndsWith(trimmed, "/v2") ? trimmed : trimmed + "/v2";
}

absl::StatusOr<Host> ParseRule(const std::vector<std::string>& words, bool& last) {
  if (words.size() < 2) return absl::InvalidArgumentError("must be REGISTRY URL and options");
  auto itself = Itself(words[0]);
  if (!itself.ok()) return Annotate(itself.status(), absl::StrCat("registry \"", words[0], "\""));
  Host host;
  host.registry = words[0];
  auto url = ParseUrl(words[1]);
  if (!url.ok()) return url.status();
  if (!url->query.empty()) return absl::InvalidArgumentError("address has a query");
  // Whatever the scheme: a plain http registry is still itself.
  host.mirror = url->Authority() != itself->api.Authority();
  host.api = *std::move(url);
  host.api.path = ApiPath(host.api.path);
  host.push = !host.mirror;
  for (size_t i = 2; i < words.size(); ++i) RETURN_IF_ERROR(SetOption(words[i], host, last));
  if (host.tls.certificate_file.empty() != host.tls.key_file.empty())
    return absl::InvalidArgumentError("cert= and key= need each other");
  if (host.api.scheme == "http" && host.tls != TlsFiles())
    return absl::InvalidArgumentError("plain http has no use for ca, cert, key or skip-verify");
  return host;
}

}  // namespace

std::string Host::CredentialsName() const { return mirror ? api.Authority() : registry; }

absl::StatusOr<HostsConfig> HostsConfig::Parse(const std::vector<std::string>& rules) {
  HostsConfig config;
  for (const std::string& rule : rules) {
    // A header may hold a secret, so no more of the rule is told than whom it is for.
    auto words = WordsOf(rule);
    const std::string name =
        absl::StrCat("rule of \"", words.ok() && !words->empty() ? words->front() : "", "\"");
    if (!words.ok()) return Annotate(words.status(), name);
    bool last = false;
    auto host = ParseRule(*words, last);
    if (!host.ok()) return Annotate(host.status(), name);
    Rules& of_registry = config.by_registry_[host->registry];
    if (of_registry.last)
      return Annotate(absl::InvalidArgumentError("comes after one that says last"), name);
    of_registry.last = last;
    of_registry.hosts.push_back(*std::move(host));
  }
  return config;
}

absl::StatusOr<std::vector<Host>> HostsConfig::HostsOf(const std::string& registry) const {
  auto itself = Itself(registry);
  if (!itself.ok()) return Annotate(itself.status(), absl::StrCat("registry \"", registry, "\""));
  std::vector<Host> hosts;
  bool complete = false;
  if (auto rules = by_registry_.find(registry); rules != by_registry_.end()) {
    hosts = rules->second.hosts;
    complete = rules->second.last;
    for (const Host& host : hosts) complete = complete || !host.mirror;
  }
  if (!complete) hosts.push_back(*std::move(itself));
  return hosts;
}

TlsFiles FilesOf(const Host& host, const std::string& directory) {
  TlsFiles files = host.tls;
  const auto there = [&](const char* name) {
    const std::string path = absl::StrCat(directory, "/", host.api.Authority(), "/", name);
    return access(path.c_str(), F_OK) == 0 ? path : std::string();
  };
  if (files.ca_file.empty()) files.ca_file = there("ca.crt");
  if (files.certificate_file.empty()) {
    std::string certificate = there("client.cert"), key = there("client.key");
    if (!certificate.empty() && !key.empty()) {
      files.certificate_file = std::move(certificate);
      files.key_file = std::move(key);
    }
  }
  return files;
}

}  // namespace noded::registry
