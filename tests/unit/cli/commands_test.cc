// Commands against a fake node: what they ask, print and exit with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/proto_time.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using grpc::StatusCode;
using node::v1::Container;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Container SomeContainer(const std::string& id, const std::string& name, int age_seconds) {
  Container container;
  container.set_id(id);
  container.set_name(name);
  container.mutable_spec()->mutable_process()->add_argv("sleep");
  container.mutable_spec()->mutable_process()->add_argv("1000000000000000000000000");
  container.set_state(node::v1::CONTAINER_STATE_RUNNING);
  *container.mutable_create_time() = ToProto(FakeNow() - absl::Seconds(age_seconds));
  *container.mutable_start_time() = container.create_time();
  return container;
}

class CommandsTest : public testing::Test {
 protected:
  FakeNode node_;
};

TEST_F(CommandsTest, PsShowsAllPagesNewestFirst) {
  std::vector<node::v1::ListRequest> asked;
  node_.containers().List_ = [&](const auto& request, auto* response) {
    asked.push_back(request);
    if (request.page_token().empty()) {
      *response->add_containers() = SomeContainer("aaaaaaaaaaaaaaaa", "old", 7200);
      response->set_next_page_token("2");
    } else {
      *response->add_containers() = SomeContainer("bbbbbbbbbbbbbbbb", "young", 5);
    }
    return Status::OK;
  };
  Outcome outcome = node_.Run({"ps"});
  EXPECT_EQ(outcome.out,
            "CONTAINER ID   NAME    COMMAND                    CREATED         STATUS\n"
            "bbbbbbbbbbbb   young   sleep 10000000000000000…   5 seconds ago   Up 5 seconds\n"
            "aaaaaaaaaaaa   old     sleep 10000000000000000…   2 hours ago     Up 2 hours\n");
  EXPECT_EQ(outcome.exit_code, kOk);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_THAT(asked[0].filter().states(),
              ElementsAre(node::v1::CONTAINER_STATE_STARTING, node::v1::CONTAINER_STATE_RUNNING,
                          node::v1::CONTAINER_STATE_PAUSED));
  EXPECT_EQ(asked[1].page_token(), "2");
  EXPECT_EQ(node_.Run({"ps", "-q"}).out, "bbbbbbbbbbbb\naaaaaaaaaaaa\n");
  EXPECT_THAT(node_.Run({"ps", "-o", "json"}).out,
              StartsWith("{\n \"containers\": [\n  {\n   \"id\": \"bbbb"));
  asked.clear();
  node_.Run({"ps", "-a"});
  EXPECT_TRUE(asked[0].filter().states().empty());
}

TEST_F(CommandsTest, InspectPrintsWhatItFindsAndFailsForTheRest) {
  node_.containers().Get_ = [&](const auto& request, auto* response) {
    if (request.container() != "web")
      return ErrorWith(StatusCode::NOT_FOUND, "no container \"x\"", "CONTAINER_NOT_FOUND");
    response->mutable_container()->set_id("abc");
    response->mutable_container()->set_start_count(1);
    return Status::OK;
  };
  Outcome outcome = node_.Run({"inspect", "x", "web"});
  EXPECT_EQ(outcome.out, "[{\n \"id\": \"abc\",\n \"start_count\": 1\n}]\n");
  EXPECT_EQ(outcome.err, "nodectl: inspect x: no container \"x\"\n");
  EXPECT_EQ(outcome.exit_code, kFailure);
}

TEST_F(CommandsTest, TopShowsProcesses) {
  node_.containers().Top_ = [&](const auto&, auto* response) {
    auto* process = response->add_processes();
    process->set_pid(100);
    process->set_container_pid(1);
    process->set_parent_pid(50);
    process->set_state("S");
    process->set_rss_bytes(1 << 20);
    *process->mutable_cpu_time() = ToProto(absl::Seconds(3661));
    *process->mutable_start_time() = ToProto(FakeNow() - absl::Seconds(30));
    process->set_command("httpd -f");
    return Status::OK;
  };
  EXPECT_EQ(
      node_.Run({"top", "web"}).out,
      "PID   PID INSIDE   PARENT   UID   STATE   TIME      MEMORY   STARTED          COMMAND\n"
      "100   1            50       0     S       1:01:01   1MiB     30 seconds ago   httpd -f\n");
}

