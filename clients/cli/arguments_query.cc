// The command lines that only look: ps, inspect, top, logs, stats, events, info, version.
#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clients/cli/command_table.h"
#include "clients/cli/names.h"
#include "clients/cli/proto_time.h"
#include "clients/cli/quantity.h"

namespace noded::cli {
namespace {

// "label=KEY[=VALUE]", "name=NAME", "state=STATE"; several states mean any of them.
absl::Status AddFilter(absl::string_view text, node::v1::ContainerFilter& filter) {
  std::pair<std::string, std::string> pair = absl::StrSplit(text, absl::MaxSplits('=', 1));
  if (pair.second.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the form is NAME=VALUE, such as label=app=web"));
  }
  if (pair.first == "label") {
    AddLabel(pair.second, *filter.mutable_labels());
  } else if (pair.first == "name") {
    filter.set_name(pair.second);
  } else if (pair.first == "state" || pair.first == "status") {
    std::optional<node::v1::ContainerState> state = StateNamed(pair.second);
    if (!state) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", pair.second, "\" is none of ", StateNames()));
    }
    filter.add_states(*state);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", pair.first, "\" is none of label, name, state"));
  }
  return absl::OkStatus();
}

Finish DeclareList(FlagSet& flags, const Host&) {
  auto options = std::make_shared<ListOptions>();
  flags.Group("Flags");
  flags.Switch("-a,--all", &options->all, "also those that do not run");
  flags.Switch("-q,--quiet", &options->quiet, "only ids");
  flags.Value("-f,--filter", "NAME=VALUE", "label=KEY[=VALUE], name=NAME, state=STATE",
              [options](const std::string& text) { return AddFilter(text, options->filter); });
  flags.Switch("--no-trunc", &options->full, "do not cut ids and commands");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedNothing(args);
    if (!status.ok()) return status;
    return Command(*options);
  };
}

Finish DeclareInspect(FlagSet&, const Host&) {
  return [](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedContainers(args);
    if (!status.ok()) return status;
    InspectOptions options;
    options.containers = args;
    return Command(options);
  };
}

Finish DeclareTop(FlagSet&, const Host&) {
  return [](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedOneContainer(args);
    if (!status.ok()) return status;
    TopOptions options;
    options.container = args[0];
    return Command(options);
  };
}

absl::Status SetTail(const std::string& text, node::v1::LogsRequest& request) {
  if (text == "all") {
    request.clear_tail();
    return absl::OkStatus();
  }
  absl::StatusOr<int64_t> lines = ParseInteger(text, 0, std::numeric_limits<int64_t>::max());
  if (!lines.ok())
    return absl::InvalidArgumentError(absl::StrCat(lines.status().message(), ", or all"));
  request.set_tail(*lines);
  return absl::OkStatus();
}

absl::Status SetStream(const std::string& text, node::v1::LogsRequest& request) {
  if (text != "stdout" && text != "stderr") {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is none of stdout, stderr"));
  }
  request.set_stream(text == "stdout" ? node::v1::LOG_STREAM_STDOUT : node::v1::LOG_STREAM_STDERR);
  return absl::OkStatus();
}

Finish DeclareLogs(FlagSet& flags, const Host& host) {
  auto options = std::make_shared<LogsOptions>();
  auto follow = std::make_shared<bool>(false);
  node::v1::LogsRequest& request = options->request;
  flags.Group("Flags");
  flags.Switch("-f,--follow", follow.get(), "go on until the container has exited");
  flags.Value("-n,--tail", "LINES", "only the last LINES, or all (default all)",
              [&request](const std::string& text) { return SetTail(text, request); });
  flags.Switch("-t,--timestamps", &options->timestamps, "put the time before each line");
  flags.Value("--since", "TIME", "only from TIME on: 10m, 2024-05-01T10:00:00Z, seconds since 1970",
              [&request, &host](const std::string& text) {
                absl::StatusOr<absl::Time> time = ParseTime(text, host.now());
                if (time.ok()) *request.mutable_since() = ToProto(*time);
                return time.status();
              });
  flags.Value("--until", "TIME", "only before TIME", [&request, &host](const std::string& text) {
    absl::StatusOr<absl::Time> time = ParseTime(text, host.now());
    if (time.ok()) *request.mutable_until() = ToProto(*time);
    return time.status();
  });
  flags.Value("--stream", "STREAM", "only stdout, or only stderr",
              [&request](const std::string& text) { return SetStream(text, request); });
  flags.Text("--cursor", "CURSOR", request.mutable_cursor(), "go on where an earlier call ended");
  flags.Switch("--show-cursor", &options->show_cursor,
               "at the end print the cursor to go on with, to stderr");
  return [options, follow](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedOneContainer(args);
    if (!status.ok()) return status;
    const node::v1::LogsRequest& request = options->request;
    if (!request.cursor().empty() && (request.has_since() || request.has_tail())) {
      return absl::InvalidArgumentError("--cursor excludes --since and --tail");
    }
    options->request.set_container(args[0]);
    options->request.set_follow(*follow);
    return Command(*options);
  };
}

Finish DeclareStats(FlagSet& flags, const Host&) {
  auto options = std::make_shared<StatsOptions>();
  flags.Group("Flags");
  flags.Switch("--no-stream", &options->once, "measure once and end");
  flags.Value("-i,--interval", "DURATION", "time between samples, 100ms or more (default 1s)",
              [options](const std::string& text) {
                absl::StatusOr<absl::Duration> interval = ParseDuration(text);
                if (!interval.ok()) return interval.status();
                if (*interval < absl::Milliseconds(100))
                  return absl::InvalidArgumentError("100ms or more is needed");
                options->interval = *interval;
                return absl::OkStatus();
              });
  flags.Switch("--no-trunc", &options->full, "do not cut ids");
  flags.Switch("--pressure", &options->pressure, "show how long tasks waited (PSI)");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    options->containers = args;
    return Command(*options);
  };
}

