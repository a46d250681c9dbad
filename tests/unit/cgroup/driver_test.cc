// One suite, run over every driver: what Driver and Group promise whatever the host.
#include "cgroup/driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "absl/time/clock.h"
#include "node/base/status.h"
#include "tests/unit/cgroup/drawn_host.h"

namespace noded::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

struct Case {
  Mode mode;
  std::string picture;
};
void PrintTo(const Case& one, std::ostream* out) { *out << ModeName(one.mode); }

class DriverTest : public testing::TestWithParam<Case> {
 protected:
  DriverTest() : host_(GetParam().picture) {
    auto driver = host_.Open();
    EXPECT_TRUE(driver.ok()) << driver.status();
    driver_ = *std::move(driver);
  }

  std::unique_ptr<Group> Make(const std::string& name, const Limits& limits = {}) {
    auto group = driver_->Create(name, limits);
    EXPECT_TRUE(group.ok()) << group.status();
    return *std::move(group);
  }

  DrawnHost host_;
  std::unique_ptr<Driver> driver_;
};

TEST_P(DriverTest, TellsWhatItIs) {
  EXPECT_EQ(driver_->mode(), GetParam().mode);
  EXPECT_THAT(driver_->controllers(),
              IsSupersetOf({"cpu", "cpuset", "devices", "freezer", "memory", "pids"}));
}

TEST_P(DriverTest, CreateListOpenRemove) {
  EXPECT_THAT(*driver_->List(), IsEmpty());
  EXPECT_TRUE(absl::IsNotFound(driver_->Open("web").status()));
  auto group = Make("web");
  EXPECT_THAT(host_.Directories("web"), Not(IsEmpty()));
  EXPECT_THAT(*driver_->List(), ElementsAre("web"));
  auto opened = driver_->Open("web");
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE((*opened)->Remove(absl::Seconds(1)).ok());
  EXPECT_THAT(host_.Directories("web"), IsEmpty());
  EXPECT_TRUE(group->Remove(absl::Seconds(1)).ok()) << "gone is fine";
  EXPECT_TRUE(absl::IsNotFound(group->ReadStats().status()));
  EXPECT_TRUE(absl::IsNotFound(group->OpenAttach().status()));
}

TEST_P(DriverTest, NameInUseIsRefusedAndKept) {
  auto group = Make("web");
  auto before = host_.Directories("web");
  EXPECT_TRUE(absl::IsAlreadyExists(driver_->Create("web", {}).status()));
  EXPECT_EQ(host_.Directories("web"), before);
}