TEST_F(CommandsTest, StopRunsAtOnceAndPrintsInOrder) {
  // None is answered before all have arrived: one after the other would never end.
  std::barrier arrived(3);
  node_.containers().Stop_ = [&](const auto& request, auto*) {
    arrived.arrive_and_wait();
    EXPECT_EQ(request.grace().seconds(), 5);
    return request.container() == "b" ? Status(StatusCode::INTERNAL, "stuck") : Status::OK;
  };
  Outcome outcome = node_.Run({"stop", "-t", "5", "a", "b", "c"});
  EXPECT_EQ(outcome.out, "a\nc\n");
  EXPECT_EQ(outcome.err, "nodectl: stop b: stuck\n");
  EXPECT_EQ(outcome.exit_code, kFailure);
}

TEST_F(CommandsTest, StopWithoutTimeLeavesTheGraceToTheContainer) {
  node_.containers().Stop_ = [&](const auto& request, auto*) {
    EXPECT_FALSE(request.has_grace());
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"stop", "web"}).out, "web\n");
}

TEST_F(CommandsTest, KillSendsTheSignal) {
  std::string signal;
  node_.containers().Kill_ = [&](const auto& request, auto*) {
    signal = request.signal();
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"kill", "web"}).out, "web\n");
  EXPECT_EQ(signal, "SIGKILL");
  node_.Run({"kill", "-s", "HUP", "web"});
  EXPECT_EQ(signal, "HUP");
}

TEST_F(CommandsTest, UpdateSendsTheSameForEach) {
  node_.containers().Update_ = [&](const auto& request, auto*) {
    EXPECT_EQ(request.limits().pids(), 5);
    EXPECT_TRUE(request.force());
    return request.container() == "b"
               ? ErrorWith(StatusCode::INVALID_ARGUMENT, "limits.pids: 5 is odd",
                           "INVALID_ARGUMENT", {{"limits.pids", "5 is odd"}})
               : Status::OK;
  };
  Outcome outcome = node_.Run({"update", "--pids-limit", "5", "--force", "a", "b"});
  EXPECT_EQ(outcome.out, "a\n");
  EXPECT_EQ(outcome.err,
            "nodectl: update b: the request breaks a rule:\n  limits.pids (--pids-limit): 5 is "
            "odd\n");
  EXPECT_EQ(outcome.exit_code, kFailure);
}

TEST_F(CommandsTest, PauseAndUnpausePrintTheirContainers) {
  std::string called;
  node_.containers().Pause_ = [&](const auto& request, auto*) {
    called += "pause " + request.container() + ";";
    return Status::OK;
  };
  node_.containers().Resume_ = [&](const auto& request, auto*) {
    called += "resume " + request.container() + ";";
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"pause", "web"}).out, "web\n");
  EXPECT_EQ(node_.Run({"unpause", "web"}).out, "web\n");
  EXPECT_EQ(called, "pause web;resume web;");
}

TEST_F(CommandsTest, WaitPrintsHowEachEnded) {
  node_.containers().Wait_ = [&](const auto& request, auto* response) {
    if (request.container() == "a") response->mutable_status()->set_code(3);
    if (request.container() == "b") response->mutable_status()->set_signal(9);
    return Status::OK;
  };
  Outcome outcome = node_.Run({"wait", "a", "b", "c"});
  EXPECT_EQ(outcome.out, "3\n137\nunknown\n");
  EXPECT_EQ(outcome.exit_code, kOk);
}

