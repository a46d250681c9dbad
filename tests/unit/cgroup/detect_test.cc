#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cgroup/driver.h"
#include "cgroup/mounts.h"
#include "node/base/status.h"
#include "tests/unit/cgroup/drawn_host.h"

namespace noded::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ParseMounts, HybridHost) {
  Mounts mounts = ParseMounts(R"(22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
)");
  EXPECT_THAT(mounts.v1, ElementsAre(V1Mount{"/sys/fs/cgroup/cpu,cpuacct", {"cpu", "cpuacct"}},
                                     V1Mount{"/sys/fs/cgroup/memory", {"memory"}},
                                     V1Mount{"/sys/fs/cgroup/systemd", {"name=systemd"}}));
  EXPECT_EQ(mounts.v2_path, "/sys/fs/cgroup/unified");
}

TEST(ParseMounts, WhatDoesNotCount) {
  Mounts mounts = ParseMounts(R"(
32 31 0:29 / /cg/cpu ro,nosuid - cgroup cgroup rw,cpu
35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory
36 31 0:32 / /elsewhere/memory rw - cgroup cgroup rw,memory
37 31 0:33 / /cg/odd rw - cgroup cgroup rw,release_agent=/sbin/agent
41 31 0:38 / /cg/readonly ro - cgroup2 cgroup2 rw
short line
41 31 0:38 / /cg rw
41 31 0:38 / /cg rw -
41 31 0:38 / /cg rw - cgroup2
)");
  EXPECT_THAT(mounts.v1, ElementsAre(V1Mount{"/cg/memory", {"memory"}}));
  EXPECT_EQ(mounts.v2_path, std::nullopt);
}

TEST(ParseMounts, EscapedPath) {
  EXPECT_EQ(ParseMounts("41 31 0:38 / /my\\040cg\\134x rw - cgroup2 none rw\n").v2_path,
            "/my cg\\x");
  EXPECT_EQ(ParseMounts("41 31 0:38 / /cut\\04 rw - cgroup2 none rw\n").v2_path, "/cut\\04");
}

TEST(Detection, StrayV1HierarchyDoesNotMakeAV2HostV1) {
  DrawnHost host(std::string(kV2Host) + "mount net_cls cgroup rw,net_cls\n");
  EXPECT_EQ((*host.Open())->mode(), Mode::kV2);
  EXPECT_EQ((*host.Open("v1"))->mode(), Mode::kHybrid) << "unless asked for";
}

TEST(Detection, NamedHierarchyAloneIsNoV1) {
  DrawnHost host(std::string(kV2Host) + "mount systemd cgroup rw,name=systemd\n");
  EXPECT_EQ((*host.Open())->mode(), Mode::kV2);
  EXPECT_TRUE(absl::IsFailedPrecondition(host.Open("v1").status()));
}

TEST(Detection, WhatIsAskedForMustBeThere) {
  auto v2 = DrawnHost(kV1Host).Open("v2");
  EXPECT_TRUE(absl::IsFailedPrecondition(v2.status()));
  EXPECT_THAT(v2.status().message(),
              HasSubstr("\"v2\": mounted for writing is v1 name=systemd on "));
  auto v1 = DrawnHost(kV2Host).Open("v1");
  EXPECT_TRUE(absl::IsFailedPrecondition(v1.status()));
  EXPECT_THAT(v1.status().message(), HasSubstr("v2 on "));
  auto none = DrawnHost("").Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(none.status()));
  EXPECT_THAT(none.status().message(), HasSubstr("no cgroup file system"));
  EXPECT_TRUE(absl::IsInvalidArgument(DrawnHost(kV2Host).Open("v3").status()));
}

TEST(Detection, AParentOfAClientMustBeThere) {
  for (const std::string& picture :
       {std::string(kV1Host), std::string(kV1Host) + kUnifiedBeside, std::string(kV2Host)}) {
    DrawnHost host(picture);
    ASSERT_TRUE(host.Open("auto", "/noded").ok());
    EXPECT_TRUE(host.Open("auto", "/noded", /*make_parent=*/false).ok());
    absl::Status absent = host.Open("auto", "/noded/team", /*make_parent=*/false).status();
    EXPECT_TRUE(absl::IsInvalidArgument(absent)) << absent;
    ASSERT_EQ(FieldViolationsOf(absent).size(), 1u);
    EXPECT_EQ(FieldViolationsOf(absent)[0].field, "spec.cgroup_parent");
    EXPECT_THAT(absent.message(), HasSubstr("\"/noded/team\" must be a cgroup that exists"));
    EXPECT_THAT(host.Directories("team"), IsEmpty());
    EXPECT_TRUE(absl::IsInvalidArgument(host.Open("auto", "/noded/../x", false).status()));
  }
}

TEST(Detection, AParentInOneV1HierarchyIsMadeInTheOthers) {
  DrawnHost host(kV1Host);
  ASSERT_TRUE(host.Open("auto", "/other").ok());
  size_t hierarchies = host.Directories("other").size();
  host.MakeDir("memory/slice");
  ASSERT_EQ(host.Directories("slice").size(), 1u);
  ASSERT_TRUE(host.Open("auto", "/slice", /*make_parent=*/false).ok());
  EXPECT_EQ(host.Directories("slice").size(), hierarchies);
}

}  // namespace
}  // namespace noded::cgroup
