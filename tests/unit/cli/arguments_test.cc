// Command lines to what they ask for, without a server.
#include "clients/cli/arguments.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "clients/cli/exit_code.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Words of a command line, split at blanks; "~" within a word is a blank.
std::vector<std::string> Words(const std::string& line) {
  std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  for (std::string& word : words) std::replace(word.begin(), word.end(), '~', ' ');
  return words;
}

Host TestHost() {
  return FakeHost({{"LEVEL", "debug"}},
                  {{"vars", "# mine\nA=1\n\n  B=2\r\nLEVEL\nMISSING\n"}, {"profile.json", "{}"}});
}

template <typename Options>
Options Parse(const std::string& line) {
  auto parsed = ParseArguments(Words(line), TestHost());
  if (auto* error = std::get_if<UsageError>(&parsed)) {
    ADD_FAILURE() << line << ": " << error->message;
    return {};
  }
  auto* options = std::get_if<Options>(&std::get<Command>(parsed));
  if (options == nullptr) ADD_FAILURE() << line << " is another command";
  return options == nullptr ? Options() : *options;
}

// The error of a command line; empty when there is none.
UsageError Misuse(const std::string& line) {
  auto parsed = ParseArguments(Words(line), TestHost());
  if (auto* error = std::get_if<UsageError>(&parsed)) return *error;
  return {"", kOk};
}

// The container spec of a run line, less root and argv, as short text.
std::string SpecOf(const std::string& flags) {
  node::v1::ContainerSpec spec =
      Parse<RunOptions>("run --rootfs /r " + flags + " true").request.spec();
  spec.clear_root();
  spec.mutable_process()->clear_argv();
  if (spec.process().ByteSizeLong() == 0) spec.clear_process();
  return spec.ShortDebugString();
}

