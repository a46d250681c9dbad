#include "clients/cli/arguments.h"

#include <type_traits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "clients/cli/command_table.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/quantity.h"
#include "clients/cli/utf8.h"

namespace noded::cli {
namespace {

constexpr char kDefaultAddress[] = "unix:///run/noded/noded.sock";

// Made when asked for, because few starts of nodectl have to do with a group.
const CommandGroup& ImageGroup() {
  static const auto* const group = new CommandGroup{
      "image",
      "Look after the images of the node",
      {&kImageListCommand, &kImageInspectCommand, &kImageHistoryCommand, &kImageTagCommand,
       &kImageRemoveCommand, &kImagePruneCommand, &kImageLoadCommand, &kImageSaveCommand,
       &kImageImportCommand, &kImageVerifyCommand}};
  return *group;
}

const CommandGroup& VolumeGroup() {
  static const auto* const group =
      new CommandGroup{"volume",
                       "Look after the volumes of the node",
                       {&kVolumeCreateCommand, &kVolumeListCommand, &kVolumeInspectCommand,
                        &kVolumeRemoveCommand, &kVolumePruneCommand}};
  return *group;
}

struct Section {
  absl::string_view title;
  std::vector<const CommandEntry*> commands;
  std::vector<const CommandGroup*> groups;
};

const std::vector<Section>& Sections() {
  static const auto* const sections = new std::vector<Section>{
      {"Run", {&kRunCommand, &kExecCommand, &kAttachCommand}, {}},
      {"Life",
       {&kCreateCommand, &kStartCommand, &kStopCommand, &kKillCommand, &kWaitCommand,
        &kUpdateCommand, &kPauseCommand, &kUnpauseCommand, &kRemoveCommand},
       {}},
      {"Look",
       {&kListCommand, &kInspectCommand, &kLogsCommand, &kStatsCommand, &kTopCommand,
        &kEventsCommand},
       {}},
      {"Files", {&kCopyCommand, &kDiffCommand, &kExportCommand, &kCommitCommand}, {&VolumeGroup()}},
      {"Images",
       {&kPullCommand, &kPushCommand, &kImagesCommand, &kLoginCommand, &kLogoutCommand},
       {&ImageGroup()}},
      {"Node", {&kInfoCommand, &kVersionCommand}, {}},
  };
  return *sections;
}

// Second names, and short ones; one of each is enough in the overview.
struct Alias {
  absl::string_view name;
  const CommandEntry* command;
};

const std::vector<Alias>& Aliases() {
  static const auto* const aliases = new std::vector<Alias>{
      {kResumeCommand.name, &kResumeCommand},  // the API's word for it
      {"rmi", &kImageRemoveCommand},          {"tag", &kImageTagCommand},
      {"history", &kImageHistoryCommand},     {"load", &kImageLoadCommand},
      {"save", &kImageSaveCommand},           {"import", &kImageImportCommand},
  };
  return *aliases;
}

const CommandEntry* FindCommand(absl::string_view name) {
  for (const Section& section : Sections()) {
    for (const CommandEntry* command : section.commands) {
      if (command->name == name) return command;
    }
  }
  for (const Alias& alias : Aliases()) {
    if (alias.name == name) return alias.command;
  }
  return nullptr;
}

const CommandGroup* FindGroup(absl::string_view name) {
  for (const Section& section : Sections()) {
    for (const CommandGroup* group : section.groups) {
      if (group->name == name) return group;
    }
  }
  return nullptr;
}

// A member by its last word: "ls" of "image ls".
const CommandEntry* FindMember(const CommandGroup& group, absl::string_view word) {
  for (const CommandEntry* command : group.commands) {
    if (command->name.substr(group.name.size() + 1) == word) return command;
  }
  return nullptr;
}

// "-a,--address" or, when the command gives -a another meaning, "--address".
std::string Names(char short_name, absl::string_view long_name, absl::string_view taken) {
  if (taken.find(short_name) != absl::string_view::npos) return std::string(long_name);
  return absl::StrCat("-", std::string(1, short_name), ",", long_name);
}

void DeclareGlobals(FlagSet& flags, const CommandEntry* command, GlobalOptions& global) {
  absl::string_view taken = command == nullptr ? "" : command->own_short;
  ConnectionOptions& connection = global.connection;
  flags.Group("Global flags");
  flags.Text(
      Names('a', "--address", taken), "ADDRESS", &connection.address,
      absl::StrCat("unix:///PATH or HOST:PORT (NODECTL_ADDRESS; default ", kDefaultAddress, ")"));
  flags.Value(
      Names('o', "--output", taken), "FORMAT", "table (default) or json: the API's messages",
      [&global](const std::string& text) {
        if (text != "table" && text != "json") {
          return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is none of table, json"));
        }
        global.output = text == "json" ? OutputFormat::kJson : OutputFormat::kTable;
        return absl::OkStatus();
      });
  flags.Text("--tls-cert", "FILE", &connection.tls_cert,
             "client certificate, PEM (NODECTL_TLS_CERT)");
  flags.Text("--tls-key", "FILE", &connection.tls_key, "its private key, PEM (NODECTL_TLS_KEY)");
  flags.Text("--tls-ca", "FILE", &connection.tls_ca,
             "authority of the server's certificate, PEM (NODECTL_TLS_CA)");
  flags.Text("--tls-server-name", "NAME", &connection.tls_server_name,
             "name in the server's certificate, when it is not HOST");
  flags.Switch("--insecure", &connection.insecure, "HOST:PORT without TLS");
  if (command == nullptr || !command->own_timeout) {
    flags.Value("--timeout", "DURATION", "give up a call after this time (default: never)",
                [&connection](const std::string& text) {
                  absl::StatusOr<absl::Duration> timeout = ParseDuration(text);
                  if (timeout.ok()) connection.timeout = *timeout;
                  return timeout.status();
                });
  }
}

GlobalOptions GlobalsFromEnvironment(const Host& host) {
  GlobalOptions global;
  global.connection.address = host.environment("NODECTL_ADDRESS").value_or("");
  if (global.connection.address.empty()) global.connection.address = kDefaultAddress;
  global.connection.tls_cert = host.environment("NODECTL_TLS_CERT").value_or("");
  global.connection.tls_key = host.environment("NODECTL_TLS_KEY").value_or("");
  global.connection.tls_ca = host.environment("NODECTL_TLS_CA").value_or("");
  return global;
}

void AppendSummary(std::string& text, absl::string_view name, absl::string_view summary) {
  absl::StrAppend(&text, "  ", name, std::string(10 - name.size(), ' '), summary, "\n");
}

std::string OverviewHelp(const FlagSet& flags) {
  std::string text =
      "nodectl runs and looks after containers on a node, through noded's gRPC API.\n\n"
      "Usage: nodectl [global flags] COMMAND [flags] [arguments]\n";
  for (const Section& section : Sections()) {
    absl::StrAppend(&text, "\n", section.title, ":\n");
    for (const CommandEntry* command : section.commands) {
      AppendSummary(text, command->name, command->summary);
    }
    for (const CommandGroup* group : section.groups) {
      AppendSummary(text, group->name, group->summary);
    }
  }
  return absl::StrCat(text, flags.Help(), "\nnodectl help COMMAND tells more about one.\n");
}

std::string GroupHelp(const CommandGroup& group) {
  std::string text = absl::StrCat("Usage: nodectl ", group.name, " COMMAND [flags] [arguments]\n\n",
                                  group.summary, "\n\nCommands:\n");
  for (const CommandEntry* command : group.commands) {
    AppendSummary(text, command->name.substr(group.name.size() + 1), command->summary);
  }
  return absl::StrCat(text, "\nExamples:\n  nodectl ", group.commands.front()->name,
                      "\n\nnodectl help ", group.name, " COMMAND tells more about one.\n");
}

std::string CommandHelp(const CommandEntry& command, const FlagSet& flags) {
  return absl::StrCat("Usage: nodectl ", command.name, " ", command.arguments, "\n\n",
                      command.summary, "\n", flags.Help(), "\n", command.details);
}

UsageError Misuse(const CommandEntry* command, absl::string_view message) {
  if (command == nullptr) {
    return {absl::StrCat(message, "\nSee 'nodectl help'."), kUsage};
  }
  return {absl::StrCat(command->name, ": ", message, "\nSee 'nodectl help ", command->name, "'."),
          command->passes_status_on ? kAgentError : kUsage};
}

UsageError NoMember(const CommandGroup& group, absl::string_view word) {
  return {absl::StrCat("there is no command \"", group.name, " ", word, "\"\nSee 'nodectl help ",
                       group.name, "'."),
          kUsage};
}

// One command's flags and arguments. `global` holds what stood before the command.
std::variant<Command, UsageError> ParseCommand(const CommandEntry& entry,
                                               const std::vector<std::string>& args,
                                               const Host& host, GlobalOptions global) {
  for (const std::string& arg : args) {
    // Or protobuf would complain in its own way, and noded answer that it cannot read the request.
    if (!IsUtf8(arg)) {
      return Misuse(&entry, absl::StrCat("\"", absl::CHexEscape(arg), "\" is not UTF-8"));
    }
  }
  FlagSet flags(entry.placement);
  bool help = false;
  Finish finish = entry.declare(flags, host);
  DeclareGlobals(flags, &entry, global);
  flags.Switch(Names('h', "--help", entry.own_short), &help, "this help");
  absl::StatusOr<std::vector<std::string>> positionals = flags.Parse(args);
  if (help) return HelpOptions{CommandHelp(entry, flags)};
  if (!positionals.ok()) return Misuse(&entry, positionals.status().message());
  absl::StatusOr<Command> command = finish(*positionals);
  if (!command.ok()) return Misuse(&entry, command.status().message());
  auto set_globals = [&global](auto& options) {
    if constexpr (!std::is_same_v<std::decay_t<decltype(options)>, HelpOptions>) {
      options.global = std::move(global);
    }
  };
  std::visit(set_globals, *command);
  return *std::move(command);
}

}  // namespace

absl::Status NeedContainers(const std::vector<std::string>& positionals) {
  if (!positionals.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "at least one container is needed: its name, id or the beginning of its id");
}

absl::Status NeedOneContainer(const std::vector<std::string>& positionals) {
  if (positionals.size() == 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "exactly one container is needed: its name, id or the beginning of its id");
}

absl::Status NeedNothing(const std::vector<std::string>& positionals) {
  if (positionals.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("takes no arguments, but got \"", absl::StrJoin(positionals, " "), "\""));
}

void AddLabel(absl::string_view text, google::protobuf::Map<std::string, std::string>& labels) {
  std::pair<std::string, std::string> pair = absl::StrSplit(text, absl::MaxSplits('=', 1));
  labels[pair.first] = pair.second;
}

RegistryFiles RegistryFilesOf(const Host& host) {
  RegistryFiles files;
  files.own = host.environment("NODECTL_CONFIG").value_or("");
  // Who names a file means that one alone.
  if (!files.own.empty()) return files;
  const std::string home = host.environment("HOME").value_or("");
  std::string configuration = host.environment("XDG_CONFIG_HOME").value_or("");
  if (configuration.empty() && !home.empty()) configuration = home + "/.config";
  if (!configuration.empty()) files.own = configuration + "/nodectl/config.json";
  std::string docker = host.environment("DOCKER_CONFIG").value_or("");
  if (docker.empty() && !home.empty()) docker = home + "/.docker";
  if (!docker.empty()) files.docker = docker + "/config.json";
  return files;
}

std::variant<Command, UsageError> ParseArguments(const std::vector<std::string>& args,
                                                 const Host& host) {
  GlobalOptions global = GlobalsFromEnvironment(host);
  FlagSet flags(FlagPlacement::kBeforeArguments);
  bool help = false;
  bool version = false;
  DeclareGlobals(flags, nullptr, global);
  flags.Switch("-h,--help", &help, "this help");
  flags.Switch("--version", &version, "as the command version");
  absl::StatusOr<std::vector<std::string>> rest = flags.Parse(args);
  if (!rest.ok()) return Misuse(nullptr, rest.status().message());
  if (version) return VersionOptions{global};
  if (!rest->empty() && rest->front() == "help") {
    help = true;
    rest->erase(rest->begin());
  }
  if (rest->empty()) {
    return HelpOptions{OverviewHelp(flags), help};
  }
  const std::string name = rest->front();
  rest->erase(rest->begin());
  const CommandEntry* command = FindCommand(name);
  if (const CommandGroup* group = FindGroup(name); group != nullptr) {
    if (rest->empty() || rest->front() == "-h" || rest->front() == "--help") {
      return HelpOptions{GroupHelp(*group), help || !rest->empty()};
    }
    command = FindMember(*group, rest->front());
    if (command == nullptr) return NoMember(*group, rest->front());
    rest->erase(rest->begin());
  }
  if (command == nullptr) {
    return Misuse(nullptr, absl::StrCat("there is no command \"", name, "\""));
  }
  if (help) *rest = {"--help"};
  return ParseCommand(*command, *rest, host, std::move(global));
}

}  // namespace noded::cli
