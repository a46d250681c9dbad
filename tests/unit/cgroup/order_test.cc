// The order of writes, in both directions of each change, against the kernel's own rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "cgroup/settings.h"

namespace noded::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Files that refuse what the kernel refuses (kernel/sched/core.c, mm/memcontrol-v1.c).
class KernelFiles {
 public:
  explicit KernelFiles(std::map<std::string, std::string> files) : files_(std::move(files)) {}

  absl::Status Write(const Change& change, const std::string& value) {
    auto next = files_;
    next[change.file] = value;
    if (change.file == fails_) return absl::FailedPreconditionError("told to fail");
    if ((change.file == "cpu.shares" || change.file == "cpu.weight") && files_["cpu.idle"] == "1") {
      return absl::InvalidArgumentError("the group is idle");
    }
    if (change.file == "cpu.idle") {
      if (next.contains("cpu.shares")) next["cpu.shares"] = value == "1" ? "3" : "1024";
      if (next.contains("cpu.weight")) next["cpu.weight"] = value == "1" ? "0" : "100";
    }
    if (!AtMost(next, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes") ||
        !AtMost(next, "cpu.cfs_burst_us", "cpu.cfs_quota_us") ||
        !AtMost(next, "cpu.max.burst", "cpu.max")) {
      return absl::InvalidArgumentError(absl::StrCat(change.file, " = ", value));
    }
    if (next.contains("cpu.cfs_quota_us") && next["cpu.cfs_quota_us"] != "-1" &&
        Share(next) > most_share_ + 1e-9) {
      return absl::InvalidArgumentError("more than the parent");
    }
    files_ = next;
    return absl::OkStatus();
  }

  void LimitShare(double most) { most_share_ = most; }
  void FailAt(const std::string& file) { fails_ = file; }
  static double Share(std::map<std::string, std::string>& files) {
    return static_cast<double>(*LimitNumber(files["cpu.cfs_quota_us"])) /
           static_cast<double>(*LimitNumber(files["cpu.cfs_period_us"]));
  }
  std::map<std::string, std::string> files_;

 private:
  static bool AtMost(std::map<std::string, std::string>& files, const char* low, const char* high) {
    return !files.contains(low) || LimitNumber(files[low]) <= LimitNumber(files[high]);
  }
  double most_share_ = 1e9;
  std::string fails_;
};

std::map<std::string, std::string> FilesOf(const std::vector<Setting>& settings) {
  std::map<std::string, std::string> files;
  for (const Setting& one : settings) {
    if (one.key.empty()) files[one.file] = one.value.value_or(one.initial);
  }
  if (files["cpu.idle"] == "1" && files.contains("cpu.shares")) files["cpu.shares"] = "3";
  if (files["cpu.idle"] == "1" && files.contains("cpu.weight")) files["cpu.weight"] = "0";
  return files;
}

using Version = absl::StatusOr<std::vector<Setting>> (*)(const Limits&);
absl::StatusOr<std::vector<Setting>> V1(const Limits& limits) { return SettingsV1(limits, {}); }
absl::StatusOr<std::vector<Setting>> V2(const Limits& limits) {
  return SettingsV2(limits, {}, false);
}

std::vector<Change> Between(KernelFiles& kernel, const std::vector<Setting>& next) {
  return ChangesBetween(next, [&](const Setting& setting) -> std::optional<std::string> {
    auto it = kernel.files_.find(setting.file);
    if (it == kernel.files_.end()) return std::nullopt;
    return it->second + "\n";
  });
}

// Changes from one to the other as the kernel would let it.
void ExpectMoves(Version version, const Limits& from, const Limits& to, double most_share = 1e9) {
  auto before = version(from), after = version(to);
  ASSERT_TRUE(before.ok()) << before.status();
  ASSERT_TRUE(after.ok()) << after.status();
  KernelFiles kernel(FilesOf(*before));
  kernel.LimitShare(most_share);
  std::vector<Change> changes = Between(kernel, *after);
  auto write = [&](const Change& change, const std::string& value) {
    return kernel.Write(change, value);
  };
  absl::Status moved = ApplyAll(changes, write);
  std::string order;
  for (const Change& one : changes) absl::StrAppend(&order, one.file, " ", one.to, "; ");
  EXPECT_TRUE(moved.ok()) << moved << " in " << order;
  EXPECT_EQ(kernel.files_, FilesOf(*after)) << order;
  EXPECT_THAT(Between(kernel, *after), IsEmpty()) << "a second update has nothing to do";

  // Whichever write fails, what was before is there again.
  for (const Change& failing : changes) {
    KernelFiles again(FilesOf(*before));
    again.LimitShare(most_share);
    again.FailAt(failing.file);
    absl::Status failed = ApplyAll(changes, [&](const Change& change, const std::string& value) {
      return again.Write(change, value);
    });
    EXPECT_TRUE(absl::IsFailedPrecondition(failed)) << failed << " at " << failing.file;
    EXPECT_EQ(again.files_, FilesOf(*before)) << failing.file << " of " << order;
  }
}

void ExpectMovesBothWays(Version version, const Limits& a, const Limits& b,
                         double most_share = 1e9) {
  ExpectMoves(version, a, b, most_share);
  ExpectMoves(version, b, a, most_share);
}

TEST(Order, MemoryAndSwapTogether) {
  for (int64_t memory : {16 << 20, 64 << 20}) {
    for (int64_t swap : {0, 8 << 20, 128 << 20}) {
      for (int64_t other : {16 << 20, 32 << 20, 1 << 30}) {
        Limits a{.memory_bytes = memory, .swap_bytes = swap};
        ExpectMovesBothWays(V1, a, {.memory_bytes = other, .swap_bytes = 4 << 20});
        ExpectMovesBothWays(V1, a, {.memory_bytes = other});
        ExpectMovesBothWays(V2, a, {.memory_bytes = other, .swap_bytes = 4 << 20});
      }
      ExpectMovesBothWays(V1, {}, {.memory_bytes = memory, .swap_bytes = swap});
      ExpectMovesBothWays(V2, {}, {.memory_bytes = memory, .swap_bytes = swap});
    }
  }
}

TEST(Order, BothMemoryLimitsAsTheyAreWritten) {
  auto files = [](const Limits& from, const Limits& to) {
    KernelFiles kernel(FilesOf(*V1(from)));
    std::vector<std::string> order;
    for (const Change& one : Between(kernel, *V1(to))) order.push_back(one.file);
    return order;
  };
  Limits small{.memory_bytes = 16 << 20, .swap_bytes = 0};
  Limits large{.memory_bytes = 64 << 20, .swap_bytes = 0};
  EXPECT_THAT(files(small, large),
              ElementsAre("memory.memsw.limit_in_bytes", "memory.limit_in_bytes"));
  EXPECT_THAT(files(large, small),
              ElementsAre("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"));
}

TEST(Order, QuotaPeriodAndBurstInEveryCombination) {
  std::vector<Limits> all = {{}};
  for (int64_t quota : {5000, 50000, 200000}) {
    for (int64_t period : {10000, 100000, 1000000}) {
      for (int64_t burst : {int64_t{0}, quota / 2, quota}) {
        all.push_back({.cpu_quota_us = quota, .cpu_period_us = period, .cpu_burst_us = burst});
      }
    }
  }
  auto share = [](const Limits& limits) {
    return static_cast<double>(limits.cpu_quota_us.value_or(0)) /
           static_cast<double>(limits.cpu_period_us.value_or(100000));
  };
  for (const Limits& a : all) {
    for (const Limits& b : all) {
      // A parent that has no more than the larger of both.
      ExpectMoves(V1, a, b, std::max(share(a), share(b)));
      ExpectMoves(V2, a, b);
    }
  }
}

TEST(Order, IdleAndShares) {
  for (Version version : {V1, V2}) {
    ExpectMovesBothWays(version, {.cpu_shares = 512}, {.cpu_idle = true});
    ExpectMovesBothWays(version, {}, {.cpu_idle = true});
    ExpectMovesBothWays(version, {.cpu_shares = 512}, {.cpu_shares = 2});
    EXPECT_TRUE(absl::IsInvalidArgument(version({.cpu_shares = 2, .cpu_idle = true}).status()));
  }
}

TEST(Order, EverythingAtOnce) {
  Limits much{.memory_bytes = 1 << 30,
              .swap_bytes = 1 << 30,
              .memory_low_bytes = 64 << 20,
              .cpu_shares = 2048,
              .cpu_quota_us = 100000,
              .cpu_period_us = 100000,
              .cpu_burst_us = 50000,
              .cpuset_cpus = "0",
              .pids_max = 10};
  Limits little{.memory_bytes = 16 << 20,
                .swap_bytes = 0,
                .cpu_quota_us = 1000,
                .cpu_period_us = 50000,
                .cpu_idle = true,
                .cpuset_cpus = "1",
                .pids_max = 5};
  for (Version version : {V1, V2}) {
    ExpectMovesBothWays(version, much, little);
    ExpectMovesBothWays(version, {}, much);
    ExpectMovesBothWays(version, {}, little);
  }
}

TEST(Order, MemoryComesFirst) {
  KernelFiles kernel(FilesOf(*V2({})));
  auto changes = Between(kernel, *V2({.memory_bytes = 1 << 20, .cpu_shares = 2, .pids_max = 5}));
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[0].file, "memory.max") << "what fails most often";
}

