// What is measured and told of containers and of the node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"

namespace noded::test {
namespace {

using node::v1::ContainerSpec;
using node::v1::StatsRequest;
using ::testing::HasSubstr;

class MeasureTest : public EngineTest {
 protected:
  absl::StatusOr<node::v1::StatsResponse> Once(const StatsRequest& request) {
    auto stream = engine_->Stats(request);
    if (!stream.ok()) return stream.status();
    auto first = Next(**stream);
    if (!first.ok()) return first.status();
    EXPECT_TRUE(first->has_value());
    auto end = Next(**stream);
    EXPECT_TRUE(end.ok() && !end->has_value()) << "one sample, then the end";
    return **first;
  }
};

TEST_F(MeasureTest, StatsOfARunningContainer) {
  ContainerSpec spec = Shell(
      "dd if=/dev/zero of=/tmp/file bs=1024 count=200 2>/dev/null; "
      "echo written; while :; do :; done");
  spec.mutable_limits()->mutable_memory()->set_max_bytes(64 << 20);
  spec.mutable_limits()->set_pids(20);
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Eventually([&] { return Log(container->id()) == "written\n"; }));
  absl::SleepFor(absl::Milliseconds(200));
  StatsRequest request;
  request.add_containers(container->name());
  auto response = Once(request);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->samples_size(), 1);
  const node::v1::StatsSample& sample = response->samples(0);
  EXPECT_EQ(sample.container_id(), container->id());
  EXPECT_GT(sample.stats().cpu().total_ns(), 10'000'000u);
  EXPECT_GT(sample.stats().memory().usage_bytes(), 0u);
  EXPECT_EQ(sample.stats().memory().limit_bytes(), 64u << 20);
  EXPECT_EQ(sample.stats().pids().limit(), 20u);
  EXPECT_GE(sample.stats().pids().current(), 1u);
  EXPECT_GE(sample.stats().writable_layer_bytes(), 200u * 1024);
  ASSERT_EQ(sample.stats().networks_size(), 1);
  EXPECT_EQ(sample.stats().networks(0).name(), "lo");
}

TEST_F(MeasureTest, AStreamOfAllThatRun) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Run(Spec({"sleep", "100"})).ok());
  ASSERT_TRUE(Create(Spec({"true"})).ok());
  StatsRequest request;
  request.mutable_interval()->set_nanos(100'000'000);
  auto stream = engine_->Stats(request);
  ASSERT_TRUE(stream.ok()) << stream.status();
  absl::Time before = absl::Now();
  for (int i = 0; i < 4; ++i) {
    auto next = Next(**stream);
    ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
    EXPECT_EQ((*next)->samples_size(), 3);
  }
  // Three intervals, of which the first may be shorter: a sample taken for another may serve.
  EXPECT_GE(absl::Now() - before, absl::Milliseconds(200));
  (*stream)->Cancel();
  EXPECT_TRUE(absl::IsCancelled(Next(**stream).status()));
}

TEST_F(MeasureTest, BadStatsRequestsAreRefused) {
  StatsRequest unknown;
  unknown.add_containers("nobody");
  EXPECT_TRUE(absl::IsNotFound(engine_->Stats(unknown).status()));
  StatsRequest fast;
  fast.mutable_interval()->set_nanos(1);
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->Stats(fast).status()));
  auto created = Create(Spec({"true"}));
  StatsRequest idle;
  idle.add_containers(created->id());
  EXPECT_TRUE(absl::IsFailedPrecondition(engine_->Stats(idle).status()));
}

TEST_F(MeasureTest, TopShowsTheProcesses) {
  auto container = Run(Shell("sleep 1000 & exec sleep 2000"));
  ASSERT_TRUE(container.ok()) << container.status();
  node::v1::TopRequest request;
  request.set_container(container->id());
  node::v1::TopResponse top;
  ASSERT_TRUE(Eventually([&] {
    auto response = Await<node::v1::TopResponse>([&](auto done) { engine_->Top(request, done); });
    if (response.ok()) top = *response;
    return top.processes_size() == 2 && top.processes(0).command() == "sleep 2000" &&
           top.processes(1).command() == "sleep 1000";
  })) << top.DebugString();
  EXPECT_EQ(top.processes(0).pid(), container->pid());
  EXPECT_EQ(top.processes(0).container_pid(), 1);
  EXPECT_EQ(top.processes(1).parent_pid(), container->pid());
  EXPECT_GT(top.processes(0).rss_bytes(), 0);
  EXPECT_NEAR(top.processes(0).start_time().seconds(), absl::ToUnixSeconds(absl::Now()), 60);
  ASSERT_TRUE(Stop(container->id(), absl::ZeroDuration()).ok());
  auto after = Await<node::v1::TopResponse>([&](auto done) { engine_->Top(request, done); });
  EXPECT_TRUE(absl::IsFailedPrecondition(after.status())) << after.status();
}

TEST_F(MeasureTest, InfoTellsOfTheNode) {
  ASSERT_TRUE(Run(Spec({"sleep", "100"})).ok());
  ASSERT_TRUE(Create(Spec({"true"})).ok());
  node::v1::GetInfoResponse info = engine_->GetInfo();
  EXPECT_EQ(info.version(), "test");
  EXPECT_GT(info.cpus(), 0);
  EXPECT_GT(info.memory_bytes(), 0);
  EXPECT_EQ(info.boot_id().size(), 36u);
  EXPECT_EQ(info.cgroup().parent(), cgroup_parent_);
  EXPECT_EQ(info.containers().total(), 2);
  EXPECT_EQ(info.containers().running(), 1);
  EXPECT_EQ(info.containers().created(), 1);
  EXPECT_THAT(info.ShortDebugString(), HasSubstr("limits.memory"));
}

TEST_F(MeasureTest, ASecondEngineOnTheSameRootIsRefused) {
  auto second = Engine::Open(Options());
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

}  // namespace
}  // namespace noded::test
