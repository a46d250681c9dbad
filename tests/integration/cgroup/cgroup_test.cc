// Real groups of the running kernel, made by each driver that this host can have. Needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cgroup/driver.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "tests/integration/cgroup/kernel_groups.h"

namespace noded::cgroup {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_P(CgroupTest, LifeOfAGroup) {
  auto group = Make("web");
  ASSERT_NE(group, nullptr);
  EXPECT_THAT(*driver_->List(), ElementsAre("web"));
  Payload payload(*group, SleepForever);
  EXPECT_THAT(*group->Pids(), ElementsAre(payload.pid()));
  ASSERT_OK(group->Kill());
  EXPECT_EQ(WTERMSIG(payload.Wait()), SIGKILL);
  ASSERT_OK(group->Remove(absl::Seconds(5)));
  EXPECT_THAT(Directories("web"), ElementsAre());
  EXPECT_TRUE(absl::IsNotFound(group->ReadStats().status()));
  ASSERT_OK(group->Remove(absl::Seconds(5)));
  EXPECT_TRUE(absl::IsNotFound(driver_->Open("web").status()));
}

TEST_P(CgroupTest, NameInUse) {
  auto group = Make("web");
  EXPECT_TRUE(absl::IsAlreadyExists(driver_->Create("web", {}).status()));
  EXPECT_THAT(Directories("web"), Not(ElementsAre())) << "the first one must survive the refusal";
}

TEST_P(CgroupTest, MemoryLimitKillsAndIsCounted) {
  if (!Has("memory"))
    GTEST_SKIP() << "no memory controller for the " << GetParam().name << " driver";
  auto group = Make("greedy", {.memory_bytes = 32 << 20});
  ASSERT_NE(group, nullptr);
  Payload payload(*group, [] {
    for (int i = 0; i < 96; ++i) {
      void* page = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
      if (page == MAP_FAILED) return 1;
      memset(page, 1, 1 << 20);
    }
    return 0;
  });
  int status = payload.Wait();
  ASSERT_TRUE(WIFSIGNALED(status)) << "exited with " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  auto stats = group->ReadStats();
  ASSERT_OK(stats);
  EXPECT_EQ(stats->oom_kills, 1u);
  EXPECT_EQ(stats->memory_limit_bytes, 32u << 20);
  EXPECT_GT(stats->memory_peak_bytes.value_or(0), 16u << 20);
}

TEST_P(CgroupTest, PidsLimit) {
  if (!Has("pids")) GTEST_SKIP() << "no pids controller for the " << GetParam().name << " driver";
  auto group = Make("bomb", {.pids_max = 4});
  ASSERT_NE(group, nullptr);
  Payload payload(*group, [] {
    int forked = 0;
    while (forked < 20) {
      pid_t pid = fork();
      if (pid == 0) SleepForever();
      if (pid < 0) break;
      ++forked;
    }
    return errno == EAGAIN ? forked : 100;
  });
  int status = payload.Wait();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3) << "forks that succeeded beside the first process";
  EXPECT_EQ(group->ReadStats()->pids_limit, 4u);
  ASSERT_OK(group->Kill());
  ASSERT_OK(group->Remove(absl::Seconds(5)));
}

TEST_P(CgroupTest, FrozenDoesNothingAndCanBeKilled) {
  auto* counter = static_cast<std::atomic<uint64_t>*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  auto group = Make("busy");
  ASSERT_NE(group, nullptr);
  Payload payload(*group, [&] {
    while (true) counter->fetch_add(1);
    return 0;
  });
  while (counter->load() == 0) absl::SleepFor(absl::Milliseconds(1));
  ASSERT_OK(group->Freeze());
  uint64_t before = counter->load();
  absl::SleepFor(absl::Milliseconds(30));
  EXPECT_EQ(counter->load(), before);
  ASSERT_OK(group->Thaw());
  for (int i = 0; i < 1000 && counter->load() == before; ++i) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_GT(counter->load(), before);
  ASSERT_OK(group->Freeze());
  ASSERT_OK(group->Kill());
  EXPECT_EQ(WTERMSIG(payload.Wait()), SIGKILL);
  munmap(counter, 4096);
}

TEST_P(CgroupTest, KillReachesAForkBomb) {
  Limits limits;
  if (Has("pids")) limits.pids_max = 64;
  auto group = Make("bomb", limits);
  ASSERT_NE(group, nullptr);
  Payload payload(*group, [&] {
    signal(SIGCHLD, SIG_IGN);
    // Bounded, for where no pids controller holds it.
    for (int i = 0; i < 200; ++i) {
      if (fork() == 0) absl::SleepFor(absl::Milliseconds(5));
    }
    return 0;
  });
  absl::SleepFor(absl::Milliseconds(20));
  ASSERT_OK(group->Kill());
  ASSERT_OK(group->Remove(absl::Seconds(10)));
}

TEST_P(CgroupTest, RemovalOfABusyGroupNamesWhoIsLeft) {
  auto group = Make("stuck");
  ASSERT_NE(group, nullptr);
  Payload payload(*group, SleepForever);
  absl::Time start = absl::Now();
  absl::Status removed = group->Remove(absl::Milliseconds(50));
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
  EXPECT_TRUE(absl::IsDeadlineExceeded(removed)) << removed;
  EXPECT_THAT(removed.message(), HasSubstr(absl::StrCat("pid ", payload.pid(), " (")));
  EXPECT_THAT(removed.message(), HasSubstr("state S"));
  auto stack = ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", payload.pid(), "/stack"));
  if (stack.ok() && stack->find("pause") != std::string::npos) {
    EXPECT_THAT(removed.message(), HasSubstr("pause")) << "where in the kernel it sleeps";
  }
}

