// login and logout.
#include <termios.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/prompt.h"
#include "clients/cli/registry_config.h"
#include "clients/cli/utf8.h"

namespace noded::cli {
namespace {

// What was not given by flags, asked for or read.
absl::Status Complete(LoginOptions& options, const Io& io) {
  const bool ask =
      options.username.empty() || (options.password.empty() && !options.password_stdin);
  if (ask && !io.in_is_tty) {
    return absl::FailedPreconditionError(
        "standard input is not a terminal to ask on: give -u NAME and --password-stdin");
  }
  if (options.username.empty()) options.username = AskLine(io, "Username: ");
  if (options.password_stdin) {
    absl::StatusOr<std::string> password = ReadPassword(io);
    if (!password.ok()) return password.status();
    options.password = *password;
  } else if (options.password.empty()) {
    options.password = AskSecret(io, "Password: ");
  }
  if (options.username.empty() || options.password.empty()) {
    return absl::FailedPreconditionError("a user name and a password are needed");
  }
  if (options.username.find(':') != std::string::npos) {
    return absl::FailedPreconditionError("a user name with a colon cannot be kept");
  }
  if (!IsUtf8(options.username) || !IsUtf8(options.password)) {
    return absl::FailedPreconditionError("user name and password must be UTF-8");
  }
  return absl::OkStatus();
}

}  // namespace

int Run(const LoginOptions& options, Client&, const Io& io) {
  LoginOptions complete = options;
  absl::Status status = Complete(complete, io);
  const std::string& path = options.registry_files.own;
  if (status.ok()) {
    absl::StatusOr<std::string> config = ReadRegistryConfig(path);
    if (config.ok()) {
      config = AddCredentials(*config, options.registry, complete.username, complete.password);
    }
    status = config.ok()
                 ? WriteRegistryConfig(path, *config)
                 : absl::InvalidArgumentError(absl::StrCat(path, ": ", config.status().message()));
  }
  if (!status.ok()) {
    io.Complain(absl::StrCat("login ", options.registry, ": ", status.message()));
    return kFailure;
  }
  return Print(io, absl::StrCat("Credentials for ", options.registry, " are kept in ", path,
                                ", not encrypted.\n"));
}

int Run(const LogoutOptions& options, Client&, const Io& io) {
  const std::string& path = options.registry_files.own;
  absl::StatusOr<std::string> config = ReadRegistryConfig(path);
  absl::StatusOr<std::optional<std::string>> without =
      config.ok() ? DropCredentials(*config, options.registry) : config.status();
  absl::Status status = without.status();
  if (status.ok() && !without->has_value()) {
    return Print(
        io, absl::StrCat("There were no credentials for ", options.registry, " in ", path, ".\n"));
  }
  if (status.ok()) status = WriteRegistryConfig(path, **without);
  if (!status.ok()) {
    io.Complain(absl::StrCat("logout ", options.registry, ": ", path, ": ", status.message()));
    return kFailure;
  }
  return Print(io, absl::StrCat("Removed the credentials for ", options.registry, ".\n"));
}

}  // namespace noded::cli
