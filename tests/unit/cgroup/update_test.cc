// Updates of a group, over every driver.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cgroup/driver.h"
#include "node/base/status.h"
#include "tests/unit/cgroup/drawn_host.h"

namespace noded::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int64_t kMiB = 1 << 20;

struct Case {
  Mode mode;
  std::string picture;
};
void PrintTo(const Case& one, std::ostream* out) { *out << ModeName(one.mode); }

class UpdateTest : public testing::TestWithParam<Case> {
 protected:
  UpdateTest() : host_(GetParam().picture), driver_(*host_.Open()) {}

  bool v2() const { return GetParam().mode == Mode::kV2; }
  // Content of the group's file, by its name on v1 or on v2, without the newline that a file has
  // until it is written.
  std::string File(const std::string& v1_name, const std::string& v2_name) const {
    std::string content = host_.Read(Path(v1_name, v2_name));
    if (!content.empty() && content.back() == '\n') content.pop_back();
    return content;
  }
  std::string Path(const std::string& v1_name, const std::string& v2_name) const {
    for (const std::string& dir : host_.Directories("web")) {
      std::string path = dir + "/" + (v2() ? v2_name : v1_name);
      if (host_.Exists(path)) return path;
    }
    ADD_FAILURE() << "no file " << v1_name << " or " << v2_name;
    return "";
  }

  DrawnHost host_;
  std::unique_ptr<Driver> driver_;
};

TEST_P(UpdateTest, WritesWhatDiffersAndTakesBackWhatIsAbsent) {
  auto group = *driver_->Create("web", {.memory_bytes = 64 * kMiB, .cpu_shares = 2});
  ASSERT_TRUE(group
                  ->Update({.memory_bytes = 128 * kMiB,
                            .cpu_quota_us = 50000,
                            .cpu_burst_us = 10000,
                            .pids_max = 7,
                            .hugetlb = {{"2MB", 4 * kMiB}}},
                           {})
                  .ok());
  EXPECT_EQ(File("memory.limit_in_bytes", "memory.max"), "134217728");
  EXPECT_EQ(File("cpu.shares", "cpu.weight"), v2() ? "100" : "1024") << "as a new group has";
  EXPECT_EQ(File("cpu.cfs_quota_us", "cpu.max"), v2() ? "50000 100000" : "50000");
  EXPECT_EQ(File("cpu.cfs_burst_us", "cpu.max.burst"), "10000");
  EXPECT_EQ(File("pids.max", "pids.max"), "7");
  EXPECT_EQ(File("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"), "4194304");
  absl::Status updated = group->Update({}, {});
  ASSERT_TRUE(updated.ok()) << updated;
  EXPECT_EQ(File("memory.limit_in_bytes", "memory.max"), v2() ? "max" : "-1");
  EXPECT_THAT(File("cpu.cfs_quota_us", "cpu.max"), StartsWith(v2() ? "max 100000" : "-1"));
  EXPECT_EQ(File("pids.max", "pids.max"), "max");
}

TEST_P(UpdateTest, OfAGroupFoundAgainAfterARestart) {
  ASSERT_TRUE(driver_->Create("web", {.cpu_quota_us = 50000, .pids_max = 9}).ok());
  auto again = *(*host_.Open())->Open("web");
  ASSERT_TRUE(again->Update({.cpu_quota_us = 50000, .pids_max = 10}, {}).ok());
  EXPECT_EQ(File("pids.max", "pids.max"), "10");
  EXPECT_THAT(File("cpu.cfs_quota_us", "cpu.max"), StartsWith("50000"));
}

TEST_P(UpdateTest, AllOrNothing) {
  auto group = *driver_->Create("web", {.memory_bytes = 64 * kMiB, .pids_max = 9});
  std::string memory = File("memory.limit_in_bytes", "memory.max");
  // A directory in the place of a file: no write gets through.
  std::string broken = Path("pids.max", "pids.max");
  host_.RemoveDir(broken);
  host_.MakeDir(broken);
  absl::Status status = group->Update(
      {.memory_bytes = 128 * kMiB, .cpu_shares = 2, .cpu_quota_us = 5000, .pids_max = 1}, {});
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("limits.pids"));
  EXPECT_EQ(File("memory.limit_in_bytes", "memory.max"), memory);
  EXPECT_EQ(File("cpu.shares", "cpu.weight"), v2() ? "100" : "1024");
  EXPECT_THAT(File("cpu.cfs_quota_us", "cpu.max"), StartsWith(v2() ? "max" : "-1"));
}

TEST_P(UpdateTest, ContradictionsChangeNothing) {
  auto group = *driver_->Create("web", {.pids_max = 9});
  struct {
    Limits limits;
    std::string field;
  } cases[] = {
      {{.cpu_shares = 5, .cpu_idle = true, .pids_max = 1}, "limits.cpu.idle"},
      {{.cpu_quota_us = 5000, .cpu_burst_us = 5001, .pids_max = 1}, "limits.cpu.burst_us"},
      {{.cpu_burst_us = 1, .pids_max = 1}, "limits.cpu.burst_us"},
      {{.pids_max = 1, .block_devices = {{.major = 8}, {.major = 8}}},
       "limits.block_io.devices[1]"},
  };
  for (const auto& one : cases) {
    absl::Status status = group->Update(one.limits, {});
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(FieldViolationsOf(status).at(0).field, one.field);
    EXPECT_EQ(File("pids.max", "pids.max"), "9");
  }
}

