// Why it died: what the kernel kills for want of memory is counted, told, and set apart from how
// the container ended.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"

namespace noded::test {
namespace {

using node::v1::Container;
using node::v1::ContainerEvent;
using ::testing::EndsWith;
using WatchStream = std::shared_ptr<ResponseStream<node::v1::WatchResponse>>;

class OomTest : public EngineTest {
 protected:
  node::v1::ContainerSpec Limited(const std::string& script) const {
    node::v1::ContainerSpec spec = Shell(script);
    spec.mutable_limits()->mutable_memory()->set_max_bytes(16 << 20);
    return spec;
  }
  WatchStream Watch() {
    node::v1::WatchRequest request;
    auto stream = engine_->Watch(request);
    EXPECT_TRUE(stream.ok()) << stream.status();
    return stream.ok() ? *stream : nullptr;
  }
  // The changes of a container that are of these kinds, until one of the last of them.
  std::vector<ContainerEvent> Until(const WatchStream& watch, const std::string& id,
                                    node::v1::ContainerEventType last) {
    std::vector<ContainerEvent> found;
    while (true) {
      auto next = Next(*watch);
      if (!next.ok() || !next->has_value()) return found;
      for (const ContainerEvent& event : (*next)->events()) {
        if (event.container().id() != id) continue;
        if (event.type() == node::v1::CONTAINER_EVENT_TYPE_OOM_KILLED ||
            event.type() == node::v1::CONTAINER_EVENT_TYPE_EXITED) {
          found.push_back(event);
        }
        if (event.type() == last) return found;
      }
    }
  }
  static bool LogIsReadable() { return access("/dev/kmsg", R_OK) == 0; }
};

TEST_F(OomTest, ABombIsEndedAndItsNeighbourIsNot) {
  auto neighbour = Run(Limited("echo up; exec sleep 1000"));
  ASSERT_TRUE(neighbour.ok()) << neighbour.status();
  WatchStream watch = Watch();
  auto bomb = Run(Limited("x=a; while :; do x=$x$x$x$x; done"));
  ASSERT_TRUE(bomb.ok()) << bomb.status();
  std::vector<ContainerEvent> events =
      Until(watch, bomb->id(), node::v1::CONTAINER_EVENT_TYPE_EXITED);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].type(), node::v1::CONTAINER_EVENT_TYPE_OOM_KILLED);
  EXPECT_EQ(events[0].container().oom_kills(), 1u);
  EXPECT_EQ(events[0].container().exit_reason(), node::v1::EXIT_REASON_UNSPECIFIED);
  const Container& ended = events[1].container();
  EXPECT_EQ(ended.exit_reason(), node::v1::EXIT_REASON_OOM_KILLED);
  EXPECT_TRUE(ended.oom_killed());
  EXPECT_EQ(ended.oom_kills(), 1u);
  if (LogIsReadable()) {
    EXPECT_EQ(ended.last_oom_kill().pid(), bomb->pid());
    EXPECT_EQ(ended.last_oom_kill().process(), "sh");
    EXPECT_GT(ended.last_oom_kill().memory_bytes(), 8u << 20);
    EXPECT_THAT(ended.last_oom_kill().limit_cgroup(), EndsWith(bomb->cgroup_path()));
  }
  auto after = Get(neighbour->id());
  EXPECT_EQ(after->state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_EQ(after->oom_kills(), 0u);
  ASSERT_TRUE(Start(bomb->id()).ok());
  EXPECT_TRUE(Wait(bomb->id()).ok());
  EXPECT_EQ(Get(bomb->id())->oom_kills(), 1u) << "counted anew in each run";
}

TEST_F(OomTest, AChildIsKilledWhileTheContainerGoesOn) {
  WatchStream watch = Watch();
  auto container = Run(Limited("tail /dev/zero; until test -e /tmp/go; do usleep 10000; done"));
  ASSERT_TRUE(container.ok()) << container.status();
  // Nobody samples, and it has not ended: the kernel told.
  std::vector<ContainerEvent> events =
      Until(watch, container->id(), node::v1::CONTAINER_EVENT_TYPE_OOM_KILLED);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].container().state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_TRUE(events[0].container().oom_killed());
  if (LogIsReadable()) {
    EXPECT_EQ(events[0].container().last_oom_kill().process(), "tail");
    EXPECT_NE(events[0].container().last_oom_kill().pid(), container->pid());
  }
  EXPECT_TRUE(Exec(container->id(), "touch /tmp/go").status.ok());
  auto waited = Wait(container->id());
  ASSERT_TRUE(waited.ok()) << waited.status();
  EXPECT_EQ(waited->status().code(), 0);
  EXPECT_EQ(waited->reason(), node::v1::EXIT_REASON_COMPLETED);
  auto ended = Get(container->id());
  EXPECT_TRUE(ended->oom_killed());
  EXPECT_EQ(ended->oom_kills(), 1u);
}

TEST_F(OomTest, KillsAreCountedAndNotEvents) {
  auto container = Run(Limited("tail /dev/zero; tail /dev/zero; tail /dev/zero; exit 0"));
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Wait(container->id()).ok());
  auto ended = Get(container->id());
  EXPECT_EQ(ended->oom_kills(), 3u);
  EXPECT_EQ(ended->exit_reason(), node::v1::EXIT_REASON_COMPLETED);
}

TEST_F(OomTest, WithoutTheKernelsLogNobodyIsNamed) {
  CloseEngine();
  EngineOptions options = Options();
  options.kernel_log = "/nonexistent";
  auto engine = Engine::Open(options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);
  auto container = Run(Limited("tail /dev/zero; exec sleep 1000"));
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Eventually([&] { return Get(container->id())->oom_kills() == 1; }));
  EXPECT_FALSE(Get(container->id())->has_last_oom_kill());
}

TEST_F(OomTest, AKillWhileNodedIsAwayIsRecordedWhenItComesBack) {
  auto container = Run(
      Limited("until test -e /tmp/go; do usleep 10000; done; tail /dev/zero; touch /tmp/killed; "
              "exec sleep 1000"));
  ASSERT_TRUE(container.ok()) << container.status();
  CloseEngine();
  std::string root = absl::StrCat("/proc/", container->pid(), "/root/tmp/");
  ASSERT_TRUE(OpenAt(AT_FDCWD, root + "go", O_WRONLY | O_CREAT, 0600).ok());
  ASSERT_TRUE(Eventually([&] { return access((root + "killed").c_str(), F_OK) == 0; }));
  OpenEngine();
  EXPECT_TRUE(Eventually([&] { return Get(container->id())->oom_kills() == 1; }));
}

}  // namespace
}  // namespace noded::test
