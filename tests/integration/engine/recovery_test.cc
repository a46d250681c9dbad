// What a new engine makes of what the last one left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"
#include "tests/patience.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using node::v1::Container;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RecoveryTest : public EngineTest {
 protected:
  // Of a container's supervisor; 0 when there is none.
  static pid_t ShimOf(const Container& container) {
    std::ifstream status(absl::StrCat("/proc/", container.pid(), "/status"));
    std::string line;
    while (std::getline(status, line)) {
      if (line.rfind("PPid:", 0) == 0) return std::stoi(line.substr(5));
    }
    return 0;
  }
  Container RunOne(const std::string& script) {
    auto container = Run(Shell(script));
    EXPECT_TRUE(container.ok()) << container.status();
    return container.value_or(Container());
  }
};

TEST_F(RecoveryTest, RunningContainersAreThereAgain) {
  Container container =
      RunOne("trap 'exit 3' TERM; i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done");
  ReopenEngine();
  auto again = Get(container.id());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_EQ(again->pid(), container.pid());
  EXPECT_EQ(Exec(container.id(), "echo in").out, "in\n");
  node::v1::StatsRequest request;
  request.add_containers(container.id());
  EXPECT_TRUE(engine_->Stats(request).ok());
  auto stopped = Stop(container.id());
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->exit_status().code(), 3);
  // The log has no gap.
  int expected = 0;
  for (absl::string_view line : absl::StrSplit(Log(container.id()), '\n', absl::SkipEmpty())) {
    EXPECT_EQ(line, absl::StrCat(expected++));
  }
  EXPECT_GT(expected, 0);
}

TEST_F(RecoveryTest, ThoseThatEndedMeanwhileHaveTheirTrueStatus) {
  Container code = RunOne("sleep 0.5; exit 42");
  Container killed = RunOne("sleep 1000");
  CloseEngine();
  kill(static_cast<pid_t>(killed.pid()), SIGKILL);
  ASSERT_TRUE(Eventually([&] { return !IsAlive(code.pid()) && !IsAlive(killed.pid()); }));
  absl::SleepFor(absl::Milliseconds(300));
  OpenEngine();
  EXPECT_EQ(Get(code.id())->state(), node::v1::CONTAINER_STATE_EXITED);
  EXPECT_EQ(Get(code.id())->exit_status().code(), 42);
  EXPECT_EQ(Get(code.id())->exit_reason(), node::v1::EXIT_REASON_COMPLETED);
  EXPECT_EQ(Get(killed.id())->exit_status().signal(), SIGKILL);
  EXPECT_EQ(Get(killed.id())->exit_reason(), node::v1::EXIT_REASON_SIGNALED);
  EXPECT_FALSE(Get(code.id())->exit_status().has_signal());
}

TEST_F(RecoveryTest, AnExecWithoutItsClientIsEndedADetachedOneGoesOn) {
  Container container = RunOne("sleep 1000");
  std::shared_ptr<Engine::ExecStream> stream = BeginExec(ExecOf(container.id(), "sleep 1000"));
  auto first = Next(*stream);
  ASSERT_TRUE(first.ok() && first->has_value()) << first.status();
  int64_t attended = (*first)->started().pid();
  node::v1::ExecStart start = ExecOf(container.id(), "sleep 1001");
  start.set_detach(true);
  std::shared_ptr<Engine::ExecStream> detached = BeginExec(start);
  first = Next(*detached);
  ASSERT_TRUE(first.ok() && first->has_value()) << first.status();
  int64_t alone = (*first)->started().pid();
  std::string alone_id = (*first)->started().exec_id();
  CloseEngine();
  EXPECT_TRUE(IsAlive(attended));
  OpenEngine();
  EXPECT_TRUE(Eventually([&] { return !IsAlive(attended); }));
  EXPECT_TRUE(IsAlive(alone));
  EXPECT_TRUE(Eventually([&] { return Get(container.id())->exec_ids_size() == 1; }));
  EXPECT_THAT(Get(container.id())->exec_ids(), ElementsAre(alone_id));
}

