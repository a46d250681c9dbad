#include "cgroup/v1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/base/status.h"
#include "tests/unit/cgroup/drawn_host.h"

namespace noded::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class V1Test : public testing::Test {
 protected:
  V1Test() : host_(kV1Host), driver_(*host_.Open()) {}
  DrawnHost host_;
  std::unique_ptr<Driver> driver_;
};

TEST_F(V1Test, GroupIsInEveryHierarchyTheNamedOneToo) {
  ASSERT_TRUE(driver_->Create("web", {}).ok());
  EXPECT_THAT(host_.Directories("web"),
              ElementsAre("blkio/noded/web", "cpu,cpuacct/noded/web", "cpuset/noded/web",
                          "devices/noded/web", "freezer/noded/web", "hugetlb/noded/web",
                          "memory/noded/web", "pids/noded/web", "systemd/noded/web"));
  auto attach = (*driver_->Open("web"))->OpenAttach();
  ASSERT_TRUE(attach.ok());
  EXPECT_FALSE(attach->into.valid());
  EXPECT_EQ(attach->tasks.size(), 9u);
}

TEST_F(V1Test, LimitsAsTheFilesTakeThem) {
  ASSERT_TRUE(driver_
                  ->Create("web", {.memory_bytes = 1000,
                                   .swap_bytes = 24,
                                   .memory_low_bytes = 500,
                                   .cpu_shares = 512,
                                   .cpu_quota_us = 50000,
                                   .cpu_period_us = 200000,
                                   .cpuset_cpus = "0-1",
                                   .pids_max = 100})
                  .ok());
  EXPECT_EQ(host_.Read("memory/noded/web/memory.limit_in_bytes"), "1000");
  EXPECT_EQ(host_.Read("memory/noded/web/memory.memsw.limit_in_bytes"), "1024") << "both together";
  EXPECT_EQ(host_.Read("memory/noded/web/memory.soft_limit_in_bytes"), "500");
  EXPECT_EQ(host_.Read("cpu,cpuacct/noded/web/cpu.shares"), "512");
  EXPECT_EQ(host_.Read("cpu,cpuacct/noded/web/cpu.cfs_period_us"), "200000");
  EXPECT_EQ(host_.Read("cpu,cpuacct/noded/web/cpu.cfs_quota_us"), "50000");
  EXPECT_EQ(host_.Read("pids/noded/web/pids.max"), "100");
  EXPECT_EQ(host_.Read("cpuset/noded/web/cpuset.cpus"), "0-1");
  EXPECT_EQ(host_.Read("cpuset/noded/web/cpuset.mems"), "0") << "a task could not enter without";
}

TEST_F(V1Test, CpusetsAreFilledFromTheirParents) {
  auto nested = host_.Open("v1", "/rack/noded");
  ASSERT_TRUE(nested.ok()) << nested.status();
  ASSERT_TRUE((*nested)->Create("web", {}).ok());
  for (const char* group : {"rack", "rack/noded", "rack/noded/web"}) {
    EXPECT_EQ(host_.Read("cpuset/" + std::string(group) + "/cpuset.cpus"), "0-3") << group;
    EXPECT_EQ(host_.Read("cpuset/" + std::string(group) + "/cpuset.mems"), "0") << group;
  }
  EXPECT_EQ(host_.Read("cpuset/rack/noded/cgroup.clone_children"), "1");
}

TEST_F(V1Test, SwapAloneIsRefused) {
  auto group = driver_->Create("web", {.swap_bytes = 24});
  EXPECT_TRUE(absl::IsInvalidArgument(group.status()));
  EXPECT_EQ(FieldViolationsOf(group.status())[0].field, "limits.memory.swap_bytes");
  EXPECT_THAT(host_.Directories("web"), IsEmpty());
}

TEST_F(V1Test, OomKillsOfGroupsBelowCount) {
  auto group = *driver_->Create("web", {});
  host_.Write("memory/noded/web/a/memory.oom_control", "oom_kill_disable 0\noom_kill 5\n");
  EXPECT_EQ(group->ReadStats()->oom_kills, 7u);
}

TEST_F(V1Test, NoLimitIsNoNumber) {
  auto group = *driver_->Create("web", {});
  host_.Write("memory/noded/web/memory.stat", "hierarchical_memory_limit 9223372036854771712\n");
  EXPECT_EQ(group->ReadStats()->memory_limit_bytes, std::nullopt);
}

