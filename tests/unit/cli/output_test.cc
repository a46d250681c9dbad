#include "clients/cli/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/cli/client.h"
#include "clients/cli/detach_keys.h"
#include "clients/cli/error_text.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/proto_time.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using testing::HasSubstr;

TEST(TableTest, AlignsByCharactersAndTamesControlCharacters) {
  Table table({"A", "NAME", "C"});
  table.Row({"1", "naïve", "x"});
  table.Row({"22", "b", "evil\x1b[2J\n"});
  EXPECT_EQ(table.Text(),
            "A    NAME    C\n"
            "1    naïve   x\n"
            "22   b       evil?[2J?\n");
}

TEST(HumanTest, Sizes) {
  EXPECT_EQ(HumanSize(0), "0B");
  EXPECT_EQ(HumanSize(1000), "1000B");
  EXPECT_EQ(HumanSize(1536), "1.5KiB");
  EXPECT_EQ(HumanSize(64 << 20), "64MiB");
  EXPECT_EQ(HumanSize(1010ull << 20), "1010MiB");
  EXPECT_EQ(HumanSize(~0ull), "16EiB");
}

TEST(HumanTest, Durations) {
  EXPECT_EQ(HumanDuration(absl::Milliseconds(10)), "Less than a second");
  EXPECT_EQ(HumanDuration(absl::Seconds(-5)), "Less than a second");
  EXPECT_EQ(HumanDuration(absl::Seconds(59)), "59 seconds");
  EXPECT_EQ(HumanDuration(absl::Seconds(80)), "About a minute");
  EXPECT_EQ(HumanDuration(absl::Minutes(3)), "3 minutes");
  EXPECT_EQ(HumanDuration(absl::Minutes(61)), "About an hour");
  EXPECT_EQ(HumanDuration(absl::Hours(50)), "2 days");
}

node::v1::Container Exited() {
  node::v1::Container container;
  container.set_state(node::v1::CONTAINER_STATE_EXITED);
  *container.mutable_finish_time() = ToProto(FakeNow() - absl::Seconds(2));
  return container;
}

TEST(StatusTest, TellsHowAContainerIs) {
  node::v1::Container container;
  container.set_state(node::v1::CONTAINER_STATE_CREATED);
  EXPECT_EQ(StatusText(container, FakeNow()), "Created");
  container.set_state(node::v1::CONTAINER_STATE_RUNNING);
  *container.mutable_start_time() = ToProto(FakeNow() - absl::Minutes(3));
  EXPECT_EQ(StatusText(container, FakeNow()), "Up 3 minutes");
  container.set_state(node::v1::CONTAINER_STATE_PAUSED);
  EXPECT_EQ(StatusText(container, FakeNow()), "Up 3 minutes (Paused)");
}

TEST(StatusTest, TellsHowAContainerEnded) {
  node::v1::Container container = Exited();
  EXPECT_EQ(StatusText(container, FakeNow()), "Exited (unknown) 2 seconds ago") << "never guessed";
  container.mutable_exit_status()->set_code(0);
  EXPECT_EQ(StatusText(container, FakeNow()), "Exited (0) 2 seconds ago");
  container = Exited();
  container.mutable_exit_status()->set_signal(9);
  EXPECT_EQ(StatusText(container, FakeNow()), "Exited (SIGKILL) 2 seconds ago");
  container.set_oom_killed(true);
  EXPECT_EQ(StatusText(container, FakeNow()), "Exited (SIGKILL, out of memory) 2 seconds ago");
  container = Exited();
  container.set_exit_reason(node::v1::EXIT_REASON_START_FAILED);
  EXPECT_EQ(StatusText(container, FakeNow()), "Exited (start failed) 2 seconds ago");
}

TEST(JsonTest, FieldsAreNamedAsInTheProto) {
  node::v1::LogsRequest request;
  request.set_container("web");
  request.set_tail(5);
  EXPECT_EQ(ToJson(request, false), "{\"container\":\"web\",\"tail\":\"5\"}\n");
  node::v1::ExecStart start;
  start.mutable_time_limit()->set_seconds(3);
  EXPECT_EQ(ToJson(start, false), "{\"time_limit\":\"3s\"}\n");
}

TEST(DetachKeysTest, Reads) {
  EXPECT_EQ(*ParseDetachKeys("ctrl-p,ctrl-q"), "\x10\x11");
  EXPECT_EQ(*ParseDetachKeys("a,ctrl-@"), std::string("a\0", 2));
  EXPECT_EQ(*ParseDetachKeys(""), "");
  EXPECT_FALSE(ParseDetachKeys("ctrl-").ok());
  EXPECT_FALSE(ParseDetachKeys("ctrl-1").ok());
  EXPECT_FALSE(ParseDetachKeys("ab").ok());
}

// What passes of each piece typed; "!" where the sequence is complete.
std::string Typed(const std::string& keys, const std::vector<std::string>& pieces) {
  DetachFilter filter(keys);
  std::string passed;
  for (std::string piece : pieces) {
    bool detached = filter.Feed(piece);
    passed += piece;
    if (detached) return passed + "!";
  }
  return passed;
}

TEST(DetachKeysTest, Filter) {
  EXPECT_EQ(Typed("pq", {"abc"}), "abc");
  EXPECT_EQ(Typed("pq", {"apqb"}), "a!");
  EXPECT_EQ(Typed("pq", {"ap", "q"}), "a!");
  EXPECT_EQ(Typed("pq", {"ap", "x"}), "apx") << "what was held back goes on";
  EXPECT_EQ(Typed("pq", {"ppq"}), "p!");
  EXPECT_EQ(Typed("aab", {"aaab"}), "a!");
  EXPECT_EQ(Typed("aab", {"aa", "ca"}), "aac");
  EXPECT_EQ(Typed("", {"anything"}), "anything");
  EXPECT_EQ(Typed("x", {"abxc"}), "ab!");
}