TEST(RunArgumentsTest, FillTheSpec) {
  struct Case {
    const char* flags;
    const char* spec;
  };
  for (
      const Case& c : {
          Case{"--name web", R"(name: "web")"},
          {"-h box -l a=b --annotation c=d",
           R"(labels { key: "a" value: "b" } annotations { key: "c" value: "d" } hostname: "box")"},
          {"-l a", R"(labels { key: "a" value: "" })"},
          {"--add-host db:10.0.0.5 --add-host six:::1 --add-host b=[fe80::1]",
           R"(extra_hosts: "10.0.0.5 db" extra_hosts: "::1 six" extra_hosts: "fe80::1 b")"},
          {"-e A=1 -e LEVEL -e NONE -e A=2", R"(process { env: "A=2" env: "LEVEL=debug" })"},
          {"-e A=3 --env-file vars", R"(process { env: "A=3" env: "B=2" env: "LEVEL=debug" })"},
          {"-w /srv -u nobody:nogroup --group-add 7",
           R"(process { working_directory: "/srv" user { name: "nobody:nogroup" additional_groups: "7" } })"},
          {"--ulimit nofile=1024:4096 --ulimit core=-1",
           R"(process { rlimits { name: "nofile" soft: 1024 hard: 4096 } rlimits { name: "core" )"
           R"(soft: 18446744073709551615 hard: 18446744073709551615 } })"},
          {"--init --rm", "init: true auto_remove: true"},
          {"-d -i", "process { stdin: true }"},
          {"-i", "process { stdin: true stdin_once: true }"},
          {"-it", "process { tty: true stdin: true }"},
          {"--tmpfs /t -v /a:/b",
           R"(mounts { target: "/t" tmpfs { } } mounts { target: "/b" bind { source: "/a" create_source: true } })"},
          {"-m 64m --memory-swap 96m",
           "limits { memory { max_bytes: 67108864 swap_bytes: 33554432 } }"},
          {"-m 64m --memory-swap -1", "limits { memory { max_bytes: 67108864 } }"},
          {"-m 64m --swap 0 --memory-reservation 32m",
           "limits { memory { max_bytes: 67108864 swap_bytes: 0 reservation_bytes: 33554432 } }"},
          {"--cpus 1.5", "limits { cpu { quota_us: 150000 period_us: 100000 } }"},
          {"--cpus 0.5 --cpu-period 50000", "limits { cpu { quota_us: 25000 period_us: 50000 } }"},
          {"-c 512 --cpuset-cpus 0-1 --cpuset-mems 0",
           R"(limits { cpu { shares: 512 cpuset_cpus: "0-1" cpuset_mems: "0" } })"},
          {"--pids-limit 100 --limits-best-effort", "limits { pids: 100 best_effort: true }"},
          {"--oom-group --cpu-idle --cpu-burst 500 --best-effort",
           "limits { memory { oom_group: true } cpu { burst_us: 500 idle: true } best_effort: "
           "true }"},
          {"--hugetlb 2MB:4m --hugetlb 1GB=0",
           R"(limits { hugetlb { page_size: "2MB" max_bytes: 4194304 } hugetlb { page_size: "1GB" } })"},
          {"--pids-limit -1", ""},
          {"--device-read-bps /dev/vda:1m --device-write-iops /dev/vda:10 --blkio-weight 50",
           R"(limits { block_io { weight: 50 devices { device: "/dev/vda" read_bytes_per_second: 1048576 )"
           R"(write_operations_per_second: 10 } } })"},
          {"--net host --pid container:web --ipc private --cgroupns host",
           R"(namespaces { pid { mode: NAMESPACE_MODE_CONTAINER container: "web" } network { mode: NAMESPACE_MODE_HOST } )"
           R"(ipc { mode: NAMESPACE_MODE_PRIVATE } cgroup { mode: NAMESPACE_MODE_HOST } })"},
          {"--network none", "namespaces { network { mode: NAMESPACE_MODE_PRIVATE } }"},
          {"--uid-map 0:100000:65536 --gid-map 0:100000:65536",
           "namespaces { user { mode: NAMESPACE_MODE_PRIVATE } uid_maps { host_id: 100000 size: "
           "65536 } "
           "gid_maps { host_id: 100000 size: 65536 } }"},
          {"--sysctl net.core.somaxconn=1024",
           R"(sysctls { key: "net.core.somaxconn" value: "1024" })"},
          {"--cap-drop ALL --cap-add NET_ADMIN --privileged",
           R"(security { add_capabilities: "NET_ADMIN" drop_capabilities: "ALL" privileged: true })"},
          {"--security-opt no-new-privileges=false --security-opt seccomp=profile.json "
           "--oom-score-adj -5",
           R"(security { allow_new_privileges: true seccomp_profile: "{}" oom_score_adj: -5 })"},
          {"--security-opt no-new-privileges", ""},
          {"--stop-signal INT --stop-timeout 1m30s",
           R"(stop_signal: "INT" stop_grace { seconds: 90 })"},
          {"--log-max-size 1m --log-max-files 3", "log { max_file_bytes: 1048576 max_files: 3 }"},
          {"--log-opt max-size=1m --log-opt full=block",
           "log { max_file_bytes: 1048576 full_policy: LOG_FULL_POLICY_BLOCK }"},
          {"--name=", ""},
          {"--rm=false", ""},
      }) {
    EXPECT_EQ(SpecOf(c.flags), c.spec) << c.flags;
  }
}

TEST(RunArgumentsTest, RootFileSystemIsMadeAbsolute) {
  EXPECT_EQ(Parse<RunOptions>("run --rootfs ./box --read-only true")
                .request.spec()
                .root()
                .ShortDebugString(),
            R"(host_directory: "/here/box" read_only: true)");
  EXPECT_EQ(
      Parse<RunOptions>("run --rootfs=/srv/box true").request.spec().root().ShortDebugString(),
      R"(host_directory: "/srv/box")");
}

std::vector<std::string> Argv(const std::string& line) {
  const RunOptions options = Parse<RunOptions>(line);
  const auto& argv = options.request.spec().process().argv();
  return {argv.begin(), argv.end()};
}

