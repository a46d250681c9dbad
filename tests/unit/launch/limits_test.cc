#include <sys/stat.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/launch/plan.h"
#include "tests/unit/launch/specs.h"

namespace noded::launch {
namespace {

using cgroup::DeviceRule;
using testing::ElementsAre;

// Whether the rules allow `access` to a device: the last match wins.
bool Allowed(const cgroup::Limits& limits, char type, uint32_t major, uint32_t minor, char access) {
  bool allowed = false;
  for (const DeviceRule& rule : limits.devices) {
    if (rule.type != 'a' && rule.type != type) continue;
    if (rule.major && *rule.major != major) continue;
    if (rule.minor && *rule.minor != minor) continue;
    if (rule.access.find(access) != std::string::npos) allowed = rule.allow;
  }
  return allowed;
}

TEST(CompileLimits, NothingAskedForIsNothingLimited) {
  cgroup::Limits limits = CompileLimits(MinimalSpec(), {});
  EXPECT_EQ(limits.memory_bytes, std::nullopt);
  EXPECT_EQ(limits.swap_bytes, std::nullopt);
  EXPECT_EQ(limits.memory_low_bytes, std::nullopt);
  EXPECT_EQ(limits.cpu_shares, std::nullopt);
  EXPECT_EQ(limits.cpu_quota_us, std::nullopt);
  EXPECT_EQ(limits.cpu_period_us, std::nullopt);
  EXPECT_EQ(limits.cpuset_cpus, std::nullopt);
  EXPECT_EQ(limits.cpuset_mems, std::nullopt);
  EXPECT_EQ(limits.pids_max, std::nullopt);
}

TEST(CompileLimits, EveryField) {
  node::v1::ContainerSpec spec = MinimalSpec();
  node::v1::MemoryLimits* memory = spec.mutable_limits()->mutable_memory();
  memory->set_max_bytes(64 << 20);
  memory->set_swap_bytes(0);
  memory->set_reservation_bytes(32 << 20);
  node::v1::CpuLimits* cpu = spec.mutable_limits()->mutable_cpu();
  cpu->set_shares(512);
  cpu->set_quota_us(150000);
  cpu->set_period_us(50000);
  cpu->set_cpuset_cpus("0-1");
  cpu->set_cpuset_mems("0");
  memory->set_high_bytes(48 << 20);
  memory->set_oom_group(true);
  cpu->set_burst_us(20000);
  node::v1::Limits& more = *spec.mutable_limits();
  more.set_pids(100);
  more.mutable_block_io()->set_weight(300);
  node::v1::BlockIoDeviceLimit* disk = more.mutable_block_io()->add_devices();
  disk->set_device("/dev/vda");
  disk->set_read_bytes_per_second(1000);
  disk->set_write_operations_per_second(20);
  more.add_hugetlb()->set_page_size("2MB");
  more.mutable_hugetlb(0)->set_max_bytes(4 << 20);
  more.add_rdma()->set_device("mlx5_0");
  more.mutable_rdma(0)->set_hca_handles(7);
  more.add_misc()->set_resource("sev");
  more.mutable_misc(0)->set_max(3);
  more.set_net_class_id(0x10001);
  more.add_net_priorities()->set_interface("eth0");
  more.mutable_net_priorities(0)->set_priority(5);
  cgroup::Limits limits = CompileLimits(spec, {}, {{254, 0}});
  EXPECT_EQ(limits.memory_bytes, 64 << 20);
  EXPECT_EQ(limits.swap_bytes, 0) << "0 forbids, absent does not limit";
  EXPECT_EQ(limits.memory_low_bytes, 32 << 20);
  EXPECT_EQ(limits.cpu_shares, 512u);
  EXPECT_EQ(limits.cpu_quota_us, 150000);
  EXPECT_EQ(limits.cpu_period_us, 50000);
  EXPECT_EQ(limits.cpuset_cpus, "0-1");
  EXPECT_EQ(limits.cpuset_mems, "0");
  EXPECT_EQ(limits.pids_max, 100);
  EXPECT_EQ(limits.memory_high_bytes, 48 << 20);
  EXPECT_TRUE(limits.oom_group);
  EXPECT_EQ(limits.cpu_burst_us, 20000);
  EXPECT_FALSE(limits.cpu_idle);
  EXPECT_EQ(limits.block_weight, 300u);
  EXPECT_THAT(limits.block_devices,
              ElementsAre(cgroup::BlockDeviceLimit{
                  .major = 254, .minor = 0, .read_bytes = 1000, .write_operations = 20}));
  EXPECT_THAT(limits.hugetlb, ElementsAre(cgroup::HugetlbLimit{"2MB", 4 << 20}));
  EXPECT_THAT(limits.rdma, ElementsAre(cgroup::RdmaLimit{"mlx5_0", 7, std::nullopt}));
  EXPECT_THAT(limits.scalars, ElementsAre(cgroup::ScalarLimit{"sev", 3}));
  EXPECT_EQ(limits.net_class_id, 0x10001u);
  EXPECT_THAT(limits.net_priorities, ElementsAre(cgroup::InterfacePriority{"eth0", 5}));
}

TEST(CompileLimits, DevicesOfEveryContainer) {
  cgroup::Limits limits = CompileLimits(MinimalSpec(), {});
  for (uint32_t minor : {3, 5, 7, 8, 9}) {
    EXPECT_TRUE(Allowed(limits, 'c', 1, minor, 'r')) << "1:" << minor;
    EXPECT_TRUE(Allowed(limits, 'c', 1, minor, 'w')) << "1:" << minor;
  }
  for (uint32_t minor : {0, 1, 2}) EXPECT_TRUE(Allowed(limits, 'c', 5, minor, 'w'));
  EXPECT_TRUE(Allowed(limits, 'c', 136, 17, 'w')) << "pts/17";
  EXPECT_FALSE(Allowed(limits, 'c', 1, 1, 'r')) << "mem";
  EXPECT_FALSE(Allowed(limits, 'b', 8, 0, 'r')) << "sda";
  EXPECT_TRUE(Allowed(limits, 'b', 8, 0, 'm')) << "a node that cannot be opened";
  EXPECT_FALSE(Allowed(limits, 'b', 1, 3, 'r')) << "null is a character device";
}

TEST(CompileLimits, DevicesAskedFor) {
  cgroup::Limits limits = CompileLimits(
      MinimalSpec(), {{.mode = S_IFBLK | 0660, .major = 8, .minor = 1, .permissions = "r"},
                      {.mode = S_IFCHR | 0666, .major = 10, .minor = 229}});
  EXPECT_TRUE(Allowed(limits, 'b', 8, 1, 'r'));
  EXPECT_FALSE(Allowed(limits, 'b', 8, 1, 'w'));
  EXPECT_TRUE(Allowed(limits, 'c', 10, 229, 'w')) << "rwm when nothing is said";
}

TEST(CompileLimits, PrivilegedOpensAll) {
  node::v1::ContainerSpec spec = MinimalSpec();
  spec.mutable_security()->set_privileged(true);
  EXPECT_THAT(CompileLimits(spec, {}).devices, ElementsAre(DeviceRule{}));
  EXPECT_TRUE(Allowed(CompileLimits(spec, {}), 'b', 8, 0, 'w'));
}

}  // namespace
}  // namespace noded::launch
