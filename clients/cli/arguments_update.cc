// The command lines that change running containers: update, pause, unpause.
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "clients/cli/command_table.h"
#include "clients/cli/limit_flags.h"
#include "clients/cli/mount_flags.h"

namespace noded::cli {
namespace {

struct UpdateDraft {
  UpdateOptions options;
  LimitFlags limits{options.request.mutable_limits()};
  bool force = false;
};

// "memory.max_bytes" is enough; devices are no limit, and none of them is an empty list.
void Clear(const std::string& field, node::v1::UpdateRequest& request) {
  if (field == "devices") {
    request.mutable_devices();
  } else if (field == "limits" || absl::StartsWith(field, "limits.")) {
    request.add_clear(field);
  } else {
    request.add_clear(absl::StrCat("limits.", field));
  }
}

absl::StatusOr<Command> FinishUpdate(UpdateDraft& draft, const std::vector<std::string>& args) {
  absl::Status status = NeedContainers(args);
  if (status.ok()) status = draft.limits.Finish();
  if (!status.ok()) return status;
  node::v1::UpdateRequest& request = draft.options.request;
  for (const std::string& field : draft.limits.unlimited()) request.add_clear(field);
  if (request.limits().ByteSizeLong() == 0) request.clear_limits();
  if (!request.has_limits() && !request.has_devices() && request.clear().empty()) {
    return absl::InvalidArgumentError("at least one limit to be changed is needed");
  }
  request.set_force(draft.force);
  draft.options.containers = args;
  return Command(std::move(draft.options));
}

Finish DeclareUpdate(FlagSet& flags, const Host&) {
  auto draft = std::make_shared<UpdateDraft>();
  flags.Group("Limits");
  draft->limits.Declare(flags);
  flags.Value(
      "--device", "HOST[:CONTAINER][:rwm]",
      "allow this device of the node, and those of the other --device, instead of all before",
      [draft](const std::string& text) {
        absl::StatusOr<node::v1::Device> device = ParseDevice(text);
        if (!device.ok()) return device.status();
        *draft->options.request.mutable_devices()->add_devices() = *std::move(device);
        return absl::OkStatus();
      });
  flags.Value(
      "--clear", "FIELD",
      "take a limit away: memory.max_bytes, cpu, block_io.devices, devices; may be repeated",
      [draft](const std::string& text) {
        Clear(text, draft->options.request);
        return absl::OkStatus();
      });
  flags.Switch(
      "--force", &draft->force,
      "lower memory below what is in use if reclaiming gets there; nothing is killed for it");
  return [draft](const std::vector<std::string>& args) { return FinishUpdate(*draft, args); };
}

Finish DeclarePause(FlagSet&, const Host&) {
  return TakeContainers(std::make_shared<PauseOptions>());
}

Finish DeclareUnpause(FlagSet&, const Host&) {
  return TakeContainers(std::make_shared<ResumeOptions>());
}

constexpr char kUpdateDetails[] =
    R"(What is not named stays; all of it is changed or nothing. It holds at once, and for later starts too. A limit is taken away
by --clear with the name that it has in inspect and in errors, or where that is a number by -1. Devices that are allowed get
their nodes in the container's /dev with its next start.

Examples:
  nodectl update --memory 256m --cpus 1.5 web
  nodectl update --memory 64m --force web
  nodectl update --clear memory.max_bytes --pids-limit -1 web
  nodectl update --device /dev/fuse web
)";

constexpr char kPauseDetails[] =
    R"(Freezes all processes of each, exec'd ones too, until unpause. stop, kill and rm -f work on a paused container.

Examples:
  nodectl pause web
)";

constexpr char kUnpauseDetails[] =
    R"(Lets paused containers go on; resume is the same.

Examples:
  nodectl unpause web
)";

}  // namespace

const CommandEntry kUpdateCommand = {
    "update",       "[flags] CONTAINER...",   "Change limits of containers",
    kUpdateDetails, FlagPlacement::kAnywhere, DeclareUpdate};
const CommandEntry kPauseCommand = {"pause",       "CONTAINER...",           "Freeze containers",
                                    kPauseDetails, FlagPlacement::kAnywhere, DeclarePause};
const CommandEntry kUnpauseCommand = {
    "unpause",       "CONTAINER...",           "Let paused containers go on",
    kUnpauseDetails, FlagPlacement::kAnywhere, DeclareUnpause};
const CommandEntry kResumeCommand = {
    "resume",        "CONTAINER...",           "Let paused containers go on",
    kUnpauseDetails, FlagPlacement::kAnywhere, DeclareUnpause};

}  // namespace noded::cli
