// Credentials for registries, in config.json as Docker writes it:
// {"auths": {"registry.lab:5000": {"auth": base64("user:password")}}}. What else is in the file is
// kept as it is. Helper programs (credsStore, credHelpers) are not run.
#ifndef CLIENTS_CLI_REGISTRY_CONFIG_H_
#define CLIENTS_CLI_REGISTRY_CONFIG_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clients/cli/options.h"

namespace noded::cli {

inline constexpr absl::string_view kDockerRegistry = "docker.io";

// The host, and port, of what people and files call a registry: "https://registry.lab:5000/v2/" is
// "registry.lab:5000", "index.docker.io" is "docker.io". Empty: it is none.
std::string RegistryHost(absl::string_view text);
// The registry that a reference names; empty for a short one ("busybox", "team/app"), whose
// registry is the node's to choose: credentials for one must not go to another.
std::string RegistryOfReference(absl::string_view reference);

// Pure. `config` is the content of a config.json; empty is one with nothing in it.
// INVALID_ARGUMENT: not JSON, or not of that form.
absl::StatusOr<std::optional<node::v1::RegistryCredentials>> FindCredentials(
    absl::string_view config, absl::string_view registry);
// The config with these in place of what it had for the registry.
absl::StatusOr<std::string> AddCredentials(absl::string_view config, absl::string_view registry,
                                           absl::string_view username, absl::string_view password);
// The config without them; nullopt when there were none.
absl::StatusOr<std::optional<std::string>> DropCredentials(absl::string_view config,
                                                           absl::string_view registry);

// Those for the registry of `reference`, from `own` or, when that is not there, from `docker`.
// nullopt: none. A file that cannot be read or understood is an error that names it.
absl::StatusOr<std::optional<node::v1::RegistryCredentials>> LoadCredentials(
    const RegistryFiles& files, absl::string_view reference);
// The content of a config.json; empty when there is no such file.
absl::StatusOr<std::string> ReadRegistryConfig(const std::string& path);
// Replaces the file at once or not at all; it is readable by its owner alone from its first byte.
absl::Status WriteRegistryConfig(const std::string& path, absl::string_view content);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_REGISTRY_CONFIG_H_