TEST_F(CommandsTest, RemoveWithForceIsContentWhenThereIsNone) {
  node_.containers().Remove_ = [&](const auto& request, auto*) {
    return request.container() == "x"
               ? ErrorWith(StatusCode::NOT_FOUND, "no container", "CONTAINER_NOT_FOUND")
               : Status::OK;
  };
  EXPECT_EQ(node_.Run({"rm", "x"}).exit_code, kFailure);
  Outcome outcome = node_.Run({"rm", "-f", "x", "y"});
  EXPECT_EQ(outcome.out, "y\n");
  EXPECT_EQ(outcome.exit_code, kOk);
}

node::v1::LogEntry Entry(const std::string& line, bool to_stderr = false, bool partial = false) {
  static int64_t cursor = 0;
  node::v1::LogEntry entry;
  *entry.mutable_time() = ToProto(FakeNow() + absl::Nanoseconds(5));
  entry.set_line(line);
  entry.set_stream(to_stderr ? node::v1::LOG_STREAM_STDERR : node::v1::LOG_STREAM_STDOUT);
  entry.set_partial(partial);
  entry.set_cursor(absl::StrCat("c", ++cursor));
  return entry;
}

TEST_F(CommandsTest, LogsKeepStreamsAndBytesApart) {
  node_.containers().Logs_ = [&](const auto&, auto& writer) {
    node::v1::LogsResponse response;
    *response.add_entries() = Entry("one");
    *response.add_entries() = Entry("bad", true);
    *response.add_entries() = Entry("tw", false, true);
    writer.Write(response);
    response.Clear();
    *response.add_entries() = Entry(std::string("o\0\xff", 3));
    *response.add_entries() = Entry("no newline", false, true);
    response.mutable_entries(1)->set_cursor("last");
    writer.Write(response);
    return Status::OK;
  };
  Outcome outcome = node_.Run({"logs", "--show-cursor", "web"});
  EXPECT_EQ(outcome.out, std::string("one\ntwo\0\xff\nno newline", 20));
  EXPECT_EQ(outcome.err, "bad\ncursor: last\n");
  EXPECT_EQ(
      node_.Run({"logs", "-t", "web"}).out,
      std::string("2024-05-01T10:00:00.000000005Z one\n2024-05-01T10:00:00.000000005Z two\0\xff\n"
                  "2024-05-01T10:00:00.000000005Z no newline",
                  113))
      << "one time a line, however many parts it came in";
  EXPECT_THAT(node_.Run({"logs", "-o", "json", "web"}).out, StartsWith("{\"entries\":[{\"time\":"));
}

TEST_F(CommandsTest, LogsTellOfAGap) {
  node_.containers().Logs_ = [&](const auto&, auto& writer) {
    node::v1::LogsResponse response;
    *response.add_entries() = Entry("after");
    response.mutable_entries(0)->set_gap(true);
    writer.Write(response);
    return Status::OK;
  };
  Outcome outcome = node_.Run({"logs", "--cursor", "old", "web"});
  EXPECT_EQ(outcome.out, "after\n");
  EXPECT_THAT(outcome.err, HasSubstr("rotated away"));
}

TEST_F(CommandsTest, LogsFollowAcrossARestartByCursor) {
  std::mutex mutex;
  std::vector<node::v1::LogsRequest> asked;
  node_.containers().Logs_ = [&](const auto& request, auto& writer) {
    std::unique_lock lock(mutex);
    asked.push_back(request);
    node::v1::LogsResponse response;
    *response.add_entries() = Entry(absl::StrCat("line ", asked.size()));
    response.mutable_entries(0)->set_cursor(absl::StrCat("after ", asked.size()));
    writer.Write(response);
    // The daemon dies; this is what its client sees.
    return asked.size() == 1 ? Status(StatusCode::UNAVAILABLE, "Socket closed") : Status::OK;
  };
  Outcome outcome = node_.Run({"logs", "-f", "--tail", "5", "web"});
  EXPECT_EQ(outcome.out, "line 1\nline 2\n");
  EXPECT_EQ(outcome.exit_code, kOk) << outcome.err;
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1].ShortDebugString(), R"(container: "web" follow: true cursor: "after 1")");
}

