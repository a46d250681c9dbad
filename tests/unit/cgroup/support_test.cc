// What of the limits a host keeps, over drawn hosts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cgroup/driver.h"
#include "node/base/status.h"
#include "tests/unit/cgroup/drawn_host.h"

namespace noded::cgroup {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const char kSwap[] = "file proc/swaps Filename Type Size Used Priority|/swap file 1024 0 -2|\n";
const char kNoSwap[] = "file proc/swaps Filename Type Size Used Priority|\n";
const char kBfq[] = "file sys/block/vda/queue/scheduler none [bfq] kyber|\n";
const char kNoScheduler[] = "file sys/block/vda/queue/scheduler [none] bfq kyber|\n";

std::string Fields(const std::vector<Unkept>& unkept) {
  std::string text;
  for (const Unkept& one : unkept) {
    text += one.field + (one.in_part ? " in part" : "") + "\n";
    EXPECT_NE(one.reason, "") << one.field;
    EXPECT_NE(one.remedy, "") << one.field;
  }
  return text;
}

Support Find(const Driver& driver, const std::string& field) {
  for (const Support& one : driver.Enforceable()) {
    if (one.field == field) return one;
  }
  ADD_FAILURE() << "no " << field;
  return {};
}

TEST(Support, SwapNeedsSwap) {
  for (const char* host_picture : {kV1Host, kV2Host}) {
    DrawnHost without(std::string(host_picture) + kNoSwap), with(std::string(host_picture) + kSwap);
    // Files of the parent group, as a kernel makes them there.
    without.Write("memory/noded/memory.memsw.limit_in_bytes", "");
    with.Write("memory/noded/memory.memsw.limit_in_bytes", "");
    without.Write("noded/memory.swap.max", "");
    with.Write("noded/memory.swap.max", "");
    Limits limits{.memory_bytes = 1 << 30, .swap_bytes = 1 << 20};
    auto unkept = (*without.Open())->Unenforceable(limits);
    EXPECT_THAT(Fields(unkept), HasSubstr("limits.memory.swap_bytes\n"));
    EXPECT_THAT(unkept.back().reason, HasSubstr("no swap"));
    EXPECT_THAT(Fields((*with.Open())->Unenforceable(limits)),
                testing::Not(HasSubstr("swap_bytes")));
    limits.swap_bytes = 0;
    EXPECT_THAT(Fields((*without.Open())->Unenforceable(limits)),
                testing::Not(HasSubstr("swap_bytes")))
        << "where there is no swap none is used";
  }
}

TEST(Support, WeightNeedsBfqAlthoughTheFileTakesTheWrite) {
  for (const char* picture : {kV1Host, kV2Host}) {
    DrawnHost none(std::string(picture) + kNoScheduler), bfq(std::string(picture) + kBfq);
    Limits limits{.block_weight = 200};
    EXPECT_EQ(Fields((*none.Open())->Unenforceable(limits)), "limits.block_io.weight\n");
    EXPECT_THAT((*bfq.Open())->Unenforceable(limits), IsEmpty());
    EXPECT_TRUE(Find(**bfq.Open(), "limits.block_io.weight").enforceable);
  }
}

TEST(Support, WritesOnV1AreThrottledInPart) {
  DrawnHost host(kV1Host);
  auto driver = *host.Open();
  host.Write("blkio/noded/blkio.throttle.read_bps_device", "");
  host.Write("blkio/noded/blkio.throttle.write_bps_device", "");
  Limits limits{.block_devices = {{.major = 8, .read_bytes = 5},
                                  {.major = 9, .read_bytes = 5, .write_bytes = 5}}};
  auto unkept = driver->Unenforceable(limits);
  EXPECT_EQ(Fields(unkept), "limits.block_io.devices[1].write_bytes_per_second in part\n");
  Limits stripped = limits;
  StripUnkept(unkept, stripped);
  EXPECT_EQ(stripped.block_devices, limits.block_devices) << "direct writes are throttled";
  EXPECT_FALSE(Find(*driver, "limits.block_io.devices.write_bytes_per_second").enforceable);
}

TEST(Support, LimitsThatOneVersionLacks) {
  DrawnHost v1(kV1Host), v2(kV2Host);
  Limits limits{.memory_high_bytes = 1, .oom_group = true, .net_class_id = 1};
  EXPECT_EQ(Fields((*v1.Open())->Unenforceable(limits)),
            "limits.memory.high_bytes\nlimits.memory.oom_group\nlimits.net_class_id\n");
  v2.Write("noded/memory.high", "max\n");
  v2.Write("noded/memory.oom.group", "0\n");
  EXPECT_EQ(Fields((*v2.Open())->Unenforceable(limits)), "limits.net_class_id\n");
}

TEST(Support, HugePagesOfASizeThatIsNotThere) {
  for (const char* picture : {kV1Host, kV2Host}) {
    DrawnHost host(picture);
    auto unkept = (*host.Open())->Unenforceable({.hugetlb = {{"2MB", 0}, {"3MB", 0}}});
    EXPECT_EQ(Fields(unkept), "limits.hugetlb[1]\n");
    EXPECT_THAT(unkept.at(0).reason, HasSubstr("1GB, 2MB"));
  }
}

TEST(Support, PressureAndPause) {
  DrawnHost v1(kV1Host), hybrid(std::string(kV1Host) + kUnifiedBeside);
  hybrid.Write("unified/noded/cpu.pressure", "");
  EXPECT_FALSE(Find(**v1.Open(), "stats.pressure").enforceable);
  EXPECT_TRUE(Find(**hybrid.Open(), "stats.pressure").enforceable);
  EXPECT_TRUE(Find(**v1.Open(), "pause").enforceable);
}

TEST(Support, DeviceProgramsAreTried) {
  DrawnHost host(kV2Host);
  host.SetDeviceProgramsWork(false);
  Limits limits{.devices = {DeviceRule{}}};
  EXPECT_EQ(Fields((*host.Open())->Unenforceable(limits)), "limits.devices\n");
}

TEST(Unkept, StatusNamesAllAndStripLeavesTheRest) {
  EXPECT_TRUE(UnkeptStatus({}).ok());
  std::vector<Unkept> unkept = {{"limits.cpu.idle", "no file", "a newer kernel"},
                                {"limits.hugetlb[0]", "no such size", "another"},
                                {"limits.hugetlb[2]", "no such size", "another"},
                                {"limits.block_io.devices[0].write_bytes_per_second", "r", "m"}};
  absl::Status status = UnkeptStatus(unkept);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_EQ(ReasonOf(status), "NOT_SUPPORTED");
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("limits.cpu.idle: no file (what would help: a newer kernel)"));
  Limits limits{.cpu_idle = true,
                .pids_max = 3,
                .block_devices = {{.major = 8, .write_bytes = 1}, {.major = 9, .write_bytes = 1}},
                .hugetlb = {{"1KB", 1}, {"2MB", 2}, {"3MB", 3}}};
  StripUnkept(unkept, limits);
  EXPECT_FALSE(limits.cpu_idle);
  EXPECT_EQ(limits.pids_max, 3);
  EXPECT_THAT(limits.hugetlb, testing::ElementsAre(HugetlbLimit{"2MB", 2}));
  EXPECT_THAT(limits.block_devices,
              testing::ElementsAre(BlockDeviceLimit{.major = 9, .write_bytes = 1}));
}

}  // namespace
}  // namespace noded::cgroup
