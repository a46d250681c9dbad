// The command lines that run processes: run, create, start, exec, attach.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clients/cli/command_table.h"
#include "clients/cli/container_flags.h"
#include "clients/cli/detach_keys.h"
#include "clients/cli/proto_time.h"
#include "clients/cli/quantity.h"

namespace noded::cli {
namespace {

void DeclareRelay(FlagSet& flags, RelayOptions& relay) {
  flags.Switch("--sig-proxy", &relay.sig_proxy,
               "hand signals on to the process, without -t (default true)");
  flags.Value("--detach-keys", "KEYS",
              "with -t, leave the container running (default ctrl-p,ctrl-q)",
              [&relay](const std::string& text) {
                absl::StatusOr<std::string> keys = ParseDetachKeys(text);
                if (keys.ok()) relay.detach_keys = *keys;
                return keys.status();
              });
}

// What run and create have in common, and what their flags fill.
struct RunDraft {
  explicit RunDraft(const Host& host) : flags(options.request.mutable_spec(), host) {
    options.registry_files = RegistryFilesOf(host);
  }
  RunOptions options;
  ContainerFlags flags;
  bool remove = false;
  bool dry_run = false;
};

absl::Status SetPullPolicy(absl::string_view text, PullPolicy& policy) {
  if (text == "always") {
    policy = PullPolicy::kAlways;
  } else if (text == "missing") {
    policy = PullPolicy::kMissing;
  } else if (text == "never") {
    policy = PullPolicy::kNever;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is none of always, missing, never"));
  }
  return absl::OkStatus();
}

void DeclareCreation(FlagSet& flags, RunDraft& draft) {
  RunOptions& options = draft.options;
  flags.Switch("-i,--interactive", &options.relay.stdin,
               "keep standard input open, and send yours");
  flags.Switch("-t,--tty", &options.relay.tty, "give it a terminal");
  flags.Switch("--rm", &draft.remove, "remove it when it has exited");
  flags.Text("--request-id", "ID", options.request.mutable_request_id(),
             "repeat a call with it and get the first answer");
  flags.Switch("--dry-run", &draft.dry_run, "create nothing; print the launch plan");
  flags.Text("--cidfile", "FILE", &options.id_file, "write the id to FILE");
  flags.Value("--pull", "POLICY", "bring the image always, when missing (default), or never",
              [&options](const std::string& text) { return SetPullPolicy(text, options.pull); });
  flags.Text("--platform", "OS/ARCH", &options.platform,
             "of an image for several: linux/arm64 (default: the node's)");
  draft.flags.Declare(flags);
}

absl::StatusOr<Command> FinishCreation(RunDraft& draft, const std::vector<std::string>& command) {
  RunOptions& options = draft.options;
  absl::Status status = draft.flags.Finish(command);
  if (!status.ok()) return status;
  node::v1::ContainerSpec& spec = *options.request.mutable_spec();
  spec.set_auto_remove(draft.remove);
  spec.mutable_process()->set_tty(options.relay.tty);
  spec.mutable_process()->set_stdin(options.relay.stdin);
  // As Docker has it: input ends with the client that sent it, but not that of a terminal, which is
  // meant to be detached from and attached to again, and not of a container that nobody was
  // attached to from the start.
  bool attached = !options.detach && !options.create_only;
  spec.mutable_process()->set_stdin_once(options.relay.stdin && !options.relay.tty && attached);
  options.request.set_dry_run(draft.dry_run);
  return Command(options);
}

Finish DeclareRun(FlagSet& flags, const Host& host) {
  auto draft = std::make_shared<RunDraft>(host);
  flags.Group("Flags");
  flags.Switch("-d,--detach", &draft->options.detach, "print the id and return once it runs");
  DeclareCreation(flags, *draft);
  flags.Group("Streams");
  DeclareRelay(flags, draft->options.relay);
  return
      [draft](const std::vector<std::string>& command) { return FinishCreation(*draft, command); };
}

Finish DeclareCreate(FlagSet& flags, const Host& host) {
  auto draft = std::make_shared<RunDraft>(host);
  draft->options.create_only = true;
  flags.Group("Flags");
  DeclareCreation(flags, *draft);
  return
      [draft](const std::vector<std::string>& command) { return FinishCreation(*draft, command); };
}

Finish DeclareStart(FlagSet& flags, const Host&) {
  auto options = std::make_shared<StartOptions>();
  flags.Group("Flags");
  flags.Switch("-a,--attach", &options->attach, "show its output and pass its exit status on");
  flags.Switch("-i,--interactive", &options->relay.stdin, "send your standard input; implies -a");
  DeclareRelay(flags, options->relay);
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    options->attach = options->attach || options->relay.stdin;
    absl::Status status = options->attach ? NeedOneContainer(args) : NeedContainers(args);
    if (!status.ok()) return status;
    options->containers = args;
    return Command(*options);
  };
}

struct ExecDraft {
  explicit ExecDraft(const Host& host) : environment(host) {}
  ExecOptions options;
  EnvironmentFlags environment;
  bool detach = false;
};

absl::StatusOr<Command> FinishExec(ExecDraft& draft, const std::vector<std::string>& args) {
  if (args.empty()) return absl::InvalidArgumentError("a container and a command are needed");
  node::v1::ExecStart& start = draft.options.start;
  start.set_container(args[0]);
  // The habit of other tools to put "--" between the container and the command is harmless.
  size_t first = args.size() > 1 && args[1] == "--" ? 2 : 1;
  for (size_t i = first; i < args.size(); ++i) start.mutable_process()->add_argv(args[i]);
  if (start.process().argv().empty()) return absl::InvalidArgumentError("a command is needed");
  if (draft.detach && draft.options.relay.stdin) {
    return absl::InvalidArgumentError("--detach and --interactive exclude each other");
  }
  draft.environment.AppendTo(*start.mutable_process());
  start.mutable_process()->set_tty(draft.options.relay.tty);
  start.mutable_process()->set_stdin(draft.options.relay.stdin);
  start.set_detach(draft.detach);
  return Command(draft.options);
}

Finish DeclareExec(FlagSet& flags, const Host& host) {
  auto draft = std::make_shared<ExecDraft>(host);
  ExecOptions& options = draft->options;
  node::v1::ExecStart& start = options.start;
  flags.Group("Flags");
  flags.Switch("-i,--interactive", &options.relay.stdin, "send your standard input");
  flags.Switch("-t,--tty", &options.relay.tty, "give it a terminal");
  flags.Switch("-d,--detach", &draft->detach, "return once it runs; it lives on without streams");
  draft->environment.Declare(flags);
  flags.Text("-w,--workdir", "DIR", start.mutable_process()->mutable_working_directory(),
             "working directory (default: the container's)");
  flags.Value("-u,--user", "USER[:GROUP]",
              "names of the container's own files, or numbers (default: the container's)",
              [&start](const std::string& text) {
                start.mutable_process()->mutable_user()->set_name(text);
                return absl::OkStatus();
              });
  flags.Value("--timeout,--time-limit", "DURATION", "kill it after this time (default: never)",
              [&start](const std::string& text) {
                absl::StatusOr<absl::Duration> limit = ParseDuration(text);
                if (limit.ok()) *start.mutable_time_limit() = ToProto(*limit);
                return limit.status();
              });
  flags.Switch("--sig-proxy", &options.relay.sig_proxy,
               "hand signals on to the process, without -t (default true)");
  return [draft](const std::vector<std::string>& args) { return FinishExec(*draft, args); };
}

Finish DeclareAttach(FlagSet& flags, const Host&) {
  auto options = std::make_shared<AttachOptions>();
  auto no_stdin = std::make_shared<bool>(false);
  auto include_log = std::make_shared<bool>(false);
  flags.Group("Flags");
  flags.Switch("--no-stdin", no_stdin.get(), "only watch; do not send your standard input");
  flags.Switch("--logs", include_log.get(), "first show what it has already written");
  DeclareRelay(flags, options->relay);
  return [options, no_stdin,
          include_log](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedOneContainer(args);
    if (!status.ok()) return status;
    options->start.set_container(args[0]);
    options->start.set_include_log(*include_log);
    // Whether the container has a terminal and an open input, only noded knows.
    options->relay.tty = true;
    options->relay.stdin = !*no_stdin;
    return Command(*options);
  };
}

constexpr char kRunDetails[] =
    R"(Without -d its output is yours, signals are handed on, and nodectl exits as it does: with its exit code, or 128
and the signal's number. 125 is noded's own failure, 126 a command that cannot be executed, 127 one that is not found.
An image that the node has not is pulled, with its progress on standard error. With --rootfs DIR there is no IMAGE.

Examples:
  nodectl run --rm busybox echo hello
  nodectl run -it --rm -v data:/data busybox sh
  nodectl run -d --name web -m 64m --cpus 1.5 -v /srv/www:/www:ro busybox httpd -f -h /www
  nodectl run --rm --rootfs /srv/busybox echo hello
  nodectl run --dry-run --pull never busybox
)";