TEST_F(CommandsTest, LogsWithoutFollowDoNotTryAgain) {
  node_.containers().Logs_ = [&](const auto&, auto& writer) {
    node::v1::LogsResponse response;
    *response.add_entries() = Entry("line");
    writer.Write(response);
    return Status(StatusCode::UNAVAILABLE, "Socket closed");
  };
  Outcome outcome = node_.Run({"logs", "web"});
  EXPECT_EQ(outcome.out, "line\n");
  EXPECT_THAT(outcome.err, HasSubstr("lost the connection"));
  EXPECT_EQ(outcome.exit_code, kFailure);
}

node::v1::StatsResponse Sample(int64_t second, uint64_t cpu_ns) {
  node::v1::StatsResponse response;
  auto* sample = response.add_samples();
  sample->set_container_id("aaaaaaaaaaaaaaaa");
  sample->set_name("web");
  *sample->mutable_time() = ToProto(FakeNow() + absl::Seconds(second));
  sample->mutable_stats()->mutable_cpu()->set_total_ns(cpu_ns);
  sample->mutable_stats()->mutable_memory()->set_working_set_bytes(16 << 20);
  sample->mutable_stats()->mutable_memory()->set_limit_bytes(64 << 20);
  sample->mutable_stats()->mutable_pids()->set_current(2);
  sample->mutable_stats()->mutable_cpu()->set_limit_cpus(2);
  sample->mutable_stats()->mutable_cpu()->set_online_cpus(4);
  sample->mutable_stats()->add_block_io()->set_read_bytes(1 << 20);
  auto* lo = sample->mutable_stats()->add_networks();
  lo->set_name("lo");
  lo->set_received_bytes(999);
  return response;
}

