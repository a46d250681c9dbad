// What the kernel and a supervisor write, read back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/attach_frame.h"
#include "node/host.h"
#include "node/network_counters.h"
#include "node/process_table.h"

namespace noded {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(ProcessStatTest, ReadsFieldsBehindACommandOfAnyBytes) {
  auto stat = ParseProcessStat(
      "4242 (a ) S 1 (b) R 17 4242 4242 0 -1 4194304 155 0 0 0 12 34 0 0 20 0 1 0 987654 "
      "4096000 250 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n");
  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_EQ(stat->command, "a ) S 1 (b");
  EXPECT_EQ(stat->state, 'R');
  EXPECT_EQ(stat->parent, 17);
  EXPECT_EQ(stat->user_ticks, 12u);
  EXPECT_EQ(stat->system_ticks, 34u);
  EXPECT_EQ(stat->start_ticks, 987654u);
  EXPECT_EQ(stat->rss_pages, 250);
}

TEST(ProcessStatTest, RefusesWhatIsCutOff) {
  EXPECT_FALSE(ParseProcessStat("").ok());
  EXPECT_FALSE(ParseProcessStat("4242 (sh").ok());
  EXPECT_FALSE(ParseProcessStat("4242 (sh) S 1 2 3").ok());
}

TEST(NetworkCountersTest, ReadsEachInterface) {
  auto interfaces = ParseNetworkCounters(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
      "drop fifo colls carrier compressed\n"
      "    lo:     100       2    0    0    0     0          0         0      100       2    0    "
      "0    0     0       0          0\n"
      "eth0:1: 11 12 13 14 15 16 17 18 21 22 23 24 25 26 27 28\n");
  ASSERT_THAT(interfaces, SizeIs(2));
  EXPECT_EQ(interfaces[0].name(), "lo");
  EXPECT_EQ(interfaces[0].received_bytes(), 100u);
  EXPECT_EQ(interfaces[1].name(), "eth0:1");
  EXPECT_EQ(interfaces[1].received_packets(), 12u);
  EXPECT_EQ(interfaces[1].receive_dropped(), 14u);
  EXPECT_EQ(interfaces[1].sent_bytes(), 21u);
  EXPECT_EQ(interfaces[1].send_dropped(), 24u);
}

TEST(NetworkCountersTest, LeavesOutWhatIsNotInForm) {
  EXPECT_THAT(ParseNetworkCounters(""), IsEmpty());
  EXPECT_THAT(ParseNetworkCounters("eth0: 1 2 3"), IsEmpty()) << "too few columns";
  EXPECT_THAT(ParseNetworkCounters("eth0: 1 2 3 4 5 6 7 8 9 10 11 x 13 14 15 16"), IsEmpty());
  EXPECT_THAT(ParseNetworkCounters("eth0: 1 2 3 4 5 6 7 8 9 10 11 -1 13 14 15 16\n"), IsEmpty());
  EXPECT_THAT(ParseNetworkCounters(":1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"), SizeIs(1));
}

TEST(CgroupMountsTest, TellsHierarchiesOfAHybridHost) {
  auto mounts = ParseCgroupMounts(
      "25 20 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
      "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
      "31 25 0:27 / /sys/fs/cgroup/systemd rw - cgroup none rw,xattr,name=systemd\n"
      "32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 none rw,nsdelegate\n"
      "33 20 0:26 / /var/lib/elsewhere rw - cgroup cgroup rw,cpu,cpuacct\n");
  ASSERT_THAT(mounts, SizeIs(3));
  EXPECT_EQ(mounts[0].type, "cgroup");
  EXPECT_EQ(mounts[0].target, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(mounts[0].options, "cpu,cpuacct");
  EXPECT_EQ(mounts[1].options, "none,name=systemd");
  EXPECT_EQ(mounts[2].type, "cgroup2");
  EXPECT_EQ(mounts[2].options, "");
}

TEST(CgroupMountsTest, TakesNothingFromNonsense) {
  EXPECT_THAT(ParseCgroupMounts("- cgroup\n\n - - - \nx y z"), IsEmpty());
}

TEST(PropagationTest, IsThatOfTheMountAlone) {
  const std::string mountinfo =
      "25 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
      "26 25 0:22 / /srv rw shared:7 - tmpfs tmpfs rw\n"
      "27 25 0:23 / /mnt rw shared:8 master:7 propagate_from:2 - tmpfs shared:1 rw\n"
      "28 25 0:24 / /opt rw unbindable - tmpfs shared:1 rw\n";
  EXPECT_EQ(ParsePropagation(mountinfo, 25), "");
  EXPECT_EQ(ParsePropagation(mountinfo, 26), "shared:7");
  EXPECT_EQ(ParsePropagation(mountinfo, 27), "shared:8 master:7");
  EXPECT_EQ(ParsePropagation(mountinfo, 28), "");
  EXPECT_EQ(ParsePropagation(mountinfo, 2), "");
  EXPECT_EQ(ParsePropagation("", 1), "");
  EXPECT_EQ(ParsePropagation("\n5\n 5 5\n", 5), "");
}

TEST(AttachFrameTest, ReadsWhatASupervisorSends) {
  auto out = ParseFrame(std::string_view("\x01hello", 6));
  ASSERT_TRUE(out);
  EXPECT_EQ(out->type, FrameType::kStdout);
  EXPECT_EQ(out->payload, "hello");
  auto missed = ParseFrame(std::string_view("\x03\x00\x01\x00\x00\x00\x00\x00\x00", 9));
  ASSERT_TRUE(missed);
  EXPECT_EQ(missed->missed_bytes, 256u);
  auto end = ParseFrame("\x04");
  ASSERT_TRUE(end);
  EXPECT_EQ(end->type, FrameType::kEnd);
}

TEST(AttachFrameTest, RefusesTheRest) {
  EXPECT_FALSE(ParseFrame(""));
  EXPECT_FALSE(ParseFrame("\x03too short"));
  EXPECT_FALSE(ParseFrame("\x05stdin is ours to send"));
  EXPECT_FALSE(ParseFrame("\x7f"));
}

TEST(AttachFrameTest, WritesInput) {
  EXPECT_EQ(MakeFrame(FrameType::kStdin, "ls\n"), "\x05ls\n");
  EXPECT_EQ(MakeFrame(FrameType::kCloseStdin), "\x06");
}

}  // namespace
}  // namespace noded