TEST(Settings, LinesOfFilesThatHaveALineForEach) {
  Limits limits{.rdma = {{"mlx5_0", 7, std::nullopt}},
                .scalars = {{"sev", 3}},
                .net_class_id = 0x10001,
                .net_priorities = {{"eth0", 5}}};
  std::map<std::string, std::string> written;
  for (const Change& one : InitialChanges(*V1(limits))) written[one.file] = one.Line(one.to);
  EXPECT_EQ(written,
            (std::map<std::string, std::string>{{"rdma.max", "mlx5_0 hca_handle=7 hca_object=max"},
                                                {"misc.max", "sev 3"},
                                                {"net_cls.classid", "65537"},
                                                {"net_prio.ifpriomap", "eth0 5"}}));
  // From files as the kernel shows them to none of it.
  std::map<std::string, std::string> files = {
      {"rdma.max", "mlx4_0 hca_handle=max hca_object=max\nmlx5_0 hca_handle=7 hca_object=max\n"},
      {"misc.max", "sev 3\nsev_es max\n"},
      {"net_prio.ifpriomap", "lo 0\neth0 5\n"}};
  std::vector<std::string> lines;
  for (const Change& one :
       ChangesBetween(*V1({}), [&](const Setting& setting) -> std::optional<std::string> {
         auto it = files.find(setting.file);
         if (it == files.end()) return std::nullopt;
         return it->second;
       })) {
    lines.push_back(one.Line(one.to));
  }
  EXPECT_THAT(lines, ElementsAre("mlx5_0 hca_handle=max hca_object=max", "sev max", "eth0 0"));
}