TEST_F(CommandsTest, StatsOnceTakesTwoSamplesForTheRate) {
  node_.containers().Stats_ = [&](const auto& request, auto& writer) {
    EXPECT_EQ(request.ShortDebugString(), R"(containers: "web" interval { seconds: 1 })");
    writer.Write(Sample(0, 1'000'000'000));
    writer.Write(Sample(2, 4'000'000'000));
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"stats", "--no-stream", "web"}).out,
            "CONTAINER ID   NAME   CPU % LIMIT / HOST   MEMORY / LIMIT   MEM %    NET IN / OUT   "
            "BLOCK READ / WRITTEN   DISK   PIDS\n"
            "aaaaaaaaaaaa   web    75.00% / 37.50%      16MiB / 64MiB    25.00%   0B / 0B        "
            "1MiB / --              --     2\n");
}

TEST_F(CommandsTest, StatsAsJsonAreTheSamplesThemselves) {
  node_.containers().Stats_ = [&](const auto& request, auto& writer) {
    EXPECT_FALSE(request.has_interval());
    writer.Write(Sample(0, 5));
    return Status::OK;
  };
  EXPECT_THAT(node_.Run({"stats", "--no-stream", "-o", "json"}).out,
              HasSubstr("\"cpu\":{\"total_ns\":\"5\""));
}

TEST_F(CommandsTest, StatsWithPressureShowWhatIsKnownOfIt) {
  node_.containers().Stats_ = [&](const auto&, auto& writer) {
    node::v1::StatsResponse sample = Sample(0, 5);
    sample.mutable_samples(0)->mutable_stats()->mutable_pressure()->mutable_io()->mutable_some();
    auto& cpu = *sample.mutable_samples(0)->mutable_stats()->mutable_pressure()->mutable_cpu();
    cpu.mutable_some()->set_avg10(12.5);
    writer.Write(sample);
    writer.Write(sample);
    return Status::OK;
  };
  EXPECT_THAT(node_.Run({"stats", "--no-stream", "--pressure"}).out,
              HasSubstr("12.50% / -- / 0.00%\n"));
}

TEST_F(CommandsTest, AnEventTellsWhomTheOomKillerTook) {
  node_.containers().Watch_ = [&](const auto&, auto& writer) {
    node::v1::WatchResponse response;
    auto* event = response.add_events();
    event->set_type(node::v1::CONTAINER_EVENT_TYPE_OOM_KILLED);
    event->set_revision(9);
    auto& container = *event->mutable_container();
    container.set_name("web");
    container.set_oom_kills(2);
    container.mutable_last_oom_kill()->set_pid(4711);
    container.mutable_last_oom_kill()->set_process("ja\x1bva");
    container.mutable_last_oom_kill()->set_memory_bytes(512 << 20);
    writer.Write(response);
    return Status::OK;
  };
  EXPECT_THAT(node_.Run({"events", "--filter", "type=oom_killed"}).out,
              HasSubstr("revision=9 kills=2 pid=4711 process=ja?va memory=512MiB\n"));
}

TEST_F(CommandsTest, StatsWithoutContainersPrintTheHeader) {
  node_.containers().Stats_ = [&](const auto&, auto& writer) {
    writer.Write(node::v1::StatsResponse());
    return Status::OK;
  };
  EXPECT_THAT(node_.Run({"stats", "--no-stream"}).out, StartsWith("CONTAINER ID"));
}

node::v1::WatchResponse Change(node::v1::ContainerEventType type, int64_t revision) {
  node::v1::WatchResponse response;
  auto* event = response.add_events();
  event->set_type(type);
  event->set_revision(revision);
  *event->mutable_time() = ToProto(FakeNow());
  event->mutable_container()->set_id("aaaaaaaaaaaaaaaa");
  event->mutable_container()->set_name("web");
  event->mutable_container()->set_pid(7);
  event->mutable_container()->mutable_exit_status()->set_signal(9);
  response.set_revision(revision);
  return response;
}

TEST_F(CommandsTest, EventsAreOneLineEachAndGoOnByRevision) {
  std::vector<node::v1::WatchRequest> asked;
  node_.containers().Watch_ = [&](const auto& request, auto& writer) {
    asked.push_back(request);
    if (asked.size() == 1) {
      writer.Write(Change(node::v1::CONTAINER_EVENT_TYPE_SNAPSHOT, 3));
      writer.Write(Change(node::v1::CONTAINER_EVENT_TYPE_STARTED, 4));
      return Status(StatusCode::UNAVAILABLE, "Socket closed");
    }
    writer.Write(Change(node::v1::CONTAINER_EVENT_TYPE_EXITED, 5));
    return Status::OK;
  };
  Outcome outcome = node_.Run({"events"});
  EXPECT_EQ(outcome.out,
            "2024-05-01T10:00:00.000000000Z started aaaaaaaaaaaa web revision=4 pid=7\n"
            "2024-05-01T10:00:00.000000000Z exited aaaaaaaaaaaa web revision=5 exit=137\n");
  EXPECT_EQ(outcome.exit_code, kOk);
  EXPECT_EQ(asked[1].from_revision(), 5);
}

TEST_F(CommandsTest, EventsSayWhenSomeWereMissedAndShowWhatIsThere) {
  std::vector<int64_t> asked;
  node_.containers().Watch_ = [&](const auto& request, auto& writer) {
    asked.push_back(request.from_revision());
    if (asked.size() == 1) {
      writer.Write(Change(node::v1::CONTAINER_EVENT_TYPE_STARTED, 4));
      return Status(StatusCode::UNAVAILABLE, "Socket closed");
    }
    if (asked.size() == 2) return ErrorWith(StatusCode::OUT_OF_RANGE, "gone", "REVISION_COMPACTED");
    writer.Write(Change(node::v1::CONTAINER_EVENT_TYPE_SNAPSHOT, 9));
    return Status::OK;
  };
  Outcome outcome = node_.Run({"events"});
  EXPECT_THAT(outcome.out, HasSubstr("snapshot aaaaaaaaaaaa web revision=9"));
  EXPECT_THAT(outcome.err, HasSubstr("some changes were missed"));
  EXPECT_THAT(asked, ElementsAre(0, 5, 0));
}

TEST_F(CommandsTest, EventsFromARevisionThatIsGoneFail) {
  node_.containers().Watch_ = [&](const auto&, auto&) {
    return ErrorWith(StatusCode::OUT_OF_RANGE, "revision 1 is gone", "REVISION_COMPACTED");
  };
  Outcome outcome = node_.Run({"events", "--from-revision", "1"});
  EXPECT_EQ(outcome.err, "nodectl: events: revision 1 is gone\n");
  EXPECT_EQ(outcome.exit_code, kFailure);
}

TEST_F(CommandsTest, EventsByTypeAsJson) {
  node_.containers().Watch_ = [&](const auto&, auto& writer) {
    writer.Write(Change(node::v1::CONTAINER_EVENT_TYPE_STARTED, 4));
    writer.Write(Change(node::v1::CONTAINER_EVENT_TYPE_EXITED, 5));
    return Status::OK;
  };
  Outcome outcome = node_.Run({"events", "--filter", "type=exited", "-o", "json"});
  EXPECT_THAT(outcome.out, StartsWith("{\"type\":\"CONTAINER_EVENT_TYPE_EXITED\""));
  EXPECT_THAT(std::vector<std::string>(absl::StrSplit(outcome.out, '\n')), testing::SizeIs(2));
}

TEST_F(CommandsTest, VersionTellsBothSides) {
  node_.node().GetInfo_ = [](auto* response) {
    response->set_version("9.9.9");
    response->add_api_versions("node.v1");
    response->set_kernel_version("6.1.0");
    response->mutable_cgroup()->set_mode("v2");
    return Status::OK;
  };
  EXPECT_THAT(node_.Run({"version"}).out,
              HasSubstr("\nnoded 9.9.9 (node.v1, kernel 6.1.0, cgroup v2)\n"));
  EXPECT_THAT(node_.Run({"version", "-o", "json"}).out,
              HasSubstr("\"server\":{\"version\":\"9.9.9\""));
  EXPECT_THAT(node_.Run({"version", "--client"}).out, StartsWith("nodectl "));
}

TEST_F(CommandsTest, InfoSaysWhyAFeatureIsMissing) {
  node_.node().GetInfo_ = [](auto* response) {
    response->set_hostname("lab1");
    auto* feature = response->add_features();
    feature->set_name("seccomp");
    feature->set_reason("kernel has none");
    return Status::OK;
  };
  std::string out = node_.Run({"info"}).out;
  EXPECT_THAT(out, HasSubstr("lab1"));
  EXPECT_THAT(out, HasSubstr("seccomp: no, kernel has none"));
}

TEST_F(CommandsTest, AnUnreachableNodeIsSaidPlainly) {
  Outcome outcome = node_.Run({"-a", "unix:///nowhere/noded.sock", "ps"});
  EXPECT_THAT(
      outcome.err,
      StartsWith("nodectl: ps: cannot reach noded at unix:///nowhere/noded.sock: No such file"));
  EXPECT_EQ(outcome.exit_code, kFailure);
  EXPECT_EQ(
      node_.Run({"-a", "unix:///nowhere/noded.sock", "run", "--rootfs", "/r", "true"}).exit_code,
      kAgentError);
}

TEST_F(CommandsTest, TimeoutEndsACallThatIsNotAnswered) {
  node_.containers().Get_ = [&](const auto&, auto*) {
    absl::SleepFor(absl::Milliseconds(300));
    return Status::OK;
  };
  Outcome outcome = node_.Run({"--timeout", "50ms", "inspect", "web"});
  EXPECT_THAT(outcome.err, HasSubstr("no answer in time"));
  EXPECT_EQ(outcome.exit_code, kFailure);
}

}  // namespace
}  // namespace noded::cli