TEST(RunArgumentsTest, FlagsEndAtTheCommand) {
  EXPECT_THAT(Argv("run --rootfs /r sh -c echo~-n~hi"), ElementsAre("sh", "-c", "echo -n hi"));
  EXPECT_THAT(Argv("run --rootfs /r -- -odd --rm"), ElementsAre("-odd", "--rm"));
  EXPECT_THAT(Argv("run --rootfs /r ls -- -x --y= --"),
              ElementsAre("ls", "--", "-x", "--y=", "--"));
  // Brackets and braces are the command's, whatever the flag library makes of them.
  EXPECT_THAT(Argv("run --rootfs /r [a,b] {} %% ++"), ElementsAre("[a,b]", "{}", "%%", "++"));
  EXPECT_THAT(Argv("run --rootfs /r --entrypoint /bin/sh -e X=[1,2] x"),
              ElementsAre("/bin/sh", "x"));
  EXPECT_EQ(SpecOf("-e X=[1,2] -e [a,b]=c"), R"(process { env: "X=[1,2]" env: "[a,b]=c" })");
}

TEST(RunArgumentsTest, RequestAndClientFlags) {
  RunOptions options =
      Parse<RunOptions>("run -d --rootfs /r --request-id r1 --dry-run --cidfile f true");
  EXPECT_EQ(options.request.request_id(), "r1");
  EXPECT_TRUE(options.request.dry_run());
  EXPECT_TRUE(options.detach);
  EXPECT_EQ(options.id_file, "f");
  EXPECT_TRUE(Parse<RunOptions>("create --rootfs /r true").create_only);
  EXPECT_EQ(Parse<RunOptions>("run --detach-keys ctrl-a,x --rootfs /r true").relay.detach_keys,
            "\x01x");
  EXPECT_FALSE(Parse<RunOptions>("run --sig-proxy=false --rootfs /r true").relay.sig_proxy);
}

TEST(RunArgumentsTest, Misuse) {
  struct Case {
    const char* line;
    const char* message;
  };
  for (const Case& c : {
           Case{"run", "an image is needed, or --rootfs"},
           {"run --storage-opt 5g busybox", "--storage-opt: \"5g\": the form is size=SIZE"},
           {"run --pull sometimes busybox",
            "--pull: \"sometimes\" is none of always, missing, never"},
           {"run --rootfs /r", "a command is needed"},
           {"run --rootfs /r --memory 64x true", "--memory: \"64x\" is not a size"},
           {"run --rootfs /r --memory -1 true", "0 or more bytes, or a number with b, k, m"},
           {"run --rootfs /r --pids-limit 10k true", "is not a whole number: 1 to 4194304, or -1"},
           {"run --rootfs /r --cpu-quota 10ms true", "is not a whole number: 1000 or more, or -1"},
           {"run --rootfs /r --device-read-iops /dev/vda:4294967296 true", "1 to 4294967295"},
           {"run --rootfs /r -m", "--memory: a value is needed"},
           {"run --rootfs /r --naem x true", "unknown flag --naem"},
           {"run --rootfs /r -x true", "unknown flag -x"},
           {"run --rootfs /r --memory-swap 1g true", "--memory-swap: needs --memory"},
           {"run --rootfs /r -m 1g --memory-swap 1m true", "cannot be less than --memory"},
           {"run --rootfs /r --cpus 0 true", "--cpus: \"0\" is not a number"},
           {"run --rootfs /r --cpus 1 --cpu-quota 1000 true", "exclude each other"},
           {"run --rootfs /r --net bridge true",
            "--network: \"bridge\" is none of private, host, container:NAME"},
           {"run --rootfs /r --userns container:x true", "none of private, host"},
           {"run --rootfs /r --env-file nowhere true", "--env-file: cannot open nowhere"},
           {"run --rootfs /r -e =x true", "NAME[=VALUE]"},
           {"run --rootfs /r --ulimit nofile true", "NAME=SOFT[:HARD]"},
           {"run --rootfs /r --uid-map 0:1 true", "CONTAINER:HOST:SIZE"},
           {"run --rootfs /r --security-opt apparmor=x true", "is none of no-new-privileges"},
           {"run --rootfs /r --rm=perhaps true", "--rm"},
           {"exec", "a container and a command are needed"},
           {"exec web", "a command is needed"},
           {"exec -d -i web cat", "exclude each other"},
       }) {
    UsageError error = Misuse(c.line);
    EXPECT_THAT(error.message, HasSubstr(c.message)) << c.line;
    EXPECT_EQ(error.exit_code, kAgentError) << c.line;
  }
}

