// Pause and Resume of real containers, and the ends that a paused one may come to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cgroup/driver.h"
#include "node/base/status.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"

namespace noded::test {
namespace {

using node::v1::Container;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kCounting[] =
    "trap 'exit 3' TERM; i=0; while :; do echo $i; i=$((i+1)); usleep 10000; done";

class PauseTest : public EngineTest {
 protected:
  absl::Status Pause(const std::string& container) {
    node::v1::PauseRequest request;
    request.set_container(container);
    return Await<node::v1::PauseResponse>([&](auto done) { engine_->Pause(request, done); })
        .status();
  }
  absl::Status Resume(const std::string& container) {
    node::v1::ResumeRequest request;
    request.set_container(container);
    return Await<node::v1::ResumeResponse>([&](auto done) { engine_->Resume(request, done); })
        .status();
  }
  // One that counts, and has begun to.
  Container RunPaused() {
    auto container = Run(Shell(kCounting));
    EXPECT_TRUE(container.ok()) << container.status();
    if (!container.ok()) return Container();
    EXPECT_TRUE(Eventually([&] { return !Log(container->id()).empty(); }));
    absl::Status paused = Pause(container->id());
    EXPECT_TRUE(paused.ok()) << paused;
    return *Get(container->id());
  }
  std::unique_ptr<cgroup::Group> GroupOf(const Container& container) {
    auto driver = cgroup::OpenDriver({.parent = cgroup_parent_});
    EXPECT_TRUE(driver.ok()) << driver.status();
    auto group = (*driver)->Open(container.id());
    EXPECT_TRUE(group.ok()) << group.status();
    return *std::move(group);
  }
  bool GoesOn(const std::string& container) {
    size_t before = Log(container).size();
    return Eventually([&] { return Log(container).size() > before; });
  }
  // Nothing comes any more, once what was on its way has come.
  bool IsStill(const std::string& container) {
    absl::SleepFor(absl::Milliseconds(100));
    std::string before = Log(container);
    absl::SleepFor(absl::Milliseconds(200));
    return Log(container) == before;
  }
};

TEST_F(PauseTest, StopsAllProgressUntilResumed) {
  auto container = Run(Shell(kCounting));
  ASSERT_TRUE(container.ok()) << container.status();
  // An exec'd one, which writes where the main process's output goes.
  node::v1::ExecStart start =
      ExecOf(container->id(), "while :; do echo exec >/proc/1/fd/1; usleep 10000; done");
  start.set_detach(true);
  auto exec = BeginExec(start);
  ASSERT_TRUE(Next(*exec).ok());
  ASSERT_TRUE(Eventually([&] {
    std::string log = Log(container->id());
    return log.find("exec") != std::string::npos && log.find('1') != std::string::npos;
  }));
  ASSERT_TRUE(Pause(container->id()).ok());
  EXPECT_EQ(Get(container->id())->state(), node::v1::CONTAINER_STATE_PAUSED);
  EXPECT_EQ(engine_->GetInfo().containers().paused(), 1);
  EXPECT_TRUE(IsStill(container->id()));
  node::v1::StatsRequest request;
  request.add_containers(container->id());
  auto stats = engine_->Stats(request);
  ASSERT_TRUE(stats.ok()) << stats.status();
  auto sample = Next(**stats);
  ASSERT_TRUE(sample.ok() && sample->has_value()) << sample.status();
  EXPECT_EQ((*sample)->samples_size(), 1) << "a paused container is measured";
  ExecResult refused = Exec(container->id(), "true");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status)) << refused.status;
  EXPECT_THAT(refused.status.message(), HasSubstr("is paused"));
  ASSERT_TRUE(Resume(container->id()).ok());
  EXPECT_EQ(Get(container->id())->state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_TRUE(GoesOn(container->id()));
}

// Each is told at once that it runs, or that it came too late; none is caught half-way.
TEST_F(PauseTest, AnExecThatIsOnItsWayIsToldBeforeTheResume) {
  auto container = Run(Shell("sleep 1000"));
  ASSERT_TRUE(container.ok()) << container.status();
  int began = 0;
  for (int round = 0; round < 5; ++round) {
    std::vector<std::shared_ptr<Engine::ExecStream>> execs;
    for (int i = 0; i < 8; ++i) execs.push_back(BeginExec(ExecOf(container->id(), "sleep 0.1")));
    absl::Time before = absl::Now();
    ASSERT_TRUE(Pause(container->id()).ok());
    for (const auto& exec : execs) {
      auto first = Next(*exec);
      if (first.ok()) {
        EXPECT_TRUE(first->has_value() && (*first)->has_started());
        ++began;
      } else {
        EXPECT_EQ(ReasonOf(first.status()), reason::kWrongState) << first.status();
      }
    }
    EXPECT_LT(absl::Now() - before, absl::Seconds(30)) << "half of what a start may take";
    ASSERT_TRUE(Resume(container->id()).ok());
    for (const auto& exec : execs) exec->Cancel();
  }
  EXPECT_GT(began, 0);
}

TEST_F(PauseTest, WrongStatesAreTold) {
  auto created = Create(Shell("sleep 1000"));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(ReasonOf(Pause(created->id())), reason::kWrongState);
  Container paused = RunPaused();
  absl::Status again = Pause(paused.id());
  EXPECT_TRUE(absl::IsFailedPrecondition(again)) << again;
  EXPECT_EQ(ReasonOf(again), reason::kWrongState);
  ASSERT_TRUE(Resume(paused.id()).ok());
  EXPECT_EQ(ReasonOf(Resume(paused.id())), reason::kWrongState);
  EXPECT_TRUE(absl::IsNotFound(Pause("nobody")));
  EXPECT_TRUE(absl::IsNotFound(Resume("nobody")));
}

TEST_F(PauseTest, WatchersSeeBoth) {
  Container container = RunPaused();
  node::v1::WatchRequest from;
  from.set_from_revision(container.revision());
  auto watch = engine_->Watch(from);
  ASSERT_TRUE(watch.ok()) << watch.status();
  ASSERT_TRUE(Resume(container.id()).ok());
  std::vector<node::v1::ContainerEventType> seen;
  while (seen.size() < 2) {
    auto next = Next(**watch);
    ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
    for (const node::v1::ContainerEvent& event : (*next)->events()) seen.push_back(event.type());
  }
  EXPECT_THAT(seen, ElementsAre(node::v1::CONTAINER_EVENT_TYPE_PAUSED,
                                node::v1::CONTAINER_EVENT_TYPE_RESUMED));
  (*watch)->Cancel();
}

TEST_F(PauseTest, APausedOneSeesItsStopSignal) {
  Container container = RunPaused();
  auto stopped = Stop(container.id());
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->exit_status().code(), 3) << "its own handler has run";
  EXPECT_EQ(stopped->exit_reason(), node::v1::EXIT_REASON_STOPPED);
  const size_t first_run = Log(container.id()).size();
  ASSERT_TRUE(Start(container.id()).ok());
  // Until its handler is there: an init without one is sent no SIGTERM by the kernel.
  ASSERT_TRUE(Eventually([&] { return Log(container.id()).size() > first_run; }));
  ASSERT_TRUE(Pause(container.id()).ok());
  ASSERT_TRUE(Kill(container.id(), "SIGTERM").ok());
  EXPECT_TRUE(Wait(container.id()).ok());
}