TEST_P(DriverTest, NamesThatAreNoName) {
  for (std::string name : {"", ".", "..", "a/b", "/a"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(driver_->Create(name, {}).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(driver_->Open(name).status())) << name;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(host_.Open("auto", "relative").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(host_.Open("auto", "/a/../b").status()));
}

TEST_P(DriverTest, CreateIsAllOrNothing) {
  // Whichever mkdir it is that fails.
  for (int nth = 1; nth < 20; ++nth) {
    host_.FailMakeGroup(nth, ENOSPC);
    auto group = driver_->Create("web", {});
    if (group.ok()) {
      EXPECT_GT(nth, 1);
      host_.FailMakeGroup(0, 0);
      return;
    }
    EXPECT_TRUE(absl::IsResourceExhausted(group.status())) << group.status();
    EXPECT_THAT(host_.Directories("web"), IsEmpty()) << "mkdir " << nth;
  }
  FAIL() << "no end of groups made";
}

TEST_P(DriverTest, CheckRefusesWhatCreateWouldAndMakesNothing) {
  EXPECT_TRUE(driver_->Check({.memory_bytes = 64 << 20, .pids_max = 5}).ok());
  absl::Status refused = driver_->Check({.cpu_shares = 5, .cpu_idle = true});
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_EQ(refused, driver_->Create("web", {.cpu_shares = 5, .cpu_idle = true}).status());
  EXPECT_THAT(*driver_->List(), IsEmpty());
}

TEST_P(DriverTest, RemovedParentIsMadeAgain) {
  for (const std::string& parent : host_.Directories("noded")) {
    host_.RemoveDir(parent);
  }
  EXPECT_THAT(*driver_->List(), IsEmpty());
  for (const std::string& parent : host_.Directories("noded")) host_.RemoveDir(parent);
  // Asked before a group is made: what is not there any more is not said to be unknown to the
  // kernel.
  EXPECT_THAT(driver_->Unenforceable({.memory_bytes = 1 << 30, .pids_max = 10}), IsEmpty());
  Make("web");
  EXPECT_THAT(*driver_->List(), ElementsAre("web"));
}

TEST_P(DriverTest, StatsAreTheNumbersInTheFiles) {
  auto stats = Make("web")->ReadStats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->cpu_total_ns, 3'000'000u);
  EXPECT_EQ(stats->cpu_user_ns, 2'000'000u);
  EXPECT_EQ(stats->cpu_system_ns, 1'000'000u);
  EXPECT_EQ(stats->cpu_periods, 10u);
  EXPECT_EQ(stats->cpu_throttled_periods, 4u);
  EXPECT_EQ(stats->cpu_throttled_ns, 5'000'000u);
  EXPECT_EQ(stats->memory_usage_bytes, 10'000u);
  EXPECT_EQ(stats->memory_working_set_bytes, 7'000u);
  EXPECT_EQ(stats->memory_rss_bytes, 6'000u);
  EXPECT_EQ(stats->memory_cache_bytes, 4'000u);
  EXPECT_EQ(stats->memory_swap_bytes, 100u);
  EXPECT_EQ(stats->memory_limit_bytes, 65'536u);
  EXPECT_EQ(stats->memory_peak_bytes, 20'000u);
  EXPECT_EQ(stats->page_faults, 50u);
  EXPECT_EQ(stats->major_page_faults, 5u);
  EXPECT_EQ(stats->oom_kills, 2u);
  EXPECT_EQ(stats->pids_current, 3u);
  EXPECT_EQ(stats->pids_limit, 64u);
  EXPECT_EQ(stats->memory_max_events, 7u);
  bool v2 = GetParam().mode == Mode::kV2;
  EXPECT_EQ(stats->oom_events, v2 ? std::optional<uint64_t>(3) : std::nullopt);
  EXPECT_THAT(stats->block_devices.value(), ElementsAre(BlockStats{8, 0, 512, 1024, 1, 2}));
  EXPECT_THAT(stats->hugetlb.value(),
              UnorderedElementsAre(HugetlbStats{"2MB", 2 << 20}, HugetlbStats{"1GB", 0}));
  std::optional<Pressure> pressure;
  if (GetParam().mode != Mode::kV1) pressure = Pressure{PressureLine{1, 2, 3, 4}, std::nullopt};
  EXPECT_EQ(stats->cpu_pressure, pressure);
  EXPECT_EQ(stats->memory_pressure, pressure);
  EXPECT_EQ(stats->io_pressure, pressure);
}

TEST_P(DriverTest, SamplerHoldsFewDescriptorsAndReadsAgain) {
  auto group = Make("web");
  auto sampler = group->OpenSampler({});
  ASSERT_TRUE(sampler.ok()) << sampler.status();
  auto quiet = group->OpenSampler({.pressure = false});
  ASSERT_TRUE(quiet.ok()) << quiet.status();
  int pressures = GetParam().mode == Mode::kV1 ? 0 : 3;
  EXPECT_EQ((*sampler)->descriptors(), (*quiet)->descriptors() + pressures);
  constexpr int kHugePages = 1;  // of however many sizes
  EXPECT_LE((*sampler)->descriptors(), 14 + kHugePages);
  EXPECT_EQ((*sampler)->Sample()->memory_usage_bytes, 10'000u);
  EXPECT_EQ((*quiet)->Sample()->cpu_pressure, std::nullopt);
  for (const std::string& path : host_.Directories("web")) {
    for (const char* file : {"/memory.usage_in_bytes", "/memory.current"}) {
      if (host_.Exists(path + file)) host_.Write(path + file, "20000\n");
    }
  }
  EXPECT_EQ((*sampler)->Sample()->memory_usage_bytes, 20'000u);
}

TEST_P(DriverTest, WhatIsNotToldIsAbsentAndNotZero) {
  auto group = Make("web");
  for (const std::string& path : host_.Directories("web")) {
    for (const char* file : {"pids.current", "memory.max_usage_in_bytes", "memory.peak"}) {
      if (host_.Exists(path + "/" + file)) host_.Write(path + "/" + file, "");
    }
    if (host_.Exists(path + "/pids.max")) host_.Write(path + "/pids.max", "max\n");
  }
  auto stats = group->ReadStats();
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->pids_current, std::nullopt);
  EXPECT_EQ(stats->pids_limit, std::nullopt) << "no limit";
  EXPECT_EQ(stats->memory_peak_bytes, std::nullopt);
  EXPECT_EQ(stats->memory_usage_bytes, 10'000u);
}

TEST_P(DriverTest, RemovalWaitsForTasksAndIsBounded) {
  auto group = Make("web");
  std::string busy = host_.Directories("web").back();
  host_.Write(busy + "/cgroup.procs", "4194304\n");
  absl::Time start = absl::Now();
  absl::Status removed = group->Remove(absl::Milliseconds(30));
  EXPECT_TRUE(absl::IsDeadlineExceeded(removed)) << removed;
  EXPECT_THAT(removed.message(), HasSubstr("\"web\""));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(30));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  host_.Write(busy + "/cgroup.procs", "");
  EXPECT_TRUE(group->Remove(absl::Seconds(1)).ok());
  EXPECT_THAT(host_.Directories("web"), IsEmpty());
}

TEST_P(DriverTest, GroupsBelowAreRemovedAndTheirTasksListed) {
  auto group = Make("web");
  for (const std::string& path : host_.Directories("web")) {
    host_.Write(path + "/a/cgroup.procs", "");
    host_.Write(path + "/a/b/cgroup.procs", "12\n");
    host_.Write(path + "/c/cgroup.procs", "13\n0\n");
  }
  EXPECT_THAT(*group->Pids(), testing::UnorderedElementsAre(12, 13))
      << "0 is in another pid namespace";
  for (const std::string& path : host_.Directories("web")) {
    host_.Write(path + "/a/b/cgroup.procs", "");
    host_.Write(path + "/c/cgroup.procs", "");
  }
  EXPECT_TRUE(group->Remove(absl::Seconds(1)).ok());
  EXPECT_THAT(host_.Directories("web"), IsEmpty());
}

TEST_P(DriverTest, FreezeReturnsWhenFrozen) {
  auto group = Make("web");
  EXPECT_TRUE(group->Freeze().ok());
}

INSTANTIATE_TEST_SUITE_P(Hosts, DriverTest,
                         testing::Values(Case{Mode::kV1, kV1Host},
                                         Case{Mode::kHybrid, std::string(kV1Host) + kUnifiedBeside},
                                         Case{Mode::kV2, kV2Host}),
                         [](const auto& info) { return std::string(ModeName(info.param.mode)); });

}  // namespace
}  // namespace noded::cgroup
