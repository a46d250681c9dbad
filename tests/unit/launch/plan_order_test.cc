// Orders that must hold, each with its reason, and what namespaces change.
#include <sched.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/launch/plan.h"
#include "tests/unit/launch/plan_text.h"
#include "tests/unit/launch/specs.h"

namespace noded::launch {
namespace {

using node::shim::v1::LaunchPlan;
using node::v1::ContainerSpec;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr node::v1::NamespaceMode kHost = node::v1::NAMESPACE_MODE_HOST;
constexpr node::v1::NamespaceMode kContainer = node::v1::NAMESPACE_MODE_CONTAINER;

LaunchPlan Compile(const ContainerSpec& spec, const Inputs& inputs = PlainInputs()) {
  EXPECT_TRUE(ValidateSpec(spec).ok()) << ValidateSpec(spec);
  absl::StatusOr<LaunchPlan> plan = CompileLaunchPlan(spec, inputs);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *std::move(plan) : LaunchPlan();
}

// A spec with something of every kind.
LaunchPlan FullPlan() {
  ContainerSpec spec = MinimalSpec();
  spec.mutable_root()->set_read_only(true);
  spec.mutable_process()->set_tty(true);
  (*spec.mutable_sysctls())["net.core.somaxconn"] = "512";
  (*spec.mutable_sysctls())["kernel.shmmax"] = "65536";
  node::v1::Mount* mount = spec.add_mounts();
  mount->set_target("/dev/user");
  mount->mutable_bind()->set_source("/srv/user");
  Inputs inputs = PlainInputs();
  MakeCgroupsV1(inputs);
  return Compile(spec, inputs);
}

struct Order {
  const char* before;
  const char* after;
  const char* because;
};

TEST(PlanOrder, EachHasItsReason) {
  const Order orders[] = {
      {"make mounts private", "root ", "the root would be propagated to the host"},
      {"new cgroup namespace", "mount cgroup ",
       "the view's root is the mounter's cgroup namespace"},
      {"root ", "mount proc", "targets are looked up in the new root"},
      {"mount proc", "pivot",
       "in a user namespace a whole proc must be visible when one is mounted"},
      {"mount sysfs", "pivot", "the same holds for sysfs"},
      {"mount tmpfs at /dev ", "node /dev/null", "the tmpfs would hide the node"},
      {"mount devpts", "console", "the terminal is of the container's own devpts"},
      {"mount tmpfs at /sys/fs/cgroup", "mount cgroup at", "mount points are made on the tmpfs"},
      {"node /dev/null", "attach /srv/user", "the user's mount may lie in /dev"},
      {"attach /srv/user", "read-only root", "the mount point could not be made any more"},
      {"attach /etc/hosts", "read-only root", "the mount point could not be made any more"},
      {"read-only root", "pivot", "the root mount is at hand until then"},
      {"pivot", "mask /proc/kcore", "a mask lies over all that was mounted"},
      {"pivot", "read-only /sys/fs/cgroup", "the hierarchies stand on it by then"},
      {"sysctl net/core/somaxconn", "read-only /proc/sys",
       "nothing can be written there afterwards"},
      {"sysctl net/core/somaxconn", "loopback up",
       "settings hold from the interface's first moment"},
      {"read-only /proc/sys", "mask /proc/asound",
       "making read-only clones what is mounted below"}};
  std::vector<std::string> steps = StepLines(FullPlan());
  for (const Order& order : orders) {
    int before = Position(steps, order.before), after = Position(steps, order.after);
    ASSERT_GE(before, 0) << order.before;
    ASSERT_GE(after, 0) << order.after;
    EXPECT_LT(before, after) << order.before << " before " << order.after << ", because "
                             << order.because;
  }
}

TEST(PlanOrder, UserMountsKeepTheirOrder) {
  ContainerSpec spec = MinimalSpec();
  for (const char* target : {"/b", "/a", "/b/c"}) {
    node::v1::Mount* mount = spec.add_mounts();
    mount->set_target(target);
    mount->mutable_tmpfs();
  }
  std::vector<std::string> steps = StepLines(Compile(spec));
  int b = Position(steps, "mount tmpfs at /b ");
  EXPECT_EQ(Position(steps, "mount tmpfs at /a "), b + 1);
  EXPECT_EQ(Position(steps, "mount tmpfs at /b/c "), b + 2);
}

TEST(PlanOrder, SysctlsAreSortedAndTheirDotsAndSlashesSwapped) {
  ContainerSpec spec = MinimalSpec();
  (*spec.mutable_sysctls())["net.ipv4.conf.eth0/1.forwarding"] = "1";
  (*spec.mutable_sysctls())["kernel.sem"] = "250 32000 32 128";
  std::vector<std::string> steps = StepLines(Compile(spec));
  int first = Position(steps, "sysctl");
  EXPECT_EQ(steps[first], "sysctl kernel/sem = 250 32000 32 128");
  EXPECT_EQ(steps[first + 1], "sysctl net/ipv4/conf/eth0.1/forwarding = 1");
}

TEST(PlanNamespaces, OfTheHost) {
  ContainerSpec spec = MinimalSpec();
  node::v1::Namespaces* namespaces = spec.mutable_namespaces();
  namespaces->mutable_pid()->set_mode(kHost);
  namespaces->mutable_network()->set_mode(kHost);
  namespaces->mutable_ipc()->set_mode(kHost);
  namespaces->mutable_uts()->set_mode(kHost);
  namespaces->mutable_cgroup()->set_mode(kHost);
  Inputs inputs = PlainInputs();
  inputs.hostname = "node-7";
  LaunchPlan plan = Compile(spec, inputs);
  EXPECT_EQ(plan.clone_flags(), uint64_t{CLONE_NEWNS});
  std::vector<std::string> steps = StepLines(plan);
  EXPECT_THAT(steps, Not(Contains("new cgroup namespace")));
  EXPECT_THAT(steps, Not(Contains("loopback up")));
  EXPECT_EQ(Position(steps, "hostname"), -1);
  EXPECT_THAT(steps, Contains("attach /dev/shm at /dev/shm nosuid,nodev,noexec recursively"));
  EXPECT_THAT(steps, Contains("mount mqueue at /dev/mqueue nosuid,nodev,noexec"))
      << "one file system per ipc namespace: this is the host's own";
  EXPECT_THAT(plan.process().env(), Contains("HOSTNAME=node-7"));

  inputs.hostname.clear();
  EXPECT_THAT(Compile(spec, inputs).process().env(), Not(Contains(HasSubstr("HOSTNAME"))));
}

TEST(PlanNamespaces, PrivateUser) {
  ContainerSpec spec = MinimalSpec();
  MakeUserPrivate(spec);
  node::v1::Mount* mount = spec.add_mounts();
  mount->set_target("/data");
  mount->mutable_bind()->set_source("/srv/data");
  LaunchPlan plan = Compile(spec);
  EXPECT_NE(plan.clone_flags() & CLONE_NEWUSER, 0u);
  ASSERT_EQ(plan.uid_maps_size(), 1);
  EXPECT_EQ(plan.uid_maps(0).host_id(), 100000u);
  EXPECT_EQ(plan.gid_maps(0).size(), 65536u);
  std::vector<std::string> sources = SourceLines(plan), steps = StepLines(plan);
  EXPECT_THAT(sources[0], HasSubstr("id-mapped"));
  EXPECT_THAT(sources, Contains("tree /srv/data recursive id-mapped"));
  EXPECT_THAT(sources, Contains("tree /c/hosts id-mapped"));
  EXPECT_THAT(sources, Contains("tree /dev/null"));
  EXPECT_THAT(steps, Contains("attach /dev/null at /dev/null nosuid,noexec"));
  EXPECT_EQ(Position(steps, "node "), -1) << "mknod is EPERM in a user namespace";
  EXPECT_THAT(steps, Contains("mount proc at /proc nosuid,nodev,noexec"));
  EXPECT_THAT(steps, Contains("mount sysfs at /sys ro,nosuid,nodev,noexec"));
}

TEST(PlanNamespaces, PrivateUserOwnsNothingOfTheHosts) {
  ContainerSpec spec = MinimalSpec();
  MakeUserPrivate(spec);
  spec.mutable_namespaces()->mutable_pid()->set_mode(kHost);
  spec.mutable_namespaces()->mutable_network()->set_mode(kHost);
  spec.mutable_namespaces()->mutable_ipc()->set_mode(kHost);
  std::vector<std::string> steps = StepLines(Compile(spec));
  EXPECT_THAT(steps, Contains("attach /proc at /proc nosuid,nodev,noexec recursively"));
  EXPECT_THAT(steps, Contains("attach /sys at /sys ro,nosuid,nodev,noexec recursively"));
  EXPECT_EQ(Position(steps, "mount proc"), -1);
  EXPECT_EQ(Position(steps, "mount sysfs"), -1);
  EXPECT_EQ(Position(steps, "mount mqueue"), -1);
}

TEST(PlanNamespaces, TtyGroupOnlyWhereItIsMapped) {
  ContainerSpec spec = MinimalSpec();
  MakeUserPrivate(spec);
  auto pts = [&spec] {
    std::vector<std::string> steps = StepLines(Compile(spec));
    return steps[Position(steps, "mount devpts")];
  };
  EXPECT_THAT(pts(), HasSubstr("gid=5"));
  spec.mutable_namespaces()->mutable_gid_maps(0)->set_size(5);
  EXPECT_THAT(pts(), Not(HasSubstr("gid=")));
}

TEST(PlanNamespaces, OfAnotherContainer) {
  ContainerSpec spec = MinimalSpec();
  for (node::v1::Namespace* one :
       {spec.mutable_namespaces()->mutable_network(), spec.mutable_namespaces()->mutable_ipc()}) {
    one->set_mode(kContainer);
    one->set_container("pause");
  }
  Inputs inputs = PlainInputs();
  inputs.join = {{CLONE_NEWNET, 3, "network namespace of pause"},
                 {CLONE_NEWIPC, 4, "ipc namespace of pause"},
                 {CLONE_NEWNS, 5, "mount namespace of pause"}};
  LaunchPlan plan = Compile(spec, inputs);
  EXPECT_EQ(plan.clone_flags() & (CLONE_NEWNET | CLONE_NEWIPC), 0u);
  ASSERT_EQ(plan.join_size(), 2) << "the mount namespace is only looked into";
  EXPECT_EQ(plan.join(0).type(), uint64_t{CLONE_NEWNET});
  EXPECT_EQ(plan.join(1).fd_index(), 4u);
  EXPECT_EQ(plan.join(1).description(), "ipc namespace of pause");
  EXPECT_THAT(SourceLines(plan), Contains("tree /dev/shm in namespace 5"));
  EXPECT_THAT(StepLines(plan),
              Contains("attach /dev/shm of the other container at /dev/shm nosuid,nodev,noexec"));
  EXPECT_THAT(StepLines(plan), Not(Contains("loopback up"))) << "it is the other's to bring up";

  inputs.join.pop_back();
  EXPECT_THAT(StepLines(Compile(spec, inputs)),
              Contains("mount tmpfs at /dev/shm nosuid,nodev,noexec mode=1777 size=65536k"));
}

TEST(PlanNamespaces, AJoinThatIsMissingIsNeverTheHosts) {
  ContainerSpec spec = MinimalSpec();
  spec.mutable_namespaces()->mutable_network()->set_mode(kContainer);
  spec.mutable_namespaces()->mutable_network()->set_container("pause");
  EXPECT_EQ(CompileLaunchPlan(spec, PlainInputs()).status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace noded::launch
