// Limits proved by their effect on processes, on whichever hierarchy this host has.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cgroup/driver.h"
#include "node/base/file.h"
#include "tests/integration/cgroup/kernel_groups.h"

namespace noded::cgroup {
namespace {

constexpr size_t kMiB = 1 << 20;

int Spin() {
  while (true) {
  }
}

int SpinOnCpu0() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) return 1;
  return Spin();
}

// Touches so many pages of its own; killed on the way where it may not have them.
int Touch(size_t bytes, int flags = 0) {
  auto* memory = static_cast<char*>(
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0));
  if (memory == MAP_FAILED) return 1;
  memset(memory, 1, bytes);
  return 0;
}

class EffectTest : public CgroupTest {
 protected:
  uint64_t CpuNs(const Group& group) {
    auto stats = group.ReadStats();
    EXPECT_TRUE(stats.ok()) << stats.status();
    return stats.ok() ? stats->cpu_total_ns.value_or(0) : 0;
  }
  // Processors used over this time, by the group's own counter.
  double CpusUsed(const Group& group, absl::Duration time) {
    uint64_t before = CpuNs(group);
    absl::Time begin = absl::Now();
    absl::SleepFor(time);
    uint64_t used = CpuNs(group) - before;
    return static_cast<double>(used) / absl::ToDoubleNanoseconds(absl::Now() - begin);
  }
  // The best of three, because others of this host may run for a while.
  void ExpectThreeToOne(const Group& large, const Group& small) {
    std::string seen;
    for (int attempt = 0; attempt < 3; ++attempt) {
      uint64_t large_before = CpuNs(large), small_before = CpuNs(small);
      absl::SleepFor(absl::Seconds(3));
      double ratio = static_cast<double>(CpuNs(large) - large_before) /
                     static_cast<double>(CpuNs(small) - small_before);
      absl::StrAppend(&seen, " ", ratio);
      if (ratio >= 2.25 && ratio <= 3.75) return;
    }
    ADD_FAILURE() << "ratios of processor time:" << seen;
  }
};

#define SKIP_WITHOUT(controller)                                                            \
  if (!Has(controller)) {                                                                   \
    GTEST_SKIP() << "the " << GetParam().name << " driver has no " controller " controller" \
                 << " on this host";                                                        \
  }

TEST_P(EffectTest, AMemoryBombIsKilledAndItsNeighbourNot) {
  SKIP_WITHOUT("memory");
  auto neighbour = Make("neighbour", {.memory_bytes = 32 << 20});
  auto bomb = Make("bomb", {.memory_bytes = 32 << 20});
  ASSERT_NE(neighbour, nullptr);
  ASSERT_NE(bomb, nullptr);
  Payload quiet(*neighbour, [] { return Touch(8 * kMiB) == 0 ? SleepForever() : 1; });
  Payload loud(*bomb, [] { return Touch(256 * kMiB); });
  int status = loud.Wait();
  ASSERT_TRUE(WIFSIGNALED(status)) << "exited with " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(bomb->ReadStats()->oom_kills, 1u);
  EXPECT_GT(bomb->ReadStats()->memory_max_events.value_or(0), 0u);
  EXPECT_EQ(neighbour->ReadStats()->oom_kills, 0u);
  EXPECT_EQ(kill(quiet.pid(), 0), 0);
  EXPECT_THAT(*neighbour->Pids(), testing::ElementsAre(quiet.pid()));
}

TEST_P(EffectTest, AnOomOfAWholeGroupIsOneEventAndManyKills) {
  SKIP_WITHOUT("memory");
  if (driver_->mode() != Mode::kV2) GTEST_SKIP() << "oom_group is a limit of cgroup v2 alone";
  auto group = Make("whole", {.memory_bytes = 32 << 20, .oom_group = true});
  ASSERT_NE(group, nullptr);
  Payload bystander(*group, SleepForever);
  Payload loud(*group, [] { return Touch(256 * kMiB); });
  EXPECT_EQ(WTERMSIG(loud.Wait()), SIGKILL);
  EXPECT_EQ(WTERMSIG(bystander.Wait()), SIGKILL);
  // The first victim may be counted twice (mm/oom_kill.c kills it, and then all of the group).
  EXPECT_GE(group->ReadStats()->oom_kills.value_or(0), 2u);
  EXPECT_EQ(group->ReadStats()->oom_events, 1u);
}

TEST_P(EffectTest, AQuarterOfAProcessor) {
  SKIP_WITHOUT("cpu");
  auto group = Make("quarter", {.cpu_quota_us = 25000, .cpu_period_us = 100000});
  ASSERT_NE(group, nullptr);
  Payload payload(*group, Spin);
  double used = CpusUsed(*group, absl::Seconds(2));
  EXPECT_GE(used, 0.20);
  EXPECT_LE(used, 0.31);
  EXPECT_GT(group->ReadStats()->cpu_throttled_periods.value_or(0), 5u);
}

TEST_P(EffectTest, SharesDivideAProcessorThreeToOne) {
  SKIP_WITHOUT("cpu");
  // What is three times 1024 on v1; on v2 what the curve makes three times the weight of 1024.
  uint64_t more = driver_->mode() == Mode::kV2 ? 4070 : 3072;
  auto large = Make("large", {.cpu_shares = more});
  auto small = Make("small", {.cpu_shares = 1024});
  ASSERT_NE(large, nullptr);
  ASSERT_NE(small, nullptr);
  Payload first(*large, SpinOnCpu0), second(*small, SpinOnCpu0);
  ExpectThreeToOne(*large, *small);
  // The reverse, while both are at work.
  ASSERT_OK(large->Update({.cpu_shares = 1024}, {}));
  ASSERT_OK(small->Update({.cpu_shares = more}, {}));
  ExpectThreeToOne(*small, *large);
}

