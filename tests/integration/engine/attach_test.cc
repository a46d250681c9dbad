// Clients on the main process's standard streams.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"

namespace noded::test {
namespace {

using node::v1::AttachRequest;
using node::v1::ContainerSpec;
using ::testing::HasSubstr;

struct Seen {
  absl::Status status;
  bool attached = false;
  std::string out, err;
  uint64_t missed = 0;
  std::optional<node::v1::ContainerExited> exited;
};

class AttachTest : public EngineTest {
 protected:
  // To the end of the stream.
  static Seen ReadAll(Engine::AttachStream& stream) {
    Seen seen;
    while (true) {
      auto next = Next(stream);
      seen.status = next.status();
      if (!next.ok() || !next->has_value()) return seen;
      const node::v1::AttachResponse& response = **next;
      if (response.has_attached()) seen.attached = true;
      absl::StrAppend(&seen.out, response.stdout());
      absl::StrAppend(&seen.err, response.stderr());
      seen.missed += response.missed_bytes();
      if (response.has_exited()) seen.exited = response.exited();
    }
  }
  static void AwaitAttached(Engine::AttachStream& stream) {
    auto first = Next(stream);
    ASSERT_TRUE(first.ok() && first->has_value()) << first.status();
    EXPECT_TRUE((*first)->has_attached());
  }
  static AttachRequest Input(const std::string& bytes) {
    AttachRequest request;
    request.set_stdin(bytes);
    return request;
  }
};

TEST_F(AttachTest, BeforeTheStartNothingIsMissed) {
  auto created = Create(Shell("echo first; echo second >&2; exit 3"));
  ASSERT_TRUE(created.ok()) << created.status();
  std::vector<std::shared_ptr<Engine::AttachStream>> streams;
  for (int i = 0; i < 3; ++i) {
    streams.push_back(BeginAttach(created->id()));
    AwaitAttached(*streams.back());
  }
  ASSERT_TRUE(Start(created->id()).ok());
  for (auto& stream : streams) {
    Seen seen = ReadAll(*stream);
    EXPECT_TRUE(seen.status.ok()) << seen.status;
    EXPECT_EQ(seen.out, "first\n");
    EXPECT_EQ(seen.err, "second\n");
    ASSERT_TRUE(seen.exited);
    EXPECT_EQ(seen.exited->status().code(), 3);
    EXPECT_EQ(seen.exited->reason(), node::v1::EXIT_REASON_COMPLETED);
  }
}

TEST_F(AttachTest, InputGoesInAndEnds) {
  ContainerSpec spec = Shell("cat; echo end");
  spec.mutable_process()->set_stdin(true);
  auto created = Create(spec);
  ASSERT_TRUE(created.ok()) << created.status();
  std::shared_ptr<Engine::AttachStream> stream = BeginAttach(created->id());
  AwaitAttached(*stream);
  ASSERT_TRUE(Start(created->id()).ok());
  std::string much(700'000, 'x');
  ASSERT_TRUE(Send(*stream, Input("line\n")).ok());
  ASSERT_TRUE(Send(*stream, Input(much)).ok());
  AttachRequest close;
  close.mutable_close_stdin();
  ASSERT_TRUE(Send(*stream, close).ok());
  Seen seen = ReadAll(*stream);
  EXPECT_TRUE(seen.status.ok()) << seen.status;
  EXPECT_EQ(seen.out.size() + seen.missed, 5 + much.size() + 4);
  EXPECT_THAT(seen.out, ::testing::EndsWith("end\n"));
}

TEST_F(AttachTest, AStuckClientHoldsUpNobody) {
  auto created = Create(Shell("seq 1 500000; echo over"));
  ASSERT_TRUE(created.ok()) << created.status();
  std::shared_ptr<Engine::AttachStream> stuck = BeginAttach(created->id());
  AwaitAttached(*stuck);
  ASSERT_TRUE(Start(created->id()).ok());
  // It never reads, and the container comes to its end.
  auto waited = Wait(created->id());
  ASSERT_TRUE(waited.ok()) << waited.status();
  EXPECT_EQ(waited->status().code(), 0);
  EXPECT_THAT(Log(created->id()), ::testing::EndsWith("500000\nover\n"));
  // Then it is told how much it missed.
  Seen seen = ReadAll(*stuck);
  EXPECT_TRUE(seen.status.ok()) << seen.status;
  EXPECT_GT(seen.missed, 0u);
  EXPECT_EQ(seen.out.size() + seen.missed, Log(created->id()).size());
  EXPECT_TRUE(seen.exited);
}

TEST_F(AttachTest, ToARunningOneWithItsLogFirst) {
  auto container =
      Run(Shell("echo before; trap 'echo after; exit' TERM; while :; do sleep 0.05; done"));
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Eventually([&] { return Log(container->id()) == "before\n"; }));
  std::shared_ptr<Engine::AttachStream> with_log = BeginAttach(container->id(), true);
  auto first = Next(*with_log);
  ASSERT_TRUE(first.ok() && first->has_value()) << first.status();
  EXPECT_EQ((*first)->stdout(), "before\n");
  AwaitAttached(*with_log);
  std::shared_ptr<Engine::AttachStream> without = BeginAttach(container->id());
  AwaitAttached(*without);
  ASSERT_TRUE(Stop(container->id()).ok());
  EXPECT_EQ(ReadAll(*with_log).out, "after\n");
  EXPECT_EQ(ReadAll(*without).out, "after\n");
}

TEST_F(AttachTest, ToAnExitedOneTellsItsEndAtOnce) {
  auto container = Run(Shell("echo said; exit 8"));
  ASSERT_TRUE(container.ok()) << container.status();
  ASSERT_TRUE(Wait(container->id()).ok());
  std::shared_ptr<Engine::AttachStream> stream = BeginAttach(container->id(), true);
  Seen seen = ReadAll(*stream);
  EXPECT_TRUE(seen.attached);
  EXPECT_EQ(seen.out, "said\n");
  ASSERT_TRUE(seen.exited);
  EXPECT_EQ(seen.exited->status().code(), 8);
}

TEST_F(AttachTest, GoingAwayLeavesTheContainerAlone) {
  auto created = Create(Shell("trap 'exit 3' TERM; while :; do echo tick; sleep 0.01; done"));
  ASSERT_TRUE(created.ok()) << created.status();
  std::shared_ptr<Engine::AttachStream> early = BeginAttach(created->id());
  AwaitAttached(*early);
  early->Cancel();
  ASSERT_TRUE(Start(created->id()).ok());
  std::shared_ptr<Engine::AttachStream> late = BeginAttach(created->id());
  AwaitAttached(*late);
  late->Cancel();
  EXPECT_TRUE(absl::IsCancelled(Next(*late).status()));
  absl::SleepFor(absl::Milliseconds(200));
  EXPECT_EQ(Get(created->id())->state(), node::v1::CONTAINER_STATE_RUNNING);
  EXPECT_EQ(Stop(created->id())->exit_status().code(), 3);
}

TEST_F(AttachTest, ATerminalTakesTheSizeItWasGivenBeforeTheStart) {
  ContainerSpec spec = Shell("sleep 0.3; stty size; read line; echo got:$line");
  spec.mutable_process()->set_tty(true);
  spec.mutable_process()->set_stdin(true);
  auto created = Create(spec);
  ASSERT_TRUE(created.ok()) << created.status();
  std::shared_ptr<Engine::AttachStream> stream = BeginAttach(created->id());
  AwaitAttached(*stream);
  AttachRequest resize;
  resize.mutable_resize()->set_width(111);
  resize.mutable_resize()->set_height(33);
  ASSERT_TRUE(Send(*stream, resize).ok());
  ASSERT_TRUE(Start(created->id()).ok());
  ASSERT_TRUE(Send(*stream, Input("hello\n")).ok());
  Seen seen = ReadAll(*stream);
  EXPECT_THAT(seen.out, HasSubstr("33 111"));
  EXPECT_THAT(seen.out, HasSubstr("got:hello"));
}

TEST_F(AttachTest, AFailedStartIsToldToWhoWasAttached) {
  auto created = Create(Spec({"frobnicate"}));
  ASSERT_TRUE(created.ok()) << created.status();
  std::shared_ptr<Engine::AttachStream> stream = BeginAttach(created->id());
  AwaitAttached(*stream);
  EXPECT_FALSE(Start(created->id()).ok());
  Seen seen = ReadAll(*stream);
  ASSERT_TRUE(seen.exited) << seen.status;
  EXPECT_EQ(seen.exited->reason(), node::v1::EXIT_REASON_START_FAILED);
}

TEST_F(AttachTest, BadFirstMessagesAreRefused) {
  std::shared_ptr<Engine::AttachStream> stream = engine_->Attach();
  EXPECT_TRUE(absl::IsInvalidArgument(Send(*stream, Input("no start before"))));
  EXPECT_TRUE(absl::IsInvalidArgument(Next(*stream).status()));
  stream = BeginAttach("nobody");
  EXPECT_TRUE(absl::IsNotFound(Next(*stream).status()));
}

}  // namespace
}  // namespace noded::test