constexpr char kCreateDetails[] =
    R"(Prints the id. Start it with nodectl start. With --rootfs DIR there is no IMAGE.

Examples:
  nodectl create --name job busybox sh -c 'echo done'
  nodectl start -a job
)";

constexpr char kStartDetails[] =
    R"(Examples:
  nodectl start web db
  nodectl start -a job     # attached before it starts: nothing of its output is missed
)";

constexpr char kExecDetails[] =
    R"(nodectl exits as the process does: with its exit code, or 128 and the signal's number. When nodectl goes away the
process is ended, unless it was detached.

Examples:
  nodectl exec web ls -l /www
  nodectl exec -it web sh
  nodectl exec -i web cat < big.file > copy.file
  nodectl exec -e LEVEL=debug -u nobody -w /tmp web env
)";

constexpr char kAttachDetails[] =
    R"(Connects to the main process, from now on. ctrl-p ctrl-q leaves it running.

Examples:
  nodectl attach web
  nodectl attach --no-stdin --logs web
)";

}  // namespace

const CommandEntry kRunCommand = {"run",
                                  "[flags] IMAGE [COMMAND] [ARG...]",
                                  "Create a container and start it",
                                  kRunDetails,
                                  FlagPlacement::kBeforeArguments,
                                  DeclareRun,
                                  true,
                                  "h"};
const CommandEntry kCreateCommand = {"create",
                                     "[flags] IMAGE [COMMAND] [ARG...]",
                                     "Create a container without starting it",
                                     kCreateDetails,
                                     FlagPlacement::kBeforeArguments,
                                     DeclareCreate,
                                     true,
                                     "h"};
const CommandEntry kStartCommand = {"start",
                                    "[flags] CONTAINER...",
                                    "Start containers that were created or have exited",
                                    kStartDetails,
                                    FlagPlacement::kAnywhere,
                                    DeclareStart,
                                    false,
                                    "a"};
const CommandEntry kExecCommand = {"exec",
                                   "[flags] CONTAINER COMMAND [ARG...]",
                                   "Run a process in a running container",
                                   kExecDetails,
                                   FlagPlacement::kBeforeArguments,
                                   DeclareExec,
                                   true,
                                   "",
                                   true};
const CommandEntry kAttachCommand = {"attach",
                                     "[flags] CONTAINER",
                                     "Connect to a container's standard streams",
                                     kAttachDetails,
                                     FlagPlacement::kAnywhere,
                                     DeclareAttach,
                                     true};

}  // namespace noded::cli