TEST(ExecArgumentsTest, FillTheStart) {
  EXPECT_EQ(
      Parse<ExecOptions>("exec -i -e A=1 -w /t -u 5 --timeout 3s web sh -c x")
          .start.ShortDebugString(),
      R"(container: "web" process { argv: "sh" argv: "-c" argv: "x" env: "A=1" working_directory: "/t" )"
      R"(user { name: "5" } stdin: true } time_limit { seconds: 3 })");
  EXPECT_EQ(Parse<ExecOptions>("exec -d web -- sleep 9").start.ShortDebugString(),
            R"(container: "web" process { argv: "sleep" argv: "9" } detach: true)");
}

TEST(LifeArgumentsTest, TakeSeveralContainersAndFlagsAnywhere) {
  StopOptions stop = Parse<StopOptions>("stop a b -t 5 c");
  EXPECT_THAT(stop.containers, ElementsAre("a", "b", "c"));
  EXPECT_EQ(stop.grace, absl::Seconds(5));
  EXPECT_EQ(Parse<StopOptions>("stop -t 0 a").grace, absl::ZeroDuration());
  EXPECT_FALSE(Parse<StopOptions>("stop a").grace.has_value());
  EXPECT_EQ(Parse<KillOptions>("kill web -s HUP").signal, "HUP");
  EXPECT_TRUE(Parse<RemoveOptions>("rm web -f").force);
  EXPECT_TRUE(Parse<RemoveOptions>("rm -fv web").volumes);
  EXPECT_THAT(Parse<WaitOptions>("wait -- -odd").containers, ElementsAre("-odd"));
  EXPECT_TRUE(Parse<StartOptions>("start -a web").attach);
  EXPECT_TRUE(Parse<StartOptions>("start -i web").attach);
  for (const char* line : {"stop", "kill", "wait", "rm", "start", "inspect"}) {
    EXPECT_THAT(Misuse(line).message, HasSubstr("at least one container")) << line;
    EXPECT_EQ(Misuse(line).exit_code, kUsage) << line;
  }
}

// The request of an update line, as short text.
std::string RequestOf(const std::string& flags) {
  return Parse<UpdateOptions>("update web " + flags).request.ShortDebugString();
}

TEST(UpdateArgumentsTest, FillTheRequest) {
  struct Case {
    const char* flags;
    const char* request;
  };
  for (
      const Case& c : {
          Case{"-m 64m --swap 0", "limits { memory { max_bytes: 67108864 swap_bytes: 0 } }"},
          {"--pids-limit 5 --force", "limits { pids: 5 } force: true"},
          {"--pids-limit -1", R"(clear: "limits.pids")"},
          {"--cpu-quota -1 --memory-swap -1",
           R"(clear: "limits.cpu.quota_us" clear: "limits.memory.swap_bytes")"},
          {"--cpu-idle", "limits { cpu { idle: true } }"},
          {"--cpu-idle=false --oom-group=false",
           "limits { memory { oom_group: false } cpu { idle: false } }"},
          {"--clear cpu --clear limits.memory.max_bytes",
           R"(clear: "limits.cpu" clear: "limits.memory.max_bytes")"},
          {"--clear devices", "devices { }"},
          {"--device /dev/fuse:r --device /dev/kvm",
           R"(devices { devices { host_path: "/dev/fuse" permissions: "r" } devices { host_path: "/dev/kvm" } })"},
          {"--best-effort", "limits { best_effort: true }"},
      }) {
    EXPECT_EQ(RequestOf(c.flags), c.request) << c.flags;
  }
  EXPECT_THAT(Parse<UpdateOptions>("update a -m 8m b").containers, ElementsAre("a", "b"));
  EXPECT_THAT(Misuse("update -m 8m").message, HasSubstr("at least one container"));
  EXPECT_THAT(Misuse("update web").message, HasSubstr("at least one limit"));
  EXPECT_THAT(Misuse("update web --force").message, HasSubstr("at least one limit"));
  EXPECT_THAT(Misuse("update --memory-swap 9m web").message, HasSubstr("--memory"));
}

