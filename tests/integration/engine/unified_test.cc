// What only a host with pure cgroup v2 shows (tests/vm boots one).
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "tests/integration/engine/fixture.h"

namespace noded::test {
namespace {

using ::testing::HasSubstr;

constexpr char kRoot[] = "/sys/fs/cgroup";

class UnifiedTest : public EngineTest {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(absl::StrCat(kRoot, "/cgroup.controllers"))) {
      GTEST_SKIP() << "this host's cgroups are not v2 alone";
    }
    EngineTest::SetUp();
  }
  static std::string Read(const std::string& group, const std::string& file) {
    return ReadFileAt(AT_FDCWD, absl::StrCat(kRoot, group, "/", file)).value_or("(cannot be read)");
  }
};

TEST_F(UnifiedTest, LimitsAreAboveThePayload) {
  node::v1::ContainerSpec spec = Shell("sleep 1000");
  spec.mutable_limits()->set_pids(33);
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  EXPECT_EQ(Read(container->cgroup_path(), "pids.max"), "33\n");
  EXPECT_EQ(Read(container->cgroup_path(), "cgroup.procs"), "") << "the payload is in the leaf";
  EXPECT_EQ(Read(container->cgroup_path() + "/payload", "cgroup.procs"),
            absl::StrCat(container->pid(), "\n"));
  // Its namespace's root is the leaf, so that its limits are out of its reach.
  EXPECT_EQ(Exec(container->id(), "grep ^0:: /proc/self/cgroup").out, "0::/\n");
}

// As systemd inside does: its group has controllers enabled and takes no processes any more.
TEST_F(UnifiedTest, AnExecGoesWhereInitIsWhenThePayloadManagesItsGroup) {
  node::v1::ContainerSpec spec = Shell(
      "mkdir /sys/fs/cgroup/init && echo 1 >/sys/fs/cgroup/init/cgroup.procs &&"
      "echo +pids >/sys/fs/cgroup/cgroup.subtree_control && echo managed; sleep 1000");
  spec.mutable_security()->set_privileged(true);
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(Log(container->id()), "managed"); }))
      << Log(container->id());
  ExecResult exec = Exec(container->id(), "grep ^0:: /proc/self/cgroup");
  EXPECT_TRUE(exec.status.ok()) << exec.status;
  EXPECT_EQ(exec.out, "0::/init\n");
  // What it made goes with it.
  EXPECT_TRUE(Stop(container->id(), absl::ZeroDuration()).ok());
  EXPECT_TRUE(Eventually(
      [&] { return !std::filesystem::exists(absl::StrCat(kRoot, container->cgroup_path())); }));
}

TEST_F(UnifiedTest, AKillReachesWhatForksMeanwhile) {
  node::v1::ContainerSpec spec = Shell("echo up; while :; do sleep 1000 & usleep 1000; done");
  spec.mutable_limits()->set_pids(200);
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(Log(container->id()), "up"); }));
  auto stopped = Stop(container->id(), absl::ZeroDuration());
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->exit_status().signal(), SIGKILL);
}

TEST_F(UnifiedTest, OneVictimAmongManyIsCounted) {
  node::v1::ContainerSpec spec = Shell("tail /dev/zero; echo child $?; sleep 1000");
  spec.mutable_limits()->mutable_memory()->set_max_bytes(16 << 20);
  spec.mutable_limits()->mutable_memory()->set_swap_bytes(0);
  auto container = Run(spec);
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(Log(container->id()), "child"); }));
  EXPECT_THAT(Log(container->id()), HasSubstr("child 137"));
  EXPECT_THAT(Read(container->cgroup_path(), "memory.events"), HasSubstr("oom_kill 1\n"));
}

}  // namespace
}  // namespace noded::test