absl::Status AddEventFilter(const std::string& text, EventsOptions& options) {
  std::pair<std::string, std::string> pair = absl::StrSplit(text, absl::MaxSplits('=', 1));
  if (pair.first != "type" && pair.first != "event")
    return AddFilter(text, *options.request.mutable_filter());
  std::optional<node::v1::ContainerEventType> type = EventTypeNamed(pair.second);
  if (!type) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", pair.second, "\" is none of ", EventTypeNames()));
  }
  options.types.push_back(*type);
  return absl::OkStatus();
}

Finish DeclareEvents(FlagSet& flags, const Host&) {
  auto options = std::make_shared<EventsOptions>();
  flags.Group("Flags");
  flags.Value("--from-revision,--since-revision", "NUMBER",
              "from this revision on, inclusive (default: from now)",
              [options](const std::string& text) {
                absl::StatusOr<int64_t> revision =
                    ParseInteger(text, 0, std::numeric_limits<int64_t>::max());
                if (revision.ok()) options->request.set_from_revision(*revision);
                return revision.status();
              });
  flags.Value("-f,--filter", "NAME=VALUE", "label=KEY[=VALUE], name=NAME, state=STATE, type=TYPE",
              [options](const std::string& text) { return AddEventFilter(text, *options); });
  flags.Switch("--snapshot", &options->snapshot, "first show each container that is there");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedNothing(args);
    if (!status.ok()) return status;
    return Command(*options);
  };
}

Finish DeclareInfo(FlagSet&, const Host&) {
  return [](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedNothing(args);
    if (!status.ok()) return status;
    return Command(InfoOptions());
  };
}

Finish DeclareVersion(FlagSet& flags, const Host&) {
  auto options = std::make_shared<VersionOptions>();
  flags.Group("Flags");
  flags.Switch("--client", &options->client_only, "only of nodectl; do not ask noded");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedNothing(args);
    if (!status.ok()) return status;
    return Command(*options);
  };
}

constexpr char kListDetails[] =
    R"(Examples:
  nodectl ps
  nodectl ps -a --filter label=app=web --filter state=exited
  nodectl ps -o json | jq -r '.containers[].name'
)";

constexpr char kInspectDetails[] =
    R"(Prints a JSON array.

Examples:
  nodectl inspect web | jq '.[0].spec.limits'
)";

constexpr char kTopDetails[] =
    R"(Examples:
  nodectl top web
)";

constexpr char kLogsDetails[] =
    R"(What the container wrote to its standard output goes to yours, its standard error to yours, byte for byte.

Examples:
  nodectl logs --tail 20 -f web
  nodectl logs --since 10m --stream stderr -t web
  nodectl logs --show-cursor web     # then: nodectl logs --cursor CURSOR web
)";

constexpr char kStatsDetails[] =
    R"(Without containers: all that run, also those that start later. CPU % is of what the quota allows (-- without one) and of
all processors of the host. On a terminal the table is live, elsewhere each round is a table of lines. What is not known is
shown as --. With -o json each round is the API's message with cumulative counters, one a line.

Examples:
  nodectl stats
  nodectl stats --pressure -i 500ms web
  nodectl stats --no-stream web db
)";

constexpr char kEventsDetails[] =
    R"(One line each, or with -o json one message of the API a line. Ends when you end it.

Examples:
  nodectl events --filter type=exited
  nodectl events -o json --from-revision 120
)";

constexpr char kInfoDetails[] =
    R"(Examples:
  nodectl info
  nodectl info -o json | jq '.features[] | select(.available | not)'
)";

constexpr char kVersionDetails[] =
    R"(Examples:
  nodectl version
  nodectl version --client
)";

}  // namespace

const CommandEntry kListCommand = {
    "ps",  "[flags]", "List containers", kListDetails, FlagPlacement::kAnywhere, DeclareList,
    false, "a"};
const CommandEntry kInspectCommand = {
    "inspect",       "CONTAINER...",           "Show all that is known of containers",
    kInspectDetails, FlagPlacement::kAnywhere, DeclareInspect};
const CommandEntry kTopCommand = {"top",
                                  "CONTAINER",
                                  "List the processes of a container",
                                  kTopDetails,
                                  FlagPlacement::kAnywhere,
                                  DeclareTop};
const CommandEntry kLogsCommand = {
    "logs",       "[flags] CONTAINER",      "Show the log of a container",
    kLogsDetails, FlagPlacement::kAnywhere, DeclareLogs};
const CommandEntry kStatsCommand = {
    "stats",       "[flags] [CONTAINER...]", "Show what containers use",
    kStatsDetails, FlagPlacement::kAnywhere, DeclareStats};
const CommandEntry kEventsCommand = {"events",
                                     "[flags]",
                                     "Show changes of containers as they happen",
                                     kEventsDetails,
                                     FlagPlacement::kAnywhere,
                                     DeclareEvents};
const CommandEntry kInfoCommand = {
    "info",     "", "Show what the node is and can do", kInfoDetails, FlagPlacement::kAnywhere,
    DeclareInfo};
const CommandEntry kVersionCommand = {"version",
                                      "[flags]",
                                      "Show the versions of nodectl and noded",
                                      kVersionDetails,
                                      FlagPlacement::kAnywhere,
                                      DeclareVersion};

}  // namespace noded::cli
