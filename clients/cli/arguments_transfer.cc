// The command lines that have to do with registries: pull, push, login, logout.
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "clients/cli/command_table.h"
#include "clients/cli/registry_config.h"

namespace noded::cli {
namespace {

constexpr char kNeedsReference[] =
    "exactly one image is needed, such as busybox, registry.lab:5000/app:1.2 or app@sha256:…";

Finish DeclarePull(FlagSet& flags, const Host& host) {
  auto options = std::make_shared<PullOptions>();
  options->registry_files = RegistryFilesOf(host);
  flags.Group("Flags");
  flags.Switch("-q,--quiet", &options->quiet, "only the image's name at the end, no progress");
  flags.Text("--platform", "OS/ARCH", options->request.mutable_platform(),
             "of an image for several: linux/arm64 (default: the node's)");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    if (args.size() != 1) return absl::InvalidArgumentError(kNeedsReference);
    options->request.set_image(args[0]);
    return Command(*options);
  };
}

Finish DeclarePush(FlagSet& flags, const Host& host) {
  auto options = std::make_shared<PushOptions>();
  options->registry_files = RegistryFilesOf(host);
  flags.Group("Flags");
  flags.Switch("-q,--quiet", &options->quiet, "only the image's name at the end, no progress");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    if (args.size() != 1) return absl::InvalidArgumentError(kNeedsReference);
    options->request.set_image(args[0]);
    return Command(*options);
  };
}

// The registry of `login` and `logout`, Docker's when none is given.
absl::StatusOr<std::string> RegistryOf(const std::vector<std::string>& args) {
  if (args.size() > 1) return absl::InvalidArgumentError("at most one registry can be given");
  if (args.empty()) return std::string(kDockerRegistry);
  std::string registry = RegistryHost(args[0]);
  if (!registry.empty()) return registry;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", args[0], "\" is no registry; the form is HOST[:PORT]"));
}

absl::Status NeedFile(const RegistryFiles& files) {
  if (!files.own.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "there is no place for credentials: NODECTL_CONFIG and HOME are not set");
}

Finish DeclareLogin(FlagSet& flags, const Host& host) {
  auto options = std::make_shared<LoginOptions>();
  options->registry_files = RegistryFilesOf(host);
  flags.Group("Flags");
  flags.Text("-u,--username", "NAME", &options->username, "user name (default: asked for)");
  flags.Text("-p,--password", "PASSWORD", &options->password,
             "password or token; others can see it in the list of processes");
  flags.Switch("--password-stdin", &options->password_stdin,
               "read the password from standard input");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::StatusOr<std::string> registry = RegistryOf(args);
    if (!registry.ok()) return registry.status();
    options->registry = *registry;
    if (options->password_stdin && !options->password.empty()) {
      return absl::InvalidArgumentError("--password and --password-stdin exclude each other");
    }
    if (options->password_stdin && options->username.empty()) {
      return absl::InvalidArgumentError("--password-stdin: needs --username");
    }
    absl::Status status = NeedFile(options->registry_files);
    if (!status.ok()) return status;
    return Command(*options);
  };
}

Finish DeclareLogout(FlagSet&, const Host& host) {
  auto options = std::make_shared<LogoutOptions>();
  options->registry_files = RegistryFilesOf(host);
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::StatusOr<std::string> registry = RegistryOf(args);
    if (!registry.ok()) return registry.status();
    options->registry = *registry;
    absl::Status status = NeedFile(options->registry_files);
    if (!status.ok()) return status;
    return Command(*options);
  };
}

constexpr char kPullDetails[] =
    R"(On a terminal each layer has a bar; elsewhere a line is printed when something changes, and with -o json each message of
the API. A pull that was interrupted goes on where it ended. What nodectl login has kept for the image's registry is sent along;
for a short name, whose registry is the node's to choose, nothing is sent.

Examples:
  nodectl pull busybox
  nodectl pull -q registry.lab:5000/app:1.2
  nodectl pull --platform linux/arm64 busybox:1.36
)";

constexpr char kPushDetails[] =
    R"(The image's name tells where it goes: nodectl tag gives it another. What the registry has is not sent again.

Examples:
  nodectl push registry.lab:5000/app:1.2
  nodectl tag app registry.lab:5000/app && nodectl push registry.lab:5000/app
)";

constexpr char kLoginDetails[] =
    R"(Keeps credentials for a registry (default: docker.io) in nodectl's config.json, readable by you alone. Nothing is asked of the
registry: whether it takes them shows when they are used. The file is $NODECTL_CONFIG or ~/.config/nodectl/config.json; while
that is not there, Docker's ~/.docker/config.json is read in its place.

Examples:
  nodectl login registry.lab:5000
  nodectl login -u ci --password-stdin registry.lab:5000 < token
)";

constexpr char kLogoutDetails[] =
    R"(Examples:
  nodectl logout registry.lab:5000
)";

}  // namespace

const CommandEntry kPullCommand = {
    "pull",       "[flags] IMAGE",          "Bring an image from its registry",
    kPullDetails, FlagPlacement::kAnywhere, DeclarePull};
const CommandEntry kPushCommand = {
    "push",       "[flags] IMAGE",          "Send an image to its registry",
    kPushDetails, FlagPlacement::kAnywhere, DeclarePush};
const CommandEntry kLoginCommand = {
    "login",       "[flags] [REGISTRY]",     "Keep credentials for a registry",
    kLoginDetails, FlagPlacement::kAnywhere, DeclareLogin};
const CommandEntry kLogoutCommand = {"logout",
                                     "[REGISTRY]",
                                     "Forget the credentials for a registry",
                                     kLogoutDetails,
                                     FlagPlacement::kAnywhere,
                                     DeclareLogout};

}  // namespace noded::cli
