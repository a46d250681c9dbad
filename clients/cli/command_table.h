// The declaration of each command. Seen by arguments*.cc alone.
#ifndef CLIENTS_CLI_COMMAND_TABLE_H_
#define CLIENTS_CLI_COMMAND_TABLE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clients/cli/flag_set.h"
#include "clients/cli/host.h"
#include "clients/cli/options.h"

namespace noded::cli {

// Turns the positionals, once flags have filled what they point to, into the command.
using Finish = std::function<absl::StatusOr<Command>(const std::vector<std::string>& positionals)>;

struct CommandEntry {
  absl::string_view name;       // "stop"; of a member of a group "image ls"
  absl::string_view arguments;  // "[flags] CONTAINER..."
  absl::string_view summary;    // one line
  absl::string_view details;    // what is not obvious, and examples: the end of the help
  FlagPlacement placement = FlagPlacement::kAnywhere;
  // Declares the flags; the result owns what they fill. `host` outlives it.
  Finish (*declare)(FlagSet& flags, const Host& host) = nullptr;
  bool passes_status_on = false;     // its own failures are kAgentError
  absl::string_view own_short = "";  // short global flags that mean something else here: "ah"
  bool own_timeout = false;          // --timeout is the command's
};

// Commands of one thing, under one word.
struct CommandGroup {
  absl::string_view name;     // "image"
  absl::string_view summary;  // one line
  std::vector<const CommandEntry*> commands;
};

// arguments_run.cc
extern const CommandEntry kRunCommand;
extern const CommandEntry kCreateCommand;
extern const CommandEntry kStartCommand;
extern const CommandEntry kExecCommand;
extern const CommandEntry kAttachCommand;
// arguments_life.cc
extern const CommandEntry kStopCommand;
extern const CommandEntry kKillCommand;
extern const CommandEntry kWaitCommand;
extern const CommandEntry kRemoveCommand;
// arguments_update.cc
extern const CommandEntry kUpdateCommand;
extern const CommandEntry kPauseCommand;
extern const CommandEntry kUnpauseCommand;
extern const CommandEntry kResumeCommand;
// arguments_transfer.cc
extern const CommandEntry kPullCommand;
extern const CommandEntry kPushCommand;
extern const CommandEntry kLoginCommand;
extern const CommandEntry kLogoutCommand;
// arguments_image.cc
extern const CommandEntry kImagesCommand;  // "images": image ls by its short name
extern const CommandEntry kImageListCommand;
extern const CommandEntry kImageInspectCommand;
extern const CommandEntry kImageHistoryCommand;
extern const CommandEntry kImageTagCommand;
extern const CommandEntry kImageRemoveCommand;
extern const CommandEntry kImagePruneCommand;
extern const CommandEntry kImageVerifyCommand;
// arguments_archive.cc
extern const CommandEntry kImageLoadCommand;
extern const CommandEntry kImageSaveCommand;
extern const CommandEntry kImageImportCommand;
extern const CommandEntry kCommitCommand;
extern const CommandEntry kDiffCommand;
extern const CommandEntry kExportCommand;
extern const CommandEntry kCopyCommand;
// arguments_volume.cc
extern const CommandEntry kVolumeCreateCommand;
extern const CommandEntry kVolumeListCommand;
extern const CommandEntry kVolumeInspectCommand;
extern const CommandEntry kVolumeRemoveCommand;
extern const CommandEntry kVolumePruneCommand;
// arguments_query.cc
extern const CommandEntry kListCommand;
extern const CommandEntry kInspectCommand;
extern const CommandEntry kTopCommand;
extern const CommandEntry kLogsCommand;
extern const CommandEntry kStatsCommand;
extern const CommandEntry kEventsCommand;
extern const CommandEntry kInfoCommand;
extern const CommandEntry kVersionCommand;

// "KEY[=VALUE]" into labels, to filter by.
void AddLabel(absl::string_view text, google::protobuf::Map<std::string, std::string>& labels);
// The same of "label=KEY[=VALUE]". INVALID_ARGUMENT: it is another filter.
absl::Status AddLabelFilter(absl::string_view text,
                            google::protobuf::Map<std::string, std::string>& labels);
// Where credentials are: $NODECTL_CONFIG, or nodectl/config.json below $XDG_CONFIG_HOME or
// ~/.config; Docker's in $DOCKER_CONFIG or ~/.docker.
RegistryFiles RegistryFilesOf(const Host& host);

// The end of a declaration whose positionals are containers.
template <typename Options>
Finish TakeContainers(std::shared_ptr<Options> options);

// INVALID_ARGUMENT unless at least one container is named.
absl::Status NeedContainers(const std::vector<std::string>& positionals);
// INVALID_ARGUMENT unless exactly one is.
absl::Status NeedOneContainer(const std::vector<std::string>& positionals);
// INVALID_ARGUMENT if there is any.
absl::Status NeedNothing(const std::vector<std::string>& positionals);

template <typename Options>
Finish TakeContainers(std::shared_ptr<Options> options) {
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedContainers(args);
    if (!status.ok()) return status;
    options->containers = args;
    return Command(*options);
  };
}

}  // namespace noded::cli

#endif  // CLIENTS_CLI_COMMAND_TABLE_H_