TEST_P(CgroupTest, WhatAPayloadMadeBelowIsRemovedToo) {
  auto group = Make("nested");
  ASSERT_NE(group, nullptr);
  for (const std::string& path : Directories("nested")) {
    ASSERT_OK(MakeDirs(absl::StrCat(path, "/a/b/c")));
    ASSERT_OK(MakeDirs(absl::StrCat(path, "/a/d")));
  }
  ASSERT_OK(group->Remove(absl::Seconds(5)));
  EXPECT_THAT(Directories("nested"), ElementsAre());
}

TEST_P(CgroupTest, DevicesNotAllowedAreDenied) {
  if (!Has("devices")) GTEST_SKIP() << "no device control for the " << GetParam().name << " driver";
  Limits limits;
  limits.devices = {
      {.allow = false},
      {.allow = true, .type = 'c', .access = "m"},
      {.allow = true, .type = 'c', .major = 1, .minor = 3, .access = "rw"},
      {.allow = true, .type = 'c', .major = 1, .minor = 5, .access = "r"},
  };
  auto group = Make("devices", limits);
  ASSERT_NE(group, nullptr);
  Payload payload(*group, [] {
    auto opens = [](const char* path, int flags) {
      int fd = open(path, flags | O_CLOEXEC);
      return fd >= 0 ? 0 : errno;
    };
    if (opens("/dev/null", O_RDWR) != 0) return 1;
    if (opens("/dev/zero", O_RDONLY) != 0) return 2;
    if (opens("/dev/zero", O_RDWR) != EPERM) return 3;
    if (opens("/dev/full", O_RDONLY) != EPERM) return 4;
    return 0;
  });
  EXPECT_EQ(WEXITSTATUS(payload.Wait()), 0);
}

TEST_P(CgroupTest, CpuQuotaThrottles) {
  if (!Has("cpu")) GTEST_SKIP() << "no cpu controller for the " << GetParam().name << " driver";
  auto group = Make("slow", {.cpu_shares = 512, .cpu_quota_us = 5000, .cpu_period_us = 50000});
  ASSERT_NE(group, nullptr);
  Payload payload(*group, [] {
    while (true) {
    }
    return 0;
  });
  absl::SleepFor(absl::Milliseconds(300));
  auto stats = group->ReadStats();
  ASSERT_OK(stats);
  EXPECT_GT(stats->cpu_throttled_periods.value_or(0), 0u);
  EXPECT_GT(stats->cpu_throttled_ns.value_or(0), 0u);
  EXPECT_GT(stats->cpu_total_ns.value_or(0), 1'000'000u);
  EXPECT_LT(stats->cpu_total_ns.value_or(0), 150'000'000u);
}

TEST_P(CgroupTest, RefusedLimitLeavesNothing) {
  if (!Has("cpuset"))
    GTEST_SKIP() << "no cpuset controller for the " << GetParam().name << " driver";
  auto group = driver_->Create("bad", {.cpuset_cpus = "4000"});
  EXPECT_TRUE(absl::IsInvalidArgument(group.status())) << group.status();
  ASSERT_EQ(FieldViolationsOf(group.status()).size(), 1u);
  EXPECT_EQ(FieldViolationsOf(group.status())[0].field, "limits.cpu.cpuset_cpus");
  EXPECT_THAT(Directories("bad"), ElementsAre());
}

TEST_P(CgroupTest, RemovedParentIsMadeAgain) {
  auto group = Make("first");
  ASSERT_NE(group, nullptr);
  ASSERT_OK(group->Remove(absl::Seconds(5)));
  for (const std::string& mount : MountPoints()) {
    rmdir(absl::StrCat(mount, options_.parent).c_str());
  }
  group = Make("second");
  ASSERT_NE(group, nullptr);
  Payload payload(*group, SleepForever);
  EXPECT_THAT(*group->Pids(), ElementsAre(payload.pid()));
}

TEST_P(CgroupTest, AnotherDriverFindsTheGroupAgain) {
  auto group = Make("kept");
  ASSERT_NE(group, nullptr);
  Payload payload(*group, SleepForever);
  auto restarted = OpenDriver(options_);
  ASSERT_OK(restarted);
  EXPECT_THAT(*(*restarted)->List(), Contains("kept"));
  auto found = (*restarted)->Open("kept");
  ASSERT_OK(found);
  EXPECT_THAT(*(*found)->Pids(), ElementsAre(payload.pid()));
  ASSERT_OK((*found)->Kill());
  EXPECT_EQ(WTERMSIG(payload.Wait()), SIGKILL);
  ASSERT_OK((*found)->Remove(absl::Seconds(5)));
}

TEST_P(CgroupTest, ARecreatedGroupIsNotTheOldOne) {
  auto old = Make("web");
  ASSERT_NE(old, nullptr);
  ASSERT_OK(old->Remove(absl::Seconds(5)));
  auto young = Make("web");
  ASSERT_NE(young, nullptr);
  EXPECT_TRUE(absl::IsNotFound(old->ReadStats().status()));
  EXPECT_TRUE(absl::IsNotFound(old->OpenAttach().status()));
  ASSERT_OK(old->Remove(absl::Seconds(5)));
  EXPECT_TRUE(young->ReadStats().ok()) << "the old handle removed the new group";
}

INSTANTIATE_TEST_SUITE_P(Kernel, CgroupTest,
                         testing::Values(Choice{"v1_alone", "v1", false},
                                         Choice{"v1_or_hybrid", "v1", true},
                                         Choice{"v2", "v2", true}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace noded::cgroup