TEST_P(EffectTest, IdleYieldsToEverybody) {
  SKIP_WITHOUT("cpu");
  auto idle = Make("idle", {.cpu_idle = true});
  auto busy = Make("busy");
  if (idle == nullptr) GTEST_SKIP() << "this kernel has no cpu.idle (Linux 5.15)";
  Payload first(*idle, SpinOnCpu0), second(*busy, SpinOnCpu0);
  uint64_t idle_before = CpuNs(*idle), busy_before = CpuNs(*busy);
  absl::SleepFor(absl::Milliseconds(700));
  EXPECT_LT(CpuNs(*idle) - idle_before, (CpuNs(*busy) - busy_before) / 20);
}

TEST_P(EffectTest, CpusetIsWhatTheProcessSees) {
  SKIP_WITHOUT("cpuset");
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) GTEST_SKIP() << "this host has one processor";
  auto group = Make("pinned", {.cpuset_cpus = "1", .cpuset_mems = "0"});
  ASSERT_NE(group, nullptr);
  Payload payload(*group, SleepForever);
  auto allowed = [&] {
    std::ifstream status(absl::StrCat("/proc/", payload.pid(), "/status"));
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("Cpus_allowed_list:\t")) return line.substr(19);
    }
    return std::string("not told");
  };
  EXPECT_EQ(allowed(), "1");
  ASSERT_OK(group->Update({.cpuset_cpus = "0"}, {}));
  EXPECT_EQ(allowed(), "0");
  ASSERT_OK(group->Update({}, {}));
  EXPECT_EQ(allowed(), absl::StrCat("0-", sysconf(_SC_NPROCESSORS_ONLN) - 1));
}

TEST_P(EffectTest, HugePagesEndAtTheLimit) {
  SKIP_WITHOUT("hugetlb");
  constexpr char kPages[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
  auto before = ReadFileAt(AT_FDCWD, kPages);
  if (!before.ok()) GTEST_SKIP() << "this host has no huge pages of 2 MB";
  std::ofstream(kPages) << "8";
  auto group = Make("huge", {.hugetlb = {{"2MB", 4 << 20}}});
  ASSERT_NE(group, nullptr);
  Payload fits(*group, [] { return Touch(4 * kMiB, MAP_HUGETLB); });
  EXPECT_EQ(fits.Wait(), 0) << "two pages";
  Payload too_many(*group, [] { return Touch(6 * kMiB, MAP_HUGETLB); });
  EXPECT_EQ(WTERMSIG(too_many.Wait()), SIGBUS) << "the third page";
  auto used = [&] {
    for (const HugetlbStats& one :
         group->ReadStats()->hugetlb.value_or(std::vector<HugetlbStats>())) {
      if (one.page_size == "2MB") return one.usage_bytes;
    }
    return uint64_t{0};
  };
  {
    // More and less, while two are in use.
    Payload holder(*group, [] { return Touch(4 * kMiB, MAP_HUGETLB) == 0 ? SleepForever() : 1; });
    for (int i = 0; i < 5000 && used() < 4 * kMiB; ++i) absl::SleepFor(absl::Milliseconds(1));
    EXPECT_EQ(used(), 4 * kMiB);
    EXPECT_EQ(group->Update({.hugetlb = {{"2MB", 6 << 20}}}, {}), absl::OkStatus());
    Payload third(*group, [] { return Touch(2 * kMiB, MAP_HUGETLB); });
    EXPECT_EQ(third.Wait(), 0) << "the limit is raised";
    EXPECT_EQ(group->Update({.hugetlb = {{"2MB", 4 << 20}}}, {}), absl::OkStatus());
    Payload refused(*group, [] { return Touch(2 * kMiB, MAP_HUGETLB); });
    EXPECT_EQ(WTERMSIG(refused.Wait()), SIGBUS) << "and lowered";
  }
  std::ofstream(kPages) << *before;
}

TEST_P(EffectTest, EveryLimitIsEitherKeptOrExplained) {
  for (const Support& one : driver_->Enforceable()) {
    EXPECT_EQ(one.enforceable, one.reason.empty()) << one.field;
    EXPECT_EQ(one.reason.empty(), one.remedy.empty()) << one.field << ": " << one.reason;
  }
}

TEST_P(EffectTest, PressureOfABusyGroupGrows) {
  auto group = Make("pressed");
  ASSERT_NE(group, nullptr);
  auto sampler = group->OpenSampler({});
  ASSERT_OK(sampler);
  if (!(*sampler)->Sample()->cpu_pressure) {
    GTEST_SKIP() << "the " << GetParam().name << " driver is not told pressure on this host";
  }
  Payload first(*group, SpinOnCpu0), second(*group, SpinOnCpu0);
  uint64_t total = 0;
  for (int i = 0; i < 200 && total == 0; ++i) {
    absl::SleepFor(absl::Milliseconds(20));
    total = (*sampler)->Sample()->cpu_pressure->some->total_us;
  }
  EXPECT_GT(total, 0u) << "two processes on one processor";
}

INSTANTIATE_TEST_SUITE_P(Kernel, EffectTest,
                         testing::Values(Choice{"v1_or_hybrid", "v1", true},
                                         Choice{"v2", "v2", true}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace noded::cgroup