TEST(Settings, WeightsOfBfq) {
  EXPECT_EQ(BfqWeight(1), 1u);
  EXPECT_EQ(BfqWeight(100), 100u);
  EXPECT_EQ(BfqWeight(10000), 1000u);
  EXPECT_EQ(BfqWeight(5050), 550u);
}

TEST(ApplyAll, SaysWhenItCannotUndo) {
  std::vector<Change> changes = {{"pids", "pids.max", "limits.pids", "", "1", "2"},
                                 {"cpu", "cpu.shares", "limits.cpu.shares", "", "1", "2"}};
  absl::Status status = ApplyAll(changes, [](const Change& change, const std::string& value) {
    if (change.file == "pids.max" && value == "2") return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("no ", change.file));
  });
  EXPECT_TRUE(absl::IsInternal(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no cpu.shares"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("limits.pids: no pids.max"));
}

TEST(LimitNumber, WordsOfNoLimit) {
  EXPECT_EQ(LimitNumber("max"), INT64_MAX);
  EXPECT_EQ(LimitNumber("-1\n"), INT64_MAX);
  EXPECT_EQ(LimitNumber("9223372036854771712\n"), INT64_MAX) << "what v1 shows";
  EXPECT_EQ(LimitNumber("50000 100000"), 50000);
  EXPECT_EQ(LimitNumber("0-3"), std::nullopt);
  EXPECT_EQ(LimitNumber(""), std::nullopt);
}

}  // namespace
}  // namespace noded::cgroup
