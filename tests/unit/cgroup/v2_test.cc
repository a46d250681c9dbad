#include "cgroup/v2.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/base/status.h"
#include "tests/unit/cgroup/drawn_host.h"

namespace noded::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST(V2, LimitsAreAboveTheLeafThatHoldsThePayload) {
  DrawnHost host(kV2Host);
  auto driver = *host.Open();
  EXPECT_THAT(driver->controllers(), ElementsAre("cpu", "cpuset", "devices", "freezer", "hugetlb",
                                                 "io", "memory", "pids"));
  auto group = *driver->Create("web", {.memory_bytes = 1'000'000,
                                       .swap_bytes = 24,
                                       .memory_low_bytes = 8192,
                                       .cpu_shares = 2,
                                       .cpu_quota_us = 50000,
                                       .cpuset_cpus = "0-1",
                                       .cpuset_mems = "0",
                                       .pids_max = 100});
  EXPECT_EQ(host.Read("noded/web/memory.max"), "1000000");
  EXPECT_EQ(host.Read("noded/web/memory.swap.max"), "24") << "swap alone";
  EXPECT_EQ(host.Read("noded/web/memory.low"), "8192");
  EXPECT_EQ(host.Read("noded/web/cpu.weight"), "1");
  EXPECT_EQ(host.Read("noded/web/cpu.max"), "50000 100000");
  EXPECT_EQ(host.Read("noded/web/cpuset.cpus"), "0-1");
  EXPECT_EQ(host.Read("noded/web/cpuset.mems"), "0");
  EXPECT_EQ(host.Read("noded/web/pids.max"), "100");
  EXPECT_EQ(host.Read("noded/web/cgroup.subtree_control"),
            "+cpuset +cpu +hugetlb +io +memory +pids");
  EXPECT_EQ(host.Read("noded/web/payload/cpu.weight"), "100\n") << "no limit there";
  auto attach = group->OpenAttach();
  ASSERT_TRUE(attach.ok());
  EXPECT_TRUE(attach->into.valid());
  EXPECT_THAT(attach->tasks, IsEmpty());
}

TEST(V2, ControllersAreEnabledFromTheRootDown) {
  DrawnHost host(kV2Host);
  auto driver = host.Open("auto", "/rack/noded");
  ASSERT_TRUE(driver.ok()) << driver.status();
  // The last one written; those that were on already (memory, pids) are not written again.
  EXPECT_THAT(host.Read("cgroup.subtree_control"), StartsWith("+rdma"));
  EXPECT_THAT(host.Read("rack/cgroup.subtree_control"), StartsWith("+pids"));
  EXPECT_THAT(host.Read("rack/noded/cgroup.subtree_control"), StartsWith("+pids"));
}

TEST(V2, PeriodWithoutQuota) {
  DrawnHost host(kV2Host);
  host.Write("noded/cgroup.controllers", "cpu\n");
  host.Write("noded/cgroup.subtree_control", "cpu\n");
  ASSERT_TRUE((*host.Open())->Create("web", {.cpu_period_us = 50000}).ok());
  EXPECT_EQ(host.Read("noded/web/cpu.max"), "max 50000");
}

TEST(V2, DevicesAreAProgramOnTheGroupAboveTheLeaf) {
  DrawnHost host(kV2Host);
  std::vector<DeviceRule> rules = {{.allow = false},
                                   {.allow = true, .type = 'c', .major = 1, .minor = 3}};
  ASSERT_TRUE((*host.Open())->Create("web", {.devices = rules}).ok());
  EXPECT_THAT(host.attached(), ElementsAre(testing::Pair("noded/web", rules)));
  host.SetDeviceProgramsWork(false);
  auto group = (*host.Open())->Create("other", {.devices = rules});
  EXPECT_TRUE(absl::IsFailedPrecondition(group.status()));
  EXPECT_THAT(std::string(group.status().message()), StartsWith("limits.devices:"));
  EXPECT_THAT(host.Directories("other"), IsEmpty());
}

TEST(V2, MissingControllerIsRefusedByField) {
  DrawnHost host(R"(
mount . cgroup2 rw
file  cgroup.controllers memory|
file  cgroup.subtree_control memory|
new   . cgroup.controllers memory|
new   . cgroup.subtree_control memory
new   . cgroup.procs
)");
  auto driver = host.Open();
  ASSERT_TRUE(driver.ok()) << driver.status();
  auto group = (*driver)->Create("web", {.pids_max = 1});
  EXPECT_TRUE(absl::IsFailedPrecondition(group.status()));
  EXPECT_THAT(std::string(group.status().message()), StartsWith("limits.pids:"));
  EXPECT_THAT(host.Directories("web"), IsEmpty());
  // The controller is there, but a file of it is not.
  group = (*driver)->Create("web", {.memory_bytes = 1000});
  EXPECT_TRUE(absl::IsFailedPrecondition(group.status()));
  EXPECT_THAT(host.Directories("web"), IsEmpty());
}

TEST(V2, KillAndFreezeAreWrittenToTheGroup) {
  DrawnHost host(kV2Host);
  auto group = *(*host.Open())->Create("web", {});
  EXPECT_TRUE(group->Freeze().ok());
  EXPECT_EQ(host.Read("noded/web/cgroup.freeze"), "1");
  host.Write("noded/web/cgroup.events", "populated 1\nfrozen 0\n");
  EXPECT_TRUE(group->Thaw().ok());
  EXPECT_EQ(host.Read("noded/web/cgroup.freeze"), "0");
  EXPECT_TRUE(group->Kill().ok());
  EXPECT_EQ(host.Read("noded/web/cgroup.kill"), "1");
}

TEST(V2, FreezeThatDoesNotComeIsTakenBack) {
  DrawnHost host(kV2Host);
  auto group = *(*host.Open())->Create("web", {});
  host.Write("noded/web/cgroup.events", "populated 1\nfrozen 0\n");
  EXPECT_TRUE(absl::IsDeadlineExceeded(group->Freeze()));
  EXPECT_EQ(host.Read("noded/web/cgroup.freeze"), "0");
}

}  // namespace
}  // namespace noded::cgroup