TEST_F(RecoveryTest, ADetachedExecsTimeLimitOutlivesTheEngine) {
  Container container = RunOne("sleep 1000");
  node::v1::ExecStart start = ExecOf(container.id(), "exec sleep 1001");
  start.set_detach(true);
  start.mutable_time_limit()->set_seconds(2);
  std::shared_ptr<Engine::ExecStream> detached = BeginExec(start);
  auto first = Next(*detached);
  ASSERT_TRUE(first.ok() && first->has_value()) << first.status();
  const int64_t pid = (*first)->started().pid();
  CloseEngine();
  EXPECT_TRUE(Eventually([&] { return !IsAlive(pid); })) << "with no engine at all";
  OpenEngine();
  EXPECT_TRUE(Eventually([&] { return Get(container.id())->exec_ids_size() == 0; }));
}

TEST_F(RecoveryTest, ALostSupervisorEndsItsContainerWithTheTrueStatus) {
  Container container = RunOne("sleep 1000");
  std::shared_ptr<Engine::ExecStream> stream = BeginExec(ExecOf(container.id(), "sleep 1000"));
  ASSERT_TRUE(Next(*stream).ok());
  ASSERT_EQ(kill(ShimOf(container), SIGKILL), 0);
  auto waited = Wait(container.id());
  ASSERT_TRUE(waited.ok()) << waited.status();
  EXPECT_EQ(waited->status().signal(), SIGKILL) << waited->DebugString();
  EXPECT_THAT(Get(container.id())->error(), HasSubstr("supervisor was lost"));
  EXPECT_FALSE(IsAlive(container.pid()));
  auto exec = Next(*stream);
  ASSERT_TRUE(exec.ok() && exec->has_value()) << exec.status();
  EXPECT_TRUE((*exec)->has_exited());
  EXPECT_FALSE((*exec)->exited().status().has_code()) << "it is not known";
  // It can be started again.
  auto again = Start(container.id());
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST_F(RecoveryTest, AStoppedSupervisorHoldsUpNoStop) {
  Container container = RunOne("sleep 1000");
  pid_t shim = ShimOf(container);
  ASSERT_EQ(kill(shim, SIGSTOP), 0);
  auto stopped = Stop(container.id(), absl::ZeroDuration());
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->state(), node::v1::CONTAINER_STATE_EXITED);
  EXPECT_EQ(stopped->exit_status().signal(), SIGKILL);
  EXPECT_FALSE(IsAlive(shim));
}

TEST_F(RecoveryTest, ASupervisorLostMeanwhileIsToldAsUnknown) {
  Container container = RunOne("sleep 1000");
  pid_t shim = ShimOf(container);
  CloseEngine();
  ASSERT_EQ(kill(shim, SIGKILL), 0);
  ASSERT_TRUE(Eventually([&] { return !IsAlive(shim) && !IsAlive(container.pid()); }));
  OpenEngine();
  auto ended = Get(container.id());
  EXPECT_EQ(ended->state(), node::v1::CONTAINER_STATE_EXITED);
  EXPECT_EQ(ended->exit_reason(), node::v1::EXIT_REASON_UNKNOWN);
  EXPECT_FALSE(ended->exit_status().has_code());
  EXPECT_FALSE(IsAlive(container.pid()));
}

TEST_F(RecoveryTest, AnotherBootIsTold) {
  Container container = RunOne("sleep 1000");
  pid_t shim = ShimOf(container);
  CloseEngine();
  kill(shim, SIGKILL);
  ASSERT_TRUE(Eventually([&] { return !IsAlive(shim) && !IsAlive(container.pid()); }));
  // As if it had been written before a reboot.
  std::string path = absl::StrCat(root_, "/containers/", container.id(), "/container.json");
  std::ifstream in(path);
  std::string record((std::istreambuf_iterator<char>(in)), {});
  size_t at = record.find("boot");
  ASSERT_NE(at, std::string::npos) << record;
  size_t digit = record.find_first_of("0123456789abcdef", record.find(':', at));
  record[digit] = record[digit] == '0' ? '1' : '0';
  std::ofstream(path) << record;
  OpenEngine();
  auto ended = Get(container.id());
  EXPECT_EQ(ended->state(), node::v1::CONTAINER_STATE_EXITED);
  EXPECT_EQ(ended->exit_reason(), node::v1::EXIT_REASON_HOST_RESTARTED);
}

