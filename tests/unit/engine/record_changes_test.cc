#include "node/record_changes.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/util/time_util.h"
#include "node/root_files.h"

namespace noded {
namespace {

using node::shim::v1::ExitRecord;
using node::state::v1::ContainerRecord;
using node::v1::ExitReason;

constexpr int64_t kNanos = 1'000'000'000;

ContainerRecord Running() {
  ContainerRecord record;
  record.mutable_container()->set_name("web-1");
  node::shim::v1::RunningRecord launched;
  launched.set_pid(4242);
  launched.set_shim_pid(4241);
  launched.set_start_ticks(99);
  launched.set_start_time_ns(7 * kNanos);
  MarkStarting(record);
  MarkRunning(record, launched, "boot-1");
  return record;
}

ExitRecord Code(int code) {
  ExitRecord exit;
  exit.set_code(code);
  return exit;
}

ExitRecord Signal(int signal) {
  ExitRecord exit;
  exit.set_signal(signal);
  return exit;
}

ExitReason ReasonAfter(ContainerRecord record, const ExitRecord& exit, bool oom_killed = false) {
  if (oom_killed) MarkOomKilled(record, 1, std::nullopt);
  MarkExited(record, exit, "");
  return record.container().exit_reason();
}

// A time in whole seconds would lie before it.
TEST(RecordChangesTest, TimesThatAreNotTheSupervisorsHaveNanoseconds) {
  using google::protobuf::util::TimeUtil;
  const int64_t before = absl::ToUnixNanos(absl::Now());
  ContainerRecord record = Running();
  MarkStartFailed(record, "no such file");
  EXPECT_GE(TimeUtil::TimestampToNanoseconds(record.container().finish_time()), before);
  EXPECT_GE(UnknownExit(4242).time_ns(), before);
  EXPECT_GE(TimeUtil::TimestampToNanoseconds(TimestampNow()), before);
}

TEST(RecordChangesTest, AStartForgetsTheEndOfTheRunBefore) {
  ContainerRecord record = Running();
  record.set_stop_requested(true);
  node::v1::OomKill last;
  last.set_pid(7);
  MarkOomKilled(record, 3, last);
  EXPECT_EQ(record.container().oom_kills(), 3u);
  EXPECT_EQ(record.container().last_oom_kill().pid(), 7);
  MarkExited(record, Signal(SIGKILL), "something");
  MarkStarting(record);
  const node::v1::Container& container = record.container();
  EXPECT_EQ(container.state(), node::v1::CONTAINER_STATE_STARTING);
  EXPECT_FALSE(container.has_exit_status());
  EXPECT_FALSE(container.has_finish_time());
  EXPECT_FALSE(container.oom_killed());
  EXPECT_EQ(container.oom_kills(), 0u);
  EXPECT_FALSE(container.has_last_oom_kill());
  EXPECT_EQ(container.error(), "");
  EXPECT_FALSE(record.stop_requested());
  EXPECT_EQ(container.start_count(), 1);
}

TEST(RecordChangesTest, AStartedOneIsKeptWhateverComes) {
  ContainerRecord record;
  record.set_discard_unless_started(true);
  MarkRunning(record, {}, "boot-1");
  EXPECT_FALSE(record.discard_unless_started());
}

TEST(RecordChangesTest, ReasonsAreToldAndNotGuessed) {
  EXPECT_EQ(ReasonAfter(Running(), Code(0)), node::v1::EXIT_REASON_COMPLETED);
  EXPECT_EQ(ReasonAfter(Running(), Code(1)), node::v1::EXIT_REASON_COMPLETED);
  EXPECT_EQ(ReasonAfter(Running(), Signal(SIGSEGV)), node::v1::EXIT_REASON_SIGNALED);
  EXPECT_EQ(ReasonAfter(Running(), ExitRecord()), node::v1::EXIT_REASON_UNKNOWN);
  ContainerRecord stopped = Running();
  stopped.set_stop_requested(true);
  EXPECT_EQ(ReasonAfter(stopped, Code(143)), node::v1::EXIT_REASON_STOPPED);
  EXPECT_EQ(ReasonAfter(stopped, Signal(SIGKILL)), node::v1::EXIT_REASON_STOPPED);
}

TEST(RecordChangesTest, OutOfMemoryNeedsAKillOfTheMainProcess) {
  EXPECT_EQ(ReasonAfter(Running(), Signal(SIGKILL), true), node::v1::EXIT_REASON_OOM_KILLED);
  // A child was killed, and the main process went on to its own end.
  EXPECT_EQ(ReasonAfter(Running(), Code(0), true), node::v1::EXIT_REASON_COMPLETED);
  EXPECT_EQ(ReasonAfter(Running(), Code(137), true), node::v1::EXIT_REASON_COMPLETED);
}

TEST(RecordChangesTest, ExecsComeAndGoByTheirId) {
  ContainerRecord record = Running();
  MarkExecStarted(record, "a");
  MarkExecStarted(record, "b");
  MarkExecEnded(record, "a");
  MarkExecEnded(record, "never was");
  ASSERT_EQ(record.container().exec_ids_size(), 1);
  EXPECT_EQ(record.container().exec_ids(0), "b");
}

TEST(HostsFileTest, NamesLoopbackTheContainerAndWhatWasAskedFor) {
  node::v1::ContainerSpec spec;
  spec.add_extra_hosts("10.0.0.5 db");
  EXPECT_EQ(HostsFile(spec, "web-1"),
            "127.0.0.1\tlocalhost\n"
            "::1\tlocalhost ip6-localhost ip6-loopback\n"
            "127.0.1.1\tweb-1\n"
            "10.0.0.5 db\n");
}

}  // namespace
}  // namespace noded
