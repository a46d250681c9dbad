// Limits changed while processes are at work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cgroup/device_program.h"
#include "cgroup/driver.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "tests/integration/cgroup/kernel_groups.h"

namespace noded::cgroup {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMiB = 1 << 20;

// Memory that a child says things in.
struct Board {
  std::atomic<int> asked, answered, result;
};

class UpdateTest : public CgroupTest {
 protected:
  UpdateTest() {
    void* page =
        mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    board_ = new (page) Board{};
  }
  ~UpdateTest() override { munmap(board_, sizeof(Board)); }

  // A child that does this each time it is asked, and tells what came of it.
  std::function<int()> Asked(std::function<int()> act) {
    return [board = board_, act = std::move(act)] {
      while (true) {
        if (board->asked == board->answered) {
          absl::SleepFor(absl::Milliseconds(1));
          continue;
        }
        board->result = act();
        ++board->answered;
      }
      return 0;
    };
  }
  int Ask() {
    int number = ++board_->asked;
    for (int i = 0; i < 10'000 && board_->answered != number; ++i) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_EQ(board_->answered, number) << "no answer";
    return board_->result;
  }

  Board* board_;
};

int OpenError(const char* path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

Limits WithDevice(uint32_t minor) {
  Limits limits;
  limits.devices = {{.type = 'c', .access = "m"}, {.type = 'c', .major = 1, .minor = minor}};
  return limits;
}

TEST_P(UpdateTest, OneDeviceAndThenTheOther) {
  if (!Has("devices")) {
    GTEST_SKIP() << "the " << GetParam().name << " driver has no device control on this host";
  }
  constexpr uint32_t kNull = 3, kZero = 5;
  auto group = Make("devices", WithDevice(kNull));
  ASSERT_NE(group, nullptr);
  Payload payload(*group,
                  Asked([] { return OpenError("/dev/null") * 1000 + OpenError("/dev/zero"); }));
  EXPECT_EQ(Ask(), EPERM) << "null is allowed, zero denied";
  ASSERT_OK(group->Update(WithDevice(kZero), {}));
  EXPECT_EQ(Ask(), EPERM * 1000) << "the reverse";
  // By a process that only knows the group's name, as after a restart.
  ASSERT_OK((*(*OpenDriver(options_))->Open("devices"))->Update(WithDevice(kNull), {}));
  EXPECT_EQ(Ask(), EPERM);
  Limits all;
  all.devices = {DeviceRule{}};
  ASSERT_OK(group->Update(all, {}));
  EXPECT_EQ(Ask(), 0);
}

TEST_P(UpdateTest, DevicesOfGroupsThatThePayloadMade) {
  if (!Has("devices") || driver_->mode() == Mode::kV2) {
    GTEST_SKIP() << "files of the v1 devices controller only";
  }
  constexpr uint32_t kNull = 3, kZero = 5;
  auto group = Make("outer", WithDevice(kNull));
  ASSERT_NE(group, nullptr);
  std::string devices;
  for (const std::string& path : Directories("outer")) {
    if (access(absl::StrCat(path, "/devices.list").c_str(), F_OK) == 0) devices = path;
  }
  ASSERT_EQ(mkdir(absl::StrCat(devices, "/inner").c_str(), 0755), 0);
  ASSERT_OK(group->Update(WithDevice(kZero), {}));
  EXPECT_EQ(*ReadFileAt(AT_FDCWD, absl::StrCat(devices, "/inner/devices.list")),
            *ReadFileAt(AT_FDCWD, absl::StrCat(devices, "/devices.list")));
  Limits all;
  all.devices = {DeviceRule{}};
  absl::Status refused = group->Update(all, {});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
}

TEST_P(UpdateTest, ExactlyOneProgramOfOurs) {
  if (!Has("devices") || driver_->mode() != Mode::kV2) {
    GTEST_SKIP() << "device programs are of the v2 driver";
  }
  auto group = Make("programs", WithDevice(3));
  ASSERT_NE(group, nullptr);
  UniqueFd dir = *OpenAt(AT_FDCWD, Directories("programs").at(0), O_RDONLY | O_DIRECTORY);
  auto count = [&] { return OwnDevicePrograms(dir.get())->size(); };
  EXPECT_EQ(count(), 1u);
  ASSERT_OK(group->Update(WithDevice(5), {}));
  EXPECT_EQ(count(), 1u);
  ASSERT_OK((*(*OpenDriver(options_))->Open("programs"))->Update(WithDevice(3), {}));
  EXPECT_EQ(count(), 1u) << "found by query after a restart";
}

TEST_P(UpdateTest, QuotaOfABusyGroup) {
  if (!Has("cpu")) GTEST_SKIP() << "no cpu controller for the " << GetParam().name << " driver";
  auto group = Make("busy", {.cpu_quota_us = 10000, .cpu_period_us = 100000});
  ASSERT_NE(group, nullptr);
  Payload payload(*group, [] {
    while (true) {
    }
    return 0;
  });
  auto used = [&] {
    uint64_t before = group->ReadStats()->cpu_total_ns.value_or(0);
    absl::SleepFor(absl::Seconds(1));
    return static_cast<double>(group->ReadStats()->cpu_total_ns.value_or(0) - before) / 1e9;
  };
  EXPECT_LT(used(), 0.2);
  ASSERT_OK(group->Update({.cpu_quota_us = 50000, .cpu_period_us = 50000}, {}));
  EXPECT_GT(used(), 0.25) << "ten times the quota";
  ASSERT_OK(
      group->Update({.cpu_quota_us = 5000, .cpu_period_us = 50000, .cpu_burst_us = 1000}, {}));
  EXPECT_LT(used(), 0.2);
  ASSERT_OK(group->Update({}, {}));
  EXPECT_GT(used(), 0.25);
}

TEST_P(UpdateTest, SharesSurviveIdleness) {
  if (!Has("cpu")) GTEST_SKIP() << "no cpu controller for the " << GetParam().name << " driver";
  auto group = Make("idle", {.cpu_shares = 512});
  ASSERT_NE(group, nullptr);
  auto weight = [&] {
    for (const std::string& path : Directories("idle")) {
      for (const char* file : {"/cpu.shares", "/cpu.weight"}) {
        if (auto text = ReadFileAt(AT_FDCWD, path + file); text.ok()) return *text;
      }
    }
    return std::string("no file");
  };
  std::string before = weight();
  absl::Status idle = group->Update({.cpu_idle = true}, {});
  if (ReasonOf(idle) == "NOT_SUPPORTED") GTEST_SKIP() << idle;
  ASSERT_OK(idle);
  EXPECT_NE(weight(), before);
  ASSERT_OK(group->Update({.cpu_shares = 512}, {}));
  EXPECT_EQ(weight(), before) << "the kernel resets it to its default";
  ASSERT_OK(group->Update({.cpu_idle = true}, {}));
  ASSERT_OK(group->Update({}, {}));
  EXPECT_EQ(weight(), driver_->mode() == Mode::kV2 ? "100\n" : "1024\n");
}

TEST_P(UpdateTest, PidsOfABombInFlight) {
  if (!Has("pids")) GTEST_SKIP() << "no pids controller for the " << GetParam().name << " driver";
  auto group = Make("forks", {.pids_max = 3});
  ASSERT_NE(group, nullptr);
  Payload payload(*group, Asked([] {
    pid_t pid = fork();
    if (pid == 0) SleepForever();
    return pid < 0 ? errno : 0;
  }));
  EXPECT_EQ(Ask(), 0);
  EXPECT_EQ(Ask(), 0);
  EXPECT_EQ(Ask(), EAGAIN);
  ASSERT_OK(group->Update({.pids_max = 4}, {}));
  EXPECT_EQ(Ask(), 0);
  EXPECT_EQ(Ask(), EAGAIN);
  ASSERT_OK(group->Update({.pids_max = 1}, {}));
  EXPECT_EQ(Ask(), EAGAIN) << "nobody is killed for it";
  EXPECT_EQ(group->Pids()->size(), 4u);
  ASSERT_OK(group->Kill());
}

TEST_P(UpdateTest, MemoryInUseIsInTheWayAndNobodyDies) {
  if (!Has("memory")) {
    GTEST_SKIP() << "no memory controller for the " << GetParam().name << " driver";
  }
  auto group = Make("full", {.memory_bytes = 64 * kMiB});
  ASSERT_NE(group, nullptr);
  Payload payload(*group, Asked([] {
    void* memory = mmap(nullptr, 32 * kMiB, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory == MAP_FAILED ? 1 : 0;
  }));
  ASSERT_EQ(Ask(), 0);
  for (bool force : {false, true}) {
    absl::Status refused =
        group->Update({.memory_bytes = 16 * kMiB, .pids_max = 100}, {.force = force});
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("16777216 bytes is less than the"));
    EXPECT_EQ(group->ReadStats()->memory_limit_bytes, static_cast<uint64_t>(64 * kMiB));
    EXPECT_EQ(group->ReadStats()->oom_kills, 0u);
    EXPECT_EQ(*group->frozen(), false);
  }
  ASSERT_OK(group->Update({.memory_bytes = 48 * kMiB}, {}));
  EXPECT_EQ(group->ReadStats()->memory_limit_bytes, static_cast<uint64_t>(48 * kMiB));
  ASSERT_OK(group->Update({.memory_bytes = 128 * kMiB}, {}));
  EXPECT_EQ(Ask(), 0) << "there is room again";
  EXPECT_EQ(group->ReadStats()->oom_kills, 0u);
}

TEST_P(UpdateTest, ForcedReclaimsThePageCache) {
  if (!Has("memory")) {
    GTEST_SKIP() << "no memory controller for the " << GetParam().name << " driver";
  }
  if (DiskDirectory().empty()) GTEST_SKIP() << "no directory on a disk";
  auto group = Make("cache", {.memory_bytes = 128 * kMiB});
  ASSERT_NE(group, nullptr);
  std::string path = absl::StrCat(DiskDirectory(), "/noded-cache-", getpid());
  Payload payload(*group, [&] {
    std::string block(kMiB, 'x');
    int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    for (int i = 0; i < 48; ++i) {
      if (write(fd, block.data(), block.size()) < 0) return 1;
    }
    return fsync(fd) == 0 ? SleepForever() : 1;
  });
  for (int i = 0; i < 5000; ++i) {
    auto stats = group->ReadStats();
    if (stats->memory_usage_bytes.value_or(0) > 40u * kMiB) break;
    absl::SleepFor(absl::Milliseconds(2));
  }
  absl::Status forced = group->Update({.memory_bytes = 16 * kMiB}, {.force = true});
  unlink(path.c_str());
  ASSERT_OK(forced);
  EXPECT_EQ(group->ReadStats()->memory_limit_bytes, static_cast<uint64_t>(16 * kMiB));
  EXPECT_EQ(group->ReadStats()->oom_kills, 0u);
}

TEST_P(UpdateTest, AFailedPartRollsBack) {
  if (!Has("memory") || !(Has("blkio") || Has("io"))) {
    GTEST_SKIP() << "no memory or block io controller for the " << GetParam().name << " driver";
  }
  auto group = Make("undone", {.memory_bytes = 64 * kMiB, .pids_max = 9});
  ASSERT_NE(group, nullptr);
  absl::Status refused = group->Update({.memory_bytes = 96 * kMiB,
                                        .pids_max = 10,
                                        .block_devices = {{.major = 999, .read_bytes = 1}}},
                                       {});
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_THAT(FieldViolationsOf(refused).at(0).field, HasSubstr("limits.block_io.devices"));
  EXPECT_EQ(group->ReadStats()->memory_limit_bytes, static_cast<uint64_t>(64 * kMiB));
  EXPECT_EQ(group->ReadStats()->pids_limit, 9u);
}

INSTANTIATE_TEST_SUITE_P(Kernel, UpdateTest,
                         testing::Values(Choice{"v1_or_hybrid", "v1", true},
                                         Choice{"v2", "v2", true}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace noded::cgroup