TEST_F(RecoveryTest, ADamagedRecordIsShownAndRemovable) {
  Container container = RunOne("sleep 1000");
  Container other = RunOne("sleep 1000");
  CloseEngine();
  for (const auto& entry :
       fs::directory_iterator(absl::StrCat(root_, "/containers/", container.id()))) {
    if (absl::StrContains(entry.path().string(), "container.json")) {
      std::ofstream(entry.path()) << "{ torn";
    }
  }
  OpenEngine();
  auto shown = Get(container.id());
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_EQ(shown->state(), node::v1::CONTAINER_STATE_UNKNOWN);
  EXPECT_THAT(shown->error(), HasSubstr("record"));
  EXPECT_EQ(shown->pid(), container.pid()) << "its supervisor tells";
  EXPECT_EQ(Get(other.id())->state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_TRUE(absl::IsFailedPrecondition(Remove(container.id())));
  EXPECT_TRUE(Remove(container.id(), true).ok());
  EXPECT_FALSE(IsAlive(container.pid()));
}

// Killed between the directory and the record in it.
TEST_F(RecoveryTest, ADirectoryWithoutAnythingIsRemoved) {
  CloseEngine();
  fs::create_directory(root_ + "/containers/" + std::string(64, 'a'));
  OpenEngine();
  EXPECT_EQ(engine_->List(node::v1::ListRequest())->containers_size(), 0);
  EXPECT_THAT(Leftovers(), IsEmpty());
}

TEST_F(RecoveryTest, WhatNoRecordSpeaksOfIsRemoved) {
  Container container = RunOne("sleep 1000");
  CloseEngine();
  fs::rename(absl::StrCat(root_, "/containers/", container.id()), scratch_ + "/taken-away");
  OpenEngine();
  EXPECT_TRUE(absl::IsNotFound(Get(container.id()).status()));
  EXPECT_TRUE(Eventually([&] { return !IsAlive(container.pid()); }));
  EXPECT_TRUE(Eventually([&] { return Leftovers().empty(); }))
      << ::testing::PrintToString(Leftovers());
}

// Its group is where it was made, whatever the parent of new ones is.
TEST_F(RecoveryTest, AnotherCgroupParentLeavesRunningContainersWhole) {
  Container container = RunOne("trap 'exit 3' TERM; while :; do sleep 0.05; done");
  CloseEngine();
  std::string first = cgroup_parent_;
  cgroup_parent_ += "-b";
  OpenEngine();
  EXPECT_EQ(Exec(container.id(), "echo in").out, "in\n");
  EXPECT_EQ(Stop(container.id())->exit_status().code(), 3);
  auto again = Start(container.id());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->cgroup_path(), cgroup_parent_ + "/" + container.id());
  ASSERT_TRUE(Remove(container.id(), true).ok());
  std::string second = std::exchange(cgroup_parent_, first);
  EXPECT_TRUE(Eventually([&] { return Leftovers().empty(); }));
  RemoveGroups(second);
}

// A group below noded's own that is no container's is not for a restart to clear away.
TEST_F(RecoveryTest, ANestedCgroupParentLivesOn) {
  const std::string team = cgroup_parent_ + "/team";
  MakeGroup(team);
  node::v1::ContainerSpec spec = Shell("trap 'exit 3' TERM; while :; do sleep 0.05; done");
  spec.set_cgroup_parent(team);
  spec.mutable_limits()->set_pids(20);
  auto nested = Run(spec);
  ASSERT_TRUE(nested.ok()) << nested.status();
  EXPECT_EQ(nested->cgroup_path(), team + "/" + nested->id());
  ReopenEngine();
  EXPECT_EQ(Get(nested->id())->state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_EQ(Exec(nested->id(), "echo in").out, "in\n");
  EXPECT_EQ(Stop(nested->id())->exit_status().code(), 3);
  ASSERT_TRUE(Remove(nested->id()).ok());
  RemoveGroups(team);
}

TEST_F(RecoveryTest, ManyAtOnce) {
  constexpr int kMany = 30;
  std::vector<Container> all;
  for (int i = 0; i < kMany; ++i) all.push_back(RunOne("sleep 1000"));
  CloseEngine();
  absl::Time before = absl::Now();
  OpenEngine();
  EXPECT_LT(absl::Now() - before, Patience(absl::Seconds(10)));
  for (const Container& container : all) {
    EXPECT_EQ(Get(container.id())->state(), node::v1::CONTAINER_STATE_RUNNING);
  }
}

}  // namespace
}  // namespace noded::test
