// Swap limits, with swap that the test adds to the host for its time: a file where the disk's file
// system takes one, else a compressed block device in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "cgroup/driver.h"
#include "tests/integration/cgroup/kernel_groups.h"

namespace noded::cgroup {
namespace {

constexpr int64_t kMiB = 1 << 20;

bool Run(const std::string& command) {
  return system(absl::StrCat(command, " >/dev/null 2>&1").c_str()) == 0;  // NOLINT
}

// Swap of 128 MiB while it lives.
class TemporarySwap {
 public:
  TemporarySwap() : path_(absl::StrCat(DiskDirectory(), "/noded-swap-", getpid())) {
    if (!DiskDirectory().empty() &&
        Run(absl::StrCat("umask 077; dd if=/dev/zero bs=1M count=128 of=", path_)) && Enable()) {
      return;
    }
    unlink(path_.c_str());
    path_.clear();
    if (Run("modprobe zram num_devices=1") || access("/dev/zram0", F_OK) == 0) {
      std::ofstream("/sys/block/zram0/disksize") << 128 * kMiB;
      path_ = "/dev/zram0";
      zram_ = Enable();
    }
    if (!zram_) path_.clear();
  }
  ~TemporarySwap() {
    if (path_.empty()) return;
    EXPECT_EQ(swapoff(path_.c_str()), 0) << strerror(errno);
    if (zram_) {
      std::ofstream("/sys/block/zram0/reset") << 1;
    } else {
      unlink(path_.c_str());
    }
  }
  bool works() const { return !path_.empty(); }

 private:
  bool Enable() { return Run(absl::StrCat("mkswap ", path_)) && swapon(path_.c_str(), 0) == 0; }
  std::string path_;
  bool zram_ = false;
};

int Touch(int64_t bytes) {
  auto* memory =
      static_cast<char*>(mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) return 1;
  for (int64_t at = 0; at < bytes; at += 4096) memory[at] = static_cast<char>(at >> 12 | 1);
  return 0;
}

class SwapTest : public CgroupTest {};

TEST_P(SwapTest, IsAloneAndEndsAtItsLimit) {
  if (!Has("memory")) {
    GTEST_SKIP() << "no memory controller for the " << GetParam().name << " driver";
  }
  TemporarySwap swap;
  if (!swap.works()) GTEST_SKIP() << "neither a swap file nor zram can be had on this host";
  Limits limits{.memory_bytes = 32 * kMiB, .swap_bytes = 32 * kMiB};
  EXPECT_TRUE(driver_->Unenforceable(limits).empty()) << "now there is swap";

  auto group = Make("swaps", limits);
  ASSERT_NE(group, nullptr);
  {
    Payload fits(*group, [] { return Touch(48 * kMiB) == 0 ? SleepForever() : 1; });
    uint64_t swapped = 0;
    for (int i = 0; i < 5000 && swapped < 8 * kMiB; ++i) {
      swapped = group->ReadStats()->memory_swap_bytes.value_or(0);
      absl::SleepFor(absl::Milliseconds(2));
    }
    EXPECT_GE(swapped, static_cast<uint64_t>(8 * kMiB)) << "more than the memory";
    // More and less, while some is in use.
    ASSERT_OK(group->Update({.memory_bytes = 32 * kMiB, .swap_bytes = 64 * kMiB}, {}));
    ASSERT_OK(group->Update(limits, {}));
    EXPECT_EQ(group->ReadStats()->oom_kills, 0u);
    // Not by Kill(): what is cloned into a group after cgroup.kill is killed too (Linux 6.18).
  }

  Payload too_much(*group, [] { return Touch(96 * kMiB); });
  EXPECT_EQ(WTERMSIG(too_much.Wait()), SIGKILL) << "memory and swap are both full";

  // Both limits at once, in the order that the kernel takes.
  ASSERT_OK(group->Update({.memory_bytes = 64 * kMiB, .swap_bytes = 64 * kMiB}, {}));
  // The killed one's last pages may still be on their way to the disk, where reclaim gets nothing
  // back for them, and a new one that fits is then killed too.
  int status = -1;
  for (int i = 0; i < 10 && status != 0; ++i) {
    Payload fits_now(*group, [] { return Touch(96 * kMiB); });
    status = fits_now.Wait();
  }
  EXPECT_EQ(status, 0);
  ASSERT_OK(group->Update({.memory_bytes = 32 * kMiB, .swap_bytes = 0}, {}));
  Payload without(*group, [] { return Touch(48 * kMiB); });
  EXPECT_EQ(WTERMSIG(without.Wait()), SIGKILL) << "0 forbids swap";
}

INSTANTIATE_TEST_SUITE_P(Kernel, SwapTest,
                         testing::Values(Choice{"v1_or_hybrid", "v1", true},
                                         Choice{"v2", "v2", true}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace noded::cgroup