TEST(UpdateArgumentsTest, PauseAndItsOppositeByBothNames) {
  EXPECT_THAT(Parse<PauseOptions>("pause a b").containers, ElementsAre("a", "b"));
  EXPECT_THAT(Parse<ResumeOptions>("unpause a").containers, ElementsAre("a"));
  EXPECT_THAT(Parse<ResumeOptions>("resume a").containers, ElementsAre("a"));
  for (const char* line : {"pause", "unpause", "resume"}) {
    EXPECT_THAT(Misuse(line).message, HasSubstr("at least one container")) << line;
  }
}

TEST(QueryArgumentsTest, FillTheRequest) {
  EXPECT_EQ(
      Parse<ListOptions>(
          "ps -f label=a=b --filter state=exited --filter state=created --filter name=x")
          .filter.ShortDebugString(),
      R"(labels { key: "a" value: "b" } name: "x" states: CONTAINER_STATE_EXITED states: CONTAINER_STATE_CREATED)");
  EXPECT_TRUE(Parse<ListOptions>("ps -aq").all);
  EXPECT_TRUE(Parse<ListOptions>("ps -aq").quiet);
  EXPECT_EQ(
      Parse<LogsOptions>("logs -f --tail 5 --since 10m --stream stderr web")
          .request.ShortDebugString(),
      R"(container: "web" follow: true since { seconds: 1714557000 } tail: 5 stream: LOG_STREAM_STDERR)");
  EXPECT_EQ(Parse<LogsOptions>("logs -n all web").request.ShortDebugString(),
            R"(container: "web")");
  EXPECT_EQ(Parse<StatsOptions>("stats -i 500ms a b").interval, absl::Milliseconds(500));
  EventsOptions events =
      Parse<EventsOptions>("events --from-revision 7 --filter type=exited --filter name=x");
  EXPECT_EQ(events.request.ShortDebugString(), R"(from_revision: 7 filter { name: "x" })");
  EXPECT_THAT(events.types, ElementsAre(node::v1::CONTAINER_EVENT_TYPE_EXITED));
}

TEST(QueryArgumentsTest, Misuse) {
  EXPECT_THAT(Misuse("ps --filter state=dead").message,
              HasSubstr("none of creating, created, starting, running"));
  EXPECT_THAT(Misuse("ps --filter colour=red").message, HasSubstr("none of label, name, state"));
  EXPECT_THAT(Misuse("ps web").message, HasSubstr("takes no arguments"));
  EXPECT_THAT(Misuse("logs --cursor x --tail 5 web").message, HasSubstr("--cursor excludes"));
  EXPECT_THAT(Misuse("logs a b").message, HasSubstr("exactly one container"));
  EXPECT_THAT(Misuse("stats -i 1ms").message, HasSubstr("--interval: 100ms or more"));
}