TEST(AddressTest, ToTarget) {
  EXPECT_EQ(*TargetOf("unix:///run/x.sock"), "unix:/run/x.sock");
  EXPECT_EQ(*TargetOf("/run/x.sock"), "unix:/run/x.sock");
  EXPECT_EQ(*TargetOf("node1:7443"), "dns:///node1:7443");
  EXPECT_EQ(*TargetOf("10.0.0.1:7443"), "ipv4:10.0.0.1:7443");
  EXPECT_EQ(*TargetOf("[::1]:7443"), "ipv6:[::1]:7443");
  for (const char* text : {"", "node1", "node1:", ":7443", "node1:0", "node1:70000", "http://x:1",
                           "::1:7443", "unix://"}) {
    EXPECT_THAT(std::string(TargetOf(text).status().message()),
                HasSubstr("unix:///PATH or HOST:PORT"))
        << text;
  }
  EXPECT_FALSE(TargetOf("unix:///" + std::string(108, 'x')).ok());
}

TEST(AddressTest, TcpNeedsMutualTlsOrInsecure) {
  ConnectionOptions options;
  options.address = "node1:7443";
  EXPECT_THAT(std::string(Client(options).Prepare(FakeHost()).message()), HasSubstr("--tls-cert"));
  options.tls_cert = "c";
  options.tls_key = "k";
  EXPECT_THAT(std::string(Client(options).Prepare(FakeHost({}, {{"c", ""}, {"k", ""}})).message()),
              HasSubstr("--tls-ca"));
  options.tls_ca = "a";
  EXPECT_THAT(std::string(Client(options).Prepare(FakeHost({}, {{"c", ""}, {"k", ""}})).message()),
              HasSubstr("--tls-ca: cannot open a"));
  EXPECT_TRUE(Client(options).Prepare(FakeHost({}, {{"c", ""}, {"k", ""}, {"a", ""}})).ok());
  options = ConnectionOptions();
  options.address = "127.0.0.1:7443";
  options.insecure = true;
  EXPECT_TRUE(Client(options).Prepare(FakeHost()).ok());
}

TEST(ErrorTextTest, NamesFieldsAndTheirFlags) {
  Status status = ErrorWith(
      grpc::StatusCode::INVALID_ARGUMENT,
      "spec.limits.memory.max_bytes: must be at least 6 MiB; spec.mounts[2].target: has ..",
      "INVALID_ARGUMENT",
      {{"spec.limits.memory.max_bytes", "must be at least 6 MiB"},
       {"spec.mounts[2].target", "has .."}});
  EXPECT_EQ(DescribeError("run", status, "unix:///x"),
            "run: the request breaks a rule:\n"
            "  spec.limits.memory.max_bytes (--memory): must be at least 6 MiB\n"
            "  spec.mounts[2].target (--volume, --mount or --tmpfs): has ..");
}

TEST(ErrorTextTest, FlagsOfFields) {
  EXPECT_EQ(FlagOfField("spec.labels[\"a.b]c\"]"), "--label");
  EXPECT_EQ(FlagOfField("start.process.argv"), "COMMAND");
  EXPECT_EQ(FlagOfField("spec.process.user.additional_groups[0]"), "--group-add");
  EXPECT_EQ(FlagOfField("spec.process.user.name"), "--user");
  EXPECT_EQ(FlagOfField("page_token"), "");
}

TEST(ErrorTextTest, Unreachable) {
  Status refused(grpc::StatusCode::UNAVAILABLE,
                 "failed to connect to all addresses; last error: UNKNOWN: unix:/x: No such file "
                 "or directory");
  EXPECT_THAT(DescribeError("ps", refused, "unix:///x"),
              HasSubstr("ps: cannot reach noded at unix:///x: No such file or directory\n"));
  Status unknown(
      grpc::StatusCode::UNAVAILABLE,
      "DNS resolution failed for h:1: C-ares status is not ARES_SUCCESS: Domain name not found");
  EXPECT_EQ(DescribeError("ps", unknown, "h:1"),
            "ps: cannot reach noded at h:1: Domain name not found");
  Status lost(grpc::StatusCode::UNAVAILABLE, "Socket closed");
  EXPECT_EQ(DescribeError("ps", lost, "h:1"),
            "ps: lost the connection to noded at h:1: Socket closed");
}

TEST(ErrorTextTest, ExitCodesComeFromTheReason) {
  EXPECT_EQ(
      ExitCodeOfStart(ErrorWith(grpc::StatusCode::INVALID_ARGUMENT, "m", "COMMAND_NOT_FOUND")),
      kNotFound);
  EXPECT_EQ(
      ExitCodeOfStart(ErrorWith(grpc::StatusCode::INVALID_ARGUMENT, "m", "COMMAND_NOT_EXECUTABLE")),
      kNotExecutable);
  EXPECT_EQ(ExitCodeOfStart(ErrorWith(grpc::StatusCode::NOT_FOUND, "m", "CONTAINER_NOT_FOUND")),
            kAgentError);
  EXPECT_EQ(
      ExitCodeOfStart(Status(grpc::StatusCode::UNKNOWN, "COMMAND_NOT_FOUND", "not a protobuf")),
      kAgentError);
}

}  // namespace
}  // namespace noded::cli