TEST_F(V1Test, FreezeAndThaw) {
  auto group = *driver_->Create("web", {});
  EXPECT_TRUE(group->Freeze().ok());
  EXPECT_EQ(host_.Read("freezer/noded/web/freezer.state"), "FROZEN");
  EXPECT_TRUE(group->Thaw().ok());
  EXPECT_EQ(host_.Read("freezer/noded/web/freezer.state"), "THAWED");
}

TEST_F(V1Test, KillLeavesTheGroupThawed) {
  auto group = *driver_->Create("web", {});
  EXPECT_TRUE(group->Freeze().ok());
  EXPECT_TRUE(group->Kill().ok());
  EXPECT_EQ(host_.Read("freezer/noded/web/freezer.state"), "THAWED");
}

TEST_F(V1Test, WhatACrashLeftInSomeHierarchiesIsFoundAndRemoved) {
  ASSERT_TRUE(driver_->Create("web", {}).ok());
  for (const char* gone : {"memory", "freezer", "pids", "cpu,cpuacct"}) {
    host_.RemoveDir(std::string(gone) + "/noded/web");
  }
  EXPECT_THAT(*driver_->List(), ElementsAre("web"));
  auto group = driver_->Open("web");
  ASSERT_TRUE(group.ok()) << group.status();
  EXPECT_TRUE(absl::IsNotFound((*group)->OpenAttach().status())) << "no container may run in half";
  EXPECT_TRUE((*group)->Remove(absl::Seconds(1)).ok());
  EXPECT_THAT(host_.Directories("web"), IsEmpty());
}

TEST(V1MissingController, IsRefusedByFieldBeforeAnythingIsMade) {
  DrawnHost host(R"(
mount memory cgroup rw,memory
new   memory memory.limit_in_bytes
new   memory cgroup.procs
)");
  auto driver = host.Open();
  ASSERT_TRUE(driver.ok()) << driver.status();
  struct {
    Limits limits;
    std::string field;
  } cases[] = {
      {{.pids_max = 1}, "limits.pids"},
      {{.cpu_shares = 2}, "limits.cpu.shares"},
      {{.cpuset_cpus = "0"}, "limits.cpu.cpuset_cpus"},
      {{.devices = {DeviceRule{}}}, "limits.devices"},
  };
  for (const auto& one : cases) {
    auto group = (*driver)->Create("web", one.limits);
    EXPECT_TRUE(absl::IsFailedPrecondition(group.status())) << group.status();
    EXPECT_THAT(std::string(group.status().message()), testing::StartsWith(one.field + ":"));
    EXPECT_EQ(ReasonOf(group.status()), "NOT_SUPPORTED");
  }
  // The controller is there, but this kernel does not account swap.
  auto group = (*driver)->Create("web", {.memory_bytes = 1000, .swap_bytes = 0});
  EXPECT_TRUE(absl::IsFailedPrecondition(group.status())) << group.status();
  EXPECT_THAT(host.Directories("web"), IsEmpty());
}

TEST(Hybrid, GroupIsInTheV2MountTooAndKilledThere) {
  DrawnHost host(std::string(kV1Host) + kUnifiedBeside);
  auto driver = *host.Open();
  auto group = *driver->Create("web", {.memory_bytes = 1000});
  EXPECT_TRUE(host.Exists("unified/noded/web"));
  EXPECT_FALSE(host.Exists("unified/noded/web/payload")) << "without controllers no leaf is needed";
  auto attach = group->OpenAttach();
  ASSERT_TRUE(attach.ok()) << attach.status();
  EXPECT_TRUE(attach->into.valid()) << "the child is made there";
  EXPECT_EQ(attach->tasks.size(), 9u);
  EXPECT_TRUE(group->Freeze().ok());
  EXPECT_EQ(host.Read("unified/noded/web/cgroup.freeze"), "1");
  EXPECT_EQ(host.Read("freezer/noded/web/freezer.state"), "THAWED") << "v1's freezer is left alone";
  EXPECT_TRUE(group->Kill().ok());
  EXPECT_EQ(host.Read("unified/noded/web/cgroup.kill"), "1");
}

TEST(Hybrid, WithoutCgroupKillTheFreezerHelps) {
  std::string old_kernel = std::string(kV1Host) + R"(
mount unified cgroup2 rw
new   unified cgroup.procs
)";
  DrawnHost host(old_kernel);
  auto group = *(*host.Open())->Create("web", {});
  EXPECT_TRUE(group->Freeze().ok());
  EXPECT_EQ(host.Read("freezer/noded/web/freezer.state"), "FROZEN");
  EXPECT_TRUE(group->Kill().ok());
  EXPECT_EQ(host.Read("freezer/noded/web/freezer.state"), "THAWED");
}

}  // namespace
}  // namespace noded::cgroup