TEST_F(PauseTest, APausedOneIsKilledAndRemoved) {
  Container container = RunPaused();
  ASSERT_TRUE(Kill(container.id(), "").ok());
  auto ended = Wait(container.id());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->status().signal(), SIGKILL);
  ASSERT_TRUE(Start(container.id()).ok());
  ASSERT_TRUE(Pause(container.id()).ok());
  ASSERT_TRUE(Stop(container.id(), absl::ZeroDuration()).ok());
  ASSERT_TRUE(Start(container.id()).ok());
  ASSERT_TRUE(Pause(container.id()).ok());
  ASSERT_TRUE(Remove(container.id(), /*force=*/true).ok());
}

TEST_F(PauseTest, ASignalThatDoesNotEndItWaitsUntilItIsResumed) {
  auto running = Run(Shell("trap 'echo got' USR1; echo up; while :; do usleep 10000; done"));
  ASSERT_TRUE(running.ok()) << running.status();
  ASSERT_TRUE(Eventually([&] { return Log(running->id()) == "up\n"; }));
  ASSERT_TRUE(Pause(running->id()).ok());
  const Container& container = *running;
  ASSERT_TRUE(Kill(container.id(), "SIGUSR1").ok());
  EXPECT_TRUE(IsStill(container.id()));
  EXPECT_EQ(Get(container.id())->state(), node::v1::CONTAINER_STATE_PAUSED);
  ASSERT_TRUE(Resume(container.id()).ok());
  EXPECT_TRUE(Eventually([&] { return Log(container.id()).find("got") != std::string::npos; }));
}

TEST_F(PauseTest, StaysPausedOverARestartOfTheDaemon) {
  Container container = RunPaused();
  ReopenEngine();
  EXPECT_EQ(Get(container.id())->state(), node::v1::CONTAINER_STATE_PAUSED);
  EXPECT_TRUE(IsStill(container.id()));
  ASSERT_TRUE(Resume(container.id()).ok());
  EXPECT_TRUE(GoesOn(container.id()));
}

TEST_F(PauseTest, WhatACrashLeftFrozenIsThawed) {
  Container container = RunPaused();
  ASSERT_TRUE(Resume(container.id()).ok());
  CloseEngine();
  ASSERT_TRUE(GroupOf(container)->Freeze().ok());
  OpenEngine();
  EXPECT_EQ(Get(container.id())->state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_TRUE(GoesOn(container.id()));
  // And the other way round: thawed, but not recorded any more.
  ASSERT_TRUE(Pause(container.id()).ok());
  CloseEngine();
  ASSERT_TRUE(GroupOf(container)->Thaw().ok());
  OpenEngine();
  EXPECT_EQ(Get(container.id())->state(), node::v1::CONTAINER_STATE_RUNNING);
}

TEST_F(PauseTest, OneWhoseSupervisorIsLostEnds) {
  Container container = RunPaused();
  std::ifstream status(absl::StrCat("/proc/", container.pid(), "/status"));
  std::string line;
  pid_t supervisor = 0;
  while (std::getline(status, line)) {
    if (line.rfind("PPid:", 0) == 0) supervisor = std::stoi(line.substr(5));
  }
  ASSERT_GT(supervisor, 1);
  ASSERT_EQ(kill(supervisor, SIGKILL), 0);
  EXPECT_TRUE(Wait(container.id()).ok());
  EXPECT_EQ(Get(container.id())->state(), node::v1::CONTAINER_STATE_EXITED);
}

TEST_F(PauseTest, OneWhoseInitIsKilledFromOutsideEnds) {
  Container container = RunPaused();
  ASSERT_EQ(kill(static_cast<pid_t>(container.pid()), SIGKILL), 0);
  // v1's freezer alone keeps it until it is thawed.
  auto ended = [&] { return Get(container.id())->state() == node::v1::CONTAINER_STATE_EXITED; };
  if (!Eventually(ended, absl::Seconds(2))) {
    ASSERT_TRUE(Resume(container.id()).ok());
  }
  EXPECT_TRUE(Eventually(ended));
}

}  // namespace
}  // namespace noded::test
