// The command lines that end containers: stop, kill, wait, rm.
#include <memory>

#include "clients/cli/command_table.h"
#include "clients/cli/quantity.h"

namespace noded::cli {
namespace {

Finish DeclareStop(FlagSet& flags, const Host&) {
  auto options = std::make_shared<StopOptions>();
  flags.Group("Flags");
  flags.Value("-t,--time", "DURATION",
              "time from the signal to SIGKILL (default: the container's, 10s); 0 kills at once",
              [options](const std::string& text) {
                absl::StatusOr<absl::Duration> grace = ParseDuration(text);
                if (grace.ok()) options->grace = *grace;
                return grace.status();
              });
  return TakeContainers(options);
}

Finish DeclareKill(FlagSet& flags, const Host&) {
  auto options = std::make_shared<KillOptions>();
  flags.Group("Flags");
  flags.Text("-s,--signal", "SIGNAL", &options->signal,
             "name or number: HUP, SIGUSR1, 10 (default SIGKILL)");
  return TakeContainers(options);
}

Finish DeclareWait(FlagSet&, const Host&) {
  return TakeContainers(std::make_shared<WaitOptions>());
}

Finish DeclareRemove(FlagSet& flags, const Host&) {
  auto options = std::make_shared<RemoveOptions>();
  flags.Group("Flags");
  flags.Switch("-f,--force", &options->force,
               "kill them first when they run; no error when there is none");
  flags.Switch("-v,--volumes", &options->volumes, "remove their anonymous volumes, too");
  return TakeContainers(options);
}

constexpr char kStopDetails[] =
    R"(Sends the container's stop signal, and SIGKILL to all its processes when it has not exited in time. Several are stopped
at once.

Examples:
  nodectl stop web
  nodectl stop -t 30s web db
)";

constexpr char kKillDetails[] =
    R"(Sends a signal to the main process; SIGKILL goes to all processes of the container.

Examples:
  nodectl kill web
  nodectl kill -s HUP web
)";

constexpr char kWaitDetails[] =
    R"(Prints the exit status of each: its exit code, or 128 and the signal's number.

Examples:
  nodectl wait job
)";

constexpr char kRemoveDetails[] =
    R"(Removes the record, the log and the writable layer. Volumes stay, unless -v is given.

Examples:
  nodectl rm job
  nodectl rm -f $(nodectl ps -aq)
)";

}  // namespace

const CommandEntry kStopCommand = {
    "stop",       "[flags] CONTAINER...",   "Stop containers, with time to end by themselves",
    kStopDetails, FlagPlacement::kAnywhere, DeclareStop};
const CommandEntry kKillCommand = {
    "kill",       "[flags] CONTAINER...",   "Send a signal to containers",
    kKillDetails, FlagPlacement::kAnywhere, DeclareKill};
const CommandEntry kWaitCommand = {
    "wait",       "CONTAINER...",           "Wait until containers have exited, and print how",
    kWaitDetails, FlagPlacement::kAnywhere, DeclareWait};
const CommandEntry kRemoveCommand = {"rm",           "[flags] CONTAINER...",   "Remove containers",
                                     kRemoveDetails, FlagPlacement::kAnywhere, DeclareRemove};

}  // namespace noded::cli