TEST_P(UpdateTest, BlockDevicesComeAndGo) {
  auto group = *driver_->Create("web", {.block_devices = {{.major = 8, .read_bytes = 5}}});
  EXPECT_EQ(File("blkio.throttle.read_bps_device", "io.max"),
            v2() ? "8:0 rbps=5 wbps=max riops=max wiops=max" : "8:0 5");
  // Another disk: the first one's rate goes back to none, which is what a drawn file shows last.
  ASSERT_TRUE(
      group->Update({.block_devices = {{.major = 8, .minor = 16, .read_bytes = 6}}}, {}).ok());
  EXPECT_EQ(File("blkio.throttle.read_bps_device", "io.max").substr(0, 4), "8:0 ");
  EXPECT_THAT(File("blkio.throttle.read_bps_device", "io.max"),
              HasSubstr(v2() ? "rbps=max wbps=max riops=max wiops=max" : "8:0 0"));
}

TEST_P(UpdateTest, LimitsOfWhichTheControllerIsMissing) {
  auto group = *driver_->Create("web", {.pids_max = 9});
  absl::Status status = group->Update({.pids_max = 8, .rdma = {{"mlx5_0", 1, 1}}}, {});
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), StartsWith("limits.rdma:"));
  EXPECT_EQ(ReasonOf(status), "NOT_SUPPORTED");
  EXPECT_EQ(File("pids.max", "pids.max"), "9");
}

TEST_P(UpdateTest, FrozenIsTold) {
  auto group = *driver_->Create("web", {});
  EXPECT_EQ(*group->frozen(), false);
  ASSERT_TRUE(group->Freeze().ok());
  EXPECT_EQ(*group->frozen(), true);
  EXPECT_EQ(*(*(*host_.Open())->Open("web"))->frozen(), true) << "found again after a crash";
}

INSTANTIATE_TEST_SUITE_P(Hosts, UpdateTest,
                         testing::Values(Case{Mode::kV1, kV1Host},
                                         Case{Mode::kHybrid, std::string(kV1Host) + kUnifiedBeside},
                                         Case{Mode::kV2, kV2Host}),
                         [](const auto& info) { return std::string(ModeName(info.param.mode)); });

TEST(V2Update, MemoryBelowUseIsRefusedBecauseTheWriteWouldKill) {
  DrawnHost host(kV2Host);
  auto group = *(*host.Open())->Create("web", {.memory_bytes = 64 * kMiB});
  host.Write("noded/web/memory.current", "20971520\n");
  absl::Status refused = group->Update({.memory_bytes = 16 * kMiB}, {});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("limits.memory.max_bytes: 16777216 bytes is less than the 20971520 bytes"));
  EXPECT_EQ(host.Read("noded/web/memory.max"), "67108864");
  absl::Status forced = group->Update({.memory_bytes = 16 * kMiB}, {.force = true});
  EXPECT_TRUE(absl::IsFailedPrecondition(forced)) << forced;
  EXPECT_EQ(host.Read("noded/web/memory.reclaim"), "4194304") << "what is too much";
  EXPECT_EQ(host.Read("noded/web/memory.max"), "67108864") << "never killed to get there";
  host.Write("noded/web/memory.current", "1000\n");
  EXPECT_TRUE(group->Update({.memory_bytes = 16 * kMiB}, {}).ok());
  EXPECT_EQ(host.Read("noded/web/memory.max"), "16777216");
}

TEST(V2Update, DevicesAreReplaced) {
  DrawnHost host(kV2Host);
  auto group = *(*host.Open())->Create("web", {.devices = {DeviceRule{}}});
  DeviceRule null{.type = 'c', .major = 1, .minor = 3};
  ASSERT_TRUE(group->Update({.devices = {null}}, {}).ok());
  EXPECT_THAT(host.attached().at("noded/web"), ElementsAre(null));
  ASSERT_TRUE(group->Update({.pids_max = 3}, {}).ok());
  EXPECT_THAT(host.attached().at("noded/web"), ElementsAre(null)) << "left alone";
}

TEST(V2Update, ACpusetWithTasksIsNeverEmptiedAgain) {
  DrawnHost host(kV2Host);
  host.Write("noded/cpuset.cpus.effective", "0-3\n");
  auto group = *(*host.Open())->Create("web", {.cpuset_cpus = "1"});
  ASSERT_TRUE(group->Update({}, {}).ok());
  EXPECT_EQ(host.Read("noded/web/cpuset.cpus"), "0-3") << "empty would be ENOSPC";
  auto free = *(*host.Open())->Create("free", {});
  ASSERT_TRUE(free->Update({.pids_max = 5}, {}).ok());
  EXPECT_EQ(host.Read("noded/free/cpuset.cpus"), "") << "it was never limited";
}

TEST(V1Update, CpusetBeyondTheParentIsRefusedWithTheRange) {
  DrawnHost host(kV1Host);
  auto group = *(*host.Open())->Create("web", {.pids_max = 3});
  absl::Status refused = group->Update({.cpuset_cpus = "2-4", .pids_max = 5}, {});
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_EQ(FieldViolationsOf(refused).at(0),
            (FieldViolation{"limits.cpu.cpuset_cpus", "\"2-4\" must be within \"0-3\""}));
  EXPECT_EQ(host.Read("pids/noded/web/pids.max"), "3");
}

TEST(V1Update, CpusetGoesBackToTheParents) {
  DrawnHost host(kV1Host);
  auto group = *(*host.Open())->Create("web", {.cpuset_cpus = "1"});
  ASSERT_TRUE(group->Update({}, {}).ok());
  EXPECT_EQ(host.Read("cpuset/noded/web/cpuset.cpus"), "0-3");
}

}  // namespace
}  // namespace noded::cgroup