TEST(GlobalArgumentsTest, TextThatIsNotUtf8IsRefused) {
  for (const char* bad :
       {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"}) {
    auto parsed = ParseArguments({"run", "--rootfs", "/r", "echo", bad}, TestHost());
    ASSERT_TRUE(std::holds_alternative<UsageError>(parsed)) << bad;
    EXPECT_THAT(std::get<UsageError>(parsed).message, HasSubstr("is not UTF-8")) << bad;
    EXPECT_EQ(std::get<UsageError>(parsed).exit_code, kAgentError);
  }
  EXPECT_EQ(Misuse("run --rootfs /r echo naïve €uro 😀 \x7f").message, "");
  auto parsed =
      ParseArguments({"run", "--rootfs", "/r", "-e", "X", "env"}, FakeHost({{"X", "\xff"}}));
  EXPECT_THAT(std::get<UsageError>(parsed).message,
              HasSubstr("--env: the value of X is not UTF-8"));
}

TEST(GlobalArgumentsTest, StandBeforeAndAfterTheCommand) {
  for (const char* line : {"-a unix:///x -o json ps", "ps --address unix:///x -o json",
                           "--address=unix:///x ps --output=json"}) {
    GlobalOptions global = Parse<ListOptions>(line).global;
    EXPECT_EQ(global.connection.address, "unix:///x") << line;
    EXPECT_EQ(global.output, OutputFormat::kJson) << line;
  }
  EXPECT_EQ(Parse<InfoOptions>("info").global.connection.address, "unix:///run/noded/noded.sock");
  EXPECT_EQ(Parse<InfoOptions>("--timeout 5s info").global.connection.timeout, absl::Seconds(5));
  EXPECT_THAT(Misuse("ps -o xml").message, HasSubstr("--output: \"xml\" is none of table, json"));
  EXPECT_THAT(Misuse("frobnicate").message, HasSubstr("there is no command \"frobnicate\""));
}

TEST(GlobalArgumentsTest, EnvironmentIsTheDefault) {
  auto parsed = ParseArguments(
      {"info"}, FakeHost({{"NODECTL_ADDRESS", "h:1"}, {"NODECTL_TLS_CA", "ca.pem"}}));
  GlobalOptions global = std::get<InfoOptions>(std::get<Command>(parsed)).global;
  EXPECT_EQ(global.connection.address, "h:1");
  EXPECT_EQ(global.connection.tls_ca, "ca.pem");
}

// The names that an overview lists: "  run       Create a container…"; flags begin with a dash.
std::vector<std::string> Listed(const std::string& help) {
  std::vector<std::string> names;
  for (absl::string_view line : absl::StrSplit(help, '\n')) {
    if (line.size() < 3 || line.substr(0, 2) != "  " || line[2] == ' ' || line[2] == '-') continue;
    if (absl::StartsWith(line, "  nodectl")) continue;
    names.emplace_back(line.substr(2, line.find(' ', 2) - 2));
  }
  return names;
}

void ExpectHelpOf(const std::string& name) {
  std::string help = Parse<HelpOptions>("help " + name).text;
  EXPECT_THAT(help, HasSubstr("Usage: nodectl " + name));
  EXPECT_THAT(help, HasSubstr("Examples:\n  nodectl " + name)) << name;
  EXPECT_THAT(help, HasSubstr("--address")) << name;
  EXPECT_EQ(help, Parse<HelpOptions>(name + " --help").text);
}

TEST(HelpTest, EveryCommandHasFlagsAndExamples) {
  std::vector<std::string> names = Listed(Parse<HelpOptions>("help").text);
  EXPECT_EQ(names.size(), 31u);
  for (const std::string& name : names) {
    if (name != "image" && name != "volume") ExpectHelpOf(name);
  }
}

TEST(HelpTest, SoHasEveryMemberOfAGroup) {
  for (auto [group, count] : {std::pair("image", 10u), std::pair("volume", 5u)}) {
    std::string help = Parse<HelpOptions>(absl::StrCat("help ", group)).text;
    EXPECT_EQ(help, Parse<HelpOptions>(absl::StrCat(group, " --help")).text);
    EXPECT_EQ(Listed(help).size(), count) << help;
    for (const std::string& name : Listed(help)) ExpectHelpOf(absl::StrCat(group, " ", name));
    HelpOptions bare = Parse<HelpOptions>(group);
    EXPECT_FALSE(bare.asked_for);
    EXPECT_EQ(bare.text, help);
    EXPECT_THAT(Misuse(absl::StrCat(group, " frob")).message,
                HasSubstr(absl::StrCat("there is no command \"", group, " frob\"")));
  }
}

}  // namespace
}  // namespace noded::cli
