// The command lines of the group `volume`.
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clients/cli/command_table.h"

namespace noded::cli {
namespace {

absl::Status NeedVolumes(const std::vector<std::string>& args) {
  if (!args.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("at least one volume is needed: its name");
}

Finish DeclareVolumeCreate(FlagSet& flags, const Host&) {
  auto options = std::make_shared<VolumeCreateOptions>();
  flags.Group("Flags");
  flags.Value(
      "-l,--label,--labels", "NAME=VALUE", "label, to filter by",
      [options](const std::string& text) {
        if (text.empty() || text[0] == '=') {
          return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": the form is NAME=VALUE"));
        }
        AddLabel(text, *options->request.mutable_labels());
        return absl::OkStatus();
      });
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    if (args.size() > 1) return absl::InvalidArgumentError("at most one name can be given");
    if (!args.empty()) options->request.set_name(args[0]);
    return Command(*options);
  };
}

// "name=PREFIX", "label=KEY[=VALUE]", "dangling=true".
absl::Status AddVolumeFilter(absl::string_view text, node::v1::ListVolumesRequest& request) {
  std::pair<std::string, std::string> pair = absl::StrSplit(text, absl::MaxSplits('=', 1));
  bool unused = false;
  if (pair.first == "name" && !pair.second.empty()) {
    request.set_name_prefix(pair.second);
  } else if (pair.first == "label" && !pair.second.empty()) {
    AddLabel(pair.second, *request.mutable_labels());
  } else if (pair.first == "dangling" && absl::SimpleAtob(pair.second, &unused) && unused) {
    request.set_unused(true);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is none of name=PREFIX, label=KEY[=VALUE], dangling=true"));
  }
  return absl::OkStatus();
}

Finish DeclareVolumeList(FlagSet& flags, const Host&) {
  auto options = std::make_shared<VolumeListOptions>();
  flags.Group("Flags");
  flags.Switch("-q,--quiet", &options->quiet, "only names");
  flags.Value(
      "-f,--filter", "NAME=VALUE", "name=PREFIX, label=KEY[=VALUE], dangling=true: of no container",
      [options](const std::string& text) { return AddVolumeFilter(text, options->request); });
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedNothing(args);
    if (!status.ok()) return status;
    return Command(*options);
  };
}

Finish DeclareVolumeInspect(FlagSet&, const Host&) {
  return [](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedVolumes(args);
    if (!status.ok()) return status;
    VolumeInspectOptions options;
    options.volumes = args;
    return Command(options);
  };
}

Finish DeclareVolumeRemove(FlagSet& flags, const Host&) {
  auto options = std::make_shared<VolumeRemoveOptions>();
  flags.Group("Flags");
  flags.Switch("-f,--force", &options->force, "no error when there is none");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedVolumes(args);
    if (!status.ok()) return status;
    options->volumes = args;
    return Command(*options);
  };
}

Finish DeclareVolumePrune(FlagSet& flags, const Host&) {
  auto options = std::make_shared<VolumePruneOptions>();
  auto all = std::make_shared<bool>(false);
  flags.Group("Flags");
  flags.Switch("-a,--all", all.get(), "also those with a name");
  flags.Switch("-f,--force", &options->force, "do not ask");
  flags.Value("--filter", "label=KEY[=VALUE]", "only volumes with this label",
              [options](const std::string& text) {
                return AddLabelFilter(text, *options->request.mutable_labels());
              });
  return [options, all](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedNothing(args);
    if (!status.ok()) return status;
    options->request.set_all(*all);
    return Command(*options);
  };
}

constexpr char kVolumeCreateDetails[] =
    R"(Prints its name. Without NAME it gets one of 64 digits.

Examples:
  nodectl volume create --label app=web data
  nodectl run -v data:/data busybox ls /data
)";

constexpr char kVolumeListDetails[] =
    R"(Examples:
  nodectl volume ls
  nodectl volume ls -q --filter dangling=true
)";

constexpr char kVolumeInspectDetails[] =
    R"(Prints a JSON array.

Examples:
  nodectl volume inspect data | jq -r '.[0].directory'
)";

constexpr char kVolumeRemoveDetails[] =
    R"(With all that is in them. One that a container has, running or not, is refused.

Examples:
  nodectl volume rm data
)";

constexpr char kVolumePruneDetails[] =
    R"(Removes volumes that no container has: those without a name of their own, with -a the others, too.

Examples:
  nodectl volume prune -f
  nodectl volume prune -a --filter label=stage=test
)";

}  // namespace

const CommandEntry kVolumeCreateCommand = {"volume create",          "[flags] [NAME]",
                                           "Make a volume",          kVolumeCreateDetails,
                                           FlagPlacement::kAnywhere, DeclareVolumeCreate};
const CommandEntry kVolumeListCommand = {
    "volume ls",      "[flags]", "List volumes", kVolumeListDetails, FlagPlacement::kAnywhere,
    DeclareVolumeList};
const CommandEntry kVolumeInspectCommand = {"volume inspect",
                                            "VOLUME...",
                                            "Show all that is known of volumes",
                                            kVolumeInspectDetails,
                                            FlagPlacement::kAnywhere,
                                            DeclareVolumeInspect};
const CommandEntry kVolumeRemoveCommand = {
    "volume rm",          "[flags] VOLUME...",      "Remove volumes",
    kVolumeRemoveDetails, FlagPlacement::kAnywhere, DeclareVolumeRemove};
const CommandEntry kVolumePruneCommand = {"volume prune",
                                          "[flags]",
                                          "Remove volumes that no container has",
                                          kVolumePruneDetails,
                                          FlagPlacement::kAnywhere,
                                          DeclareVolumePrune,
                                          false,
                                          "a"};

}  // namespace noded::cli
