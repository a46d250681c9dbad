#include <sched.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/launch/plan.h"
#include "tests/unit/launch/specs.h"

namespace noded::launch {
namespace {

using node::shim::v1::ExecPlan;
using node::v1::ContainerSpec;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

ExecPlan Compile(const ContainerSpec& spec, const node::v1::Process& process,
                 const std::string& hostname = "") {
  absl::StatusOr<ExecPlan> plan =
      CompileExecPlan(spec, process, "e1", false, PlainInputs().host, hostname);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *std::move(plan) : ExecPlan();
}

node::v1::Process Command() {
  node::v1::Process process;
  process.add_argv("ls");
  return process;
}

// A container that has set everything an exec may take over.
ContainerSpec Settled() {
  ContainerSpec spec = MinimalSpec();
  node::v1::Process* process = spec.mutable_process();
  process->add_env("A=container");
  process->add_env("B=container");
  process->set_working_directory("/app");
  process->mutable_user()->set_uid(1000);
  process->set_tty(true);
  process->set_stdin(true);
  for (const char* name : {"nofile", "core"}) {
    node::v1::Rlimit* limit = process->add_rlimits();
    limit->set_name(name);
    limit->set_hard(10);
  }
  spec.mutable_security()->add_add_capabilities("NET_ADMIN");
  spec.mutable_security()->set_allow_new_privileges(true);
  spec.mutable_security()->set_oom_score_adj(7);
  return spec;
}

TEST(ExecPlan, TakesOverWhatItDoesNotSay) {
  ExecPlan plan = Compile(Settled(), Command(), "0123456789ab");
  EXPECT_EQ(plan.version(), 1u);
  EXPECT_EQ(plan.exec_id(), "e1");
  EXPECT_FALSE(plan.detached());
  EXPECT_THAT(plan.process().argv(), ElementsAre("ls"));
  EXPECT_THAT(plan.process().env(),
              ElementsAre("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                          "HOSTNAME=0123456789ab", "A=container", "B=container"));
  EXPECT_EQ(plan.process().working_directory(), "/app");
  EXPECT_EQ(plan.process().user().uid(), 1000u);
  EXPECT_EQ(plan.process().rlimits_size(), 2);
  EXPECT_NE(plan.process().capabilities().bounding() & (1 << 12), 0u);
  EXPECT_FALSE(plan.process().no_new_privileges());
  EXPECT_EQ(plan.process().oom_score_adj(), 7);
  EXPECT_FALSE(plan.process().tty()) << "a terminal is asked for each time";
}

TEST(ExecPlan, SaysItsOwn) {
  node::v1::Process process = Command();
  process.add_env("B=exec");
  process.add_env("HOME=/x");
  process.set_working_directory("/tmp");
  process.mutable_user()->set_name("nobody");
  process.set_tty(true);
  node::v1::Rlimit* limit = process.add_rlimits();
  limit->set_name("core");
  limit->set_hard(99);
  ExecPlan plan = Compile(Settled(), process);
  EXPECT_THAT(plan.process().env(), Contains("A=container"));
  EXPECT_THAT(plan.process().env(), Contains("B=exec"));
  EXPECT_THAT(plan.process().env(), Contains("TERM=xterm"));
  EXPECT_THAT(plan.process().env(), Not(Contains(HasSubstr("HOSTNAME"))));
  EXPECT_FALSE(plan.process().set_home());
  EXPECT_EQ(plan.process().working_directory(), "/tmp");
  EXPECT_EQ(plan.process().user().name(), "nobody");
  EXPECT_EQ(plan.process().user().uid(), 0u);
  ASSERT_EQ(plan.process().rlimits_size(), 2);
  EXPECT_EQ(plan.process().rlimits(0).hard(), 10u);
  EXPECT_EQ(plan.process().rlimits(1).hard(), 99u);
}

TEST(ExecPlan, AnEmptyUserIsRoot) {
  node::v1::Process process = Command();
  process.mutable_user();
  EXPECT_EQ(Compile(Settled(), process).process().user().uid(), 0u);
}

TEST(ExecPlan, JoinsWhatDiffersFromTheSupervisors) {
  EXPECT_EQ(Compile(MinimalSpec(), Command()).join_flags(),
            uint64_t{CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                     CLONE_NEWCGROUP});
  ContainerSpec spec = MinimalSpec();
  MakeUserPrivate(spec);
  spec.mutable_namespaces()->mutable_network()->set_mode(node::v1::NAMESPACE_MODE_HOST);
  spec.mutable_namespaces()->mutable_cgroup()->set_mode(node::v1::NAMESPACE_MODE_HOST);
  spec.mutable_namespaces()->mutable_uts()->set_mode(node::v1::NAMESPACE_MODE_CONTAINER);
  EXPECT_EQ(Compile(spec, Command()).join_flags(),
            uint64_t{CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWUSER});
}

}  // namespace
}  // namespace noded::launch
