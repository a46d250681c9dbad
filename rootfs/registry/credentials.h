// Who we are to a registry, and the file in which that is kept: the usual config.json.
#ifndef ROOTFS_REGISTRY_CREDENTIALS_H_
#define ROOTFS_REGISTRY_CREDENTIALS_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace noded::registry {

// Never logged and never part of an error: there is no way to print one.
struct Credentials {
  std::string username, password;
  std::string identity_token;  // instead of the two (OAuth2 refresh token)

  bool empty() const { return username.empty() && password.empty() && identity_token.empty(); }
  bool operator==(const Credentials&) const = default;
};

// By registry, as in references: "docker.io", "registry.lan:5000".
using CredentialsByRegistry = std::map<std::string, Credentials>;

// "auths" of a config.json: base64 `auth`, or `username` and `password`; `identitytoken`. Keys may
// be URLs; https://index.docker.io/v1/ is docker.io. Other keys are left aside (credential helpers
// are programs, and noded runs none). INVALID_ARGUMENT names the place, never the value. Pure.
absl::StatusOr<CredentialsByRegistry> ParseCredentials(std::string_view json);

struct CredentialsFile {
  CredentialsByRegistry by_registry;
  // The file's mode lets others read it: worth a warning, once.
  bool readable_by_others = false;
};
// A missing file, or an empty `path`, holds none. FAILED_PRECONDITION: cannot be read or is no
// config.json. Thread-safe.
absl::StatusOr<CredentialsFile> ReadCredentialsFile(const std::string& path);

// `text` with each of the secrets that is in it replaced by "[redacted]": for what a registry says,
// because some echo the request. Pure.
std::string Redacted(std::string text, const Credentials& credentials);

}  // namespace noded::registry

#endif  // ROOTFS_REGISTRY_CREDENTIALS_H_
