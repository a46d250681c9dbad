// Processes exec'd into a running container.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"
#include "tests/patience.h"

namespace noded::test {
namespace {

using node::v1::ExecRequest;
using node::v1::ExecResponse;
using node::v1::ExecStart;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ExecTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (IsSkipped()) return;
    auto container = Run(Spec({"sleep", "1000"}));
    ASSERT_TRUE(container.ok()) << container.status();
    id_ = container->id();
  }

  ExecStart Start(const std::string& script) const { return ExecOf(id_, script); }
  ExecStart WithInput(const std::string& script) const {
    ExecStart start = ExecOf(id_, script);
    start.mutable_process()->set_stdin(true);
    return start;
  }
  static ExecRequest Input(const std::string& bytes) {
    ExecRequest request;
    request.set_stdin(bytes);
    return request;
  }
  // The `started` message.
  static node::v1::ExecStarted Started(Engine::ExecStream& stream) {
    auto first = Next(stream);
    EXPECT_TRUE(first.ok() && first->has_value()) << first.status();
    if (!first.ok() || !first->has_value()) return {};
    EXPECT_TRUE((*first)->has_started());
    return (*first)->started();
  }
  // Output until this text has come.
  static std::string ReadUntil(Engine::ExecStream& stream, const std::string& text) {
    std::string out;
    while (!absl::StrContains(out, text)) {
      auto next = Next(stream);
      if (!next.ok() || !next->has_value() || (*next)->has_exited()) {
        ADD_FAILURE() << "ended before \"" << text << "\" came: " << out;
        break;
      }
      absl::StrAppend(&out, (*next)->stdout(), (*next)->stderr());
    }
    return out;
  }

  std::string id_;
};

TEST_F(ExecTest, InputEndsWhenTheStreamIsHalfClosed) {
  ExecResult result = Exec(WithInput("cat; echo done"), "line\n");
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.out, "line\ndone\n");
  EXPECT_EQ(result.code, 0);
}

TEST_F(ExecTest, StatusesAreTheTrueOnes) {
  EXPECT_EQ(Exec(id_, "exit 9").code, 9);
  EXPECT_EQ(Exec(id_, "kill -TERM $$").signal, SIGTERM);
}

TEST_F(ExecTest, BadStartsAreRefusedWithTheirReason) {
  ExecStart missing = Start("true");
  missing.mutable_process()->clear_argv();
  EXPECT_TRUE(absl::IsInvalidArgument(Exec(missing).status));
  missing.mutable_process()->add_argv("frobnicate");
  absl::Status status = Exec(missing).status;
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(ReasonOf(status), reason::kCommandNotFound);
  missing.mutable_process()->set_argv(0, "/etc/passwd");
  EXPECT_EQ(ReasonOf(Exec(missing).status), reason::kCommandNotExecutable);
  ExecStart user = Start("true");
  user.mutable_process()->mutable_user()->set_name("mallory");
  EXPECT_EQ(ReasonOf(Exec(user).status), reason::kUserNotFound);

  std::shared_ptr<Engine::ExecStream> stream = engine_->Exec();
  EXPECT_TRUE(absl::IsInvalidArgument(Send(*stream, Input("no start before"))));
  EXPECT_TRUE(absl::IsInvalidArgument(Next(*stream).status()));
}

TEST_F(ExecTest, AnExitedContainerRefuses) {
  ASSERT_TRUE(Stop(id_, absl::ZeroDuration()).ok());
  absl::Status status = Exec(id_, "true").status;
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(ReasonOf(status), reason::kWrongState);
}

TEST_F(ExecTest, MuchGoesThroughByteForByte) {
  constexpr size_t kChunk = 1 << 20;
  constexpr int kChunks = 64;
  std::shared_ptr<Engine::ExecStream> stream = BeginExec(WithInput("cat"));
  Started(*stream);
  auto byte_at = [](uint64_t offset) { return static_cast<char>(offset * 2654435761u >> 13); };
  std::thread writer([&] {
    uint64_t offset = 0;
    for (int i = 0; i < kChunks; ++i) {
      std::string chunk(kChunk, '\0');
      for (char& c : chunk) c = byte_at(offset++);
      ASSERT_TRUE(Send(*stream, Input(chunk)).ok());
    }
    stream->CloseSend();
  });
  uint64_t received = 0, wrong = 0;
  std::optional<int> code;
  while (true) {
    auto next = Next(*stream);
    ASSERT_TRUE(next.ok()) << next.status();
    if (!next->has_value()) break;
    for (char c : (*next)->stdout()) wrong += c != byte_at(received++);
    if ((*next)->has_exited()) code = (*next)->exited().status().code();
  }
  writer.join();
  EXPECT_EQ(received, kChunk * kChunks);
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(code, 0);
}

// What is not read fills a pipe, and then the process waits: it is not dropped, and nobody's memory
// grows.
TEST_F(ExecTest, ASlowReaderHoldsUpItsOwnProcessOnly) {
  std::shared_ptr<Engine::ExecStream> slow =
      BeginExec(Start("seq 1 1000000; echo all written >&2"));
  Started(*slow);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Exec(id_, "echo quick").out, "quick\n");
  std::string out, err;
  while (true) {
    auto next = Next(*slow);
    ASSERT_TRUE(next.ok()) << next.status();
    if (!next->has_value()) break;
    absl::StrAppend(&out, (*next)->stdout());
    absl::StrAppend(&err, (*next)->stderr());
  }
  EXPECT_EQ(out.size(), 6'888'896u);
  EXPECT_THAT(out, ::testing::EndsWith("999999\n1000000\n"));
  EXPECT_EQ(err, "all written\n");
}

TEST_F(ExecTest, ASlowProcessHoldsUpItsWriter) {
  std::shared_ptr<Engine::ExecStream> stream = BeginExec(WithInput("sleep 1; wc -c"));
  Started(*stream);
  const std::string chunk(1 << 20, 'x');
  std::atomic<int> taken = 0;
  std::thread writer([&] {
    for (int i = 0; i < 8; ++i) {
      ASSERT_TRUE(Send(*stream, Input(chunk)).ok());
      ++taken;
    }
    stream->CloseSend();
  });
  absl::SleepFor(absl::Milliseconds(500));
  EXPECT_LE(taken, 2) << "a pipe holds no more than 1 MiB";
  EXPECT_THAT(ReadUntil(*stream, "\n"), HasSubstr("8388608"));
  writer.join();
  stream->Cancel();
}

TEST_F(ExecTest, InputThatNobodyReadsIsNoError) {
  std::shared_ptr<Engine::ExecStream> stream = BeginExec(WithInput("exec <&-; sleep 0.3; exit 4"));
  Started(*stream);
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(Send(*stream, Input(std::string(1 << 20, 'x'))).ok());
  }
  auto next = Next(*stream);
  ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
  EXPECT_EQ((*next)->exited().status().code(), 4);
}

TEST_F(ExecTest, AClientThatGoesAwayEndsItsProcess) {
  std::shared_ptr<Engine::ExecStream> polite = BeginExec(
      Start("trap 'touch /tmp/terminated; exit' TERM; echo up; while :; do sleep 0.05; done"));
  node::v1::ExecStarted started = Started(*polite);
  ReadUntil(*polite, "up");
  polite->Cancel();
  EXPECT_TRUE(absl::IsCancelled(Next(*polite).status()));
  EXPECT_TRUE(Eventually([&] { return !IsAlive(started.pid()); }, absl::Seconds(3)));
  EXPECT_EQ(Exec(id_, "ls /tmp").out, "terminated\n");

  std::shared_ptr<Engine::ExecStream> stubborn =
      BeginExec(Start("trap '' TERM; echo up; while :; do sleep 0.05; done"));
  started = Started(*stubborn);
  ReadUntil(*stubborn, "up");
  stubborn->Cancel();
  absl::SleepFor(absl::Seconds(1));
  EXPECT_TRUE(IsAlive(started.pid())) << "it has 2 s";
  EXPECT_TRUE(Eventually([&] { return !IsAlive(started.pid()); }, absl::Seconds(5)));
  EXPECT_TRUE(Eventually([&] { return Get(id_)->exec_ids().empty(); }));
}

TEST_F(ExecTest, ADetachedOneOutlivesItsStream) {
  ExecStart start = Start("sleep 1; echo written >/tmp/later");
  start.set_detach(true);
  std::shared_ptr<Engine::ExecStream> stream = BeginExec(start);
  node::v1::ExecStarted started = Started(*stream);
  auto end = Next(*stream);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_FALSE(end->has_value());
  stream->Cancel();
  EXPECT_TRUE(IsAlive(started.pid()));
  // Written down beside the answer, not before it.
  EXPECT_TRUE(Eventually([&] { return Get(id_)->exec_ids_size() == 1; }));
  EXPECT_THAT(Get(id_)->exec_ids(), ::testing::ElementsAre(started.exec_id()));
  EXPECT_TRUE(Eventually([&] { return Get(id_)->exec_ids().empty(); }));
  EXPECT_EQ(Exec(id_, "cat /tmp/later").out, "written\n");
}

TEST_F(ExecTest, ATimeLimitKills) {
  ExecStart start = Start("trap '' TERM; while :; do sleep 0.05; done");
  start.mutable_time_limit()->set_nanos(300'000'000);
  ExecResult result = Exec(start);
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.signal, SIGKILL);
  EXPECT_FALSE(Exec(id_, "true").timed_out);
}

TEST_F(ExecTest, ATerminalHasSizeEchoAndEnd) {
  ExecStart start = Start("stty size; read line; echo got:$line; exit 6");
  start.mutable_process()->set_tty(true);
  start.mutable_process()->set_stdin(true);
  start.mutable_process()->mutable_terminal_size()->set_width(100);
  start.mutable_process()->mutable_terminal_size()->set_height(30);
  std::shared_ptr<Engine::ExecStream> stream = BeginExec(start);
  Started(*stream);
  EXPECT_THAT(ReadUntil(*stream, "\n"), HasSubstr("30 100"));
  ASSERT_TRUE(Send(*stream, Input("hello\n")).ok());
  EXPECT_THAT(ReadUntil(*stream, "got:"), HasSubstr("hello"));
  while (true) {
    auto next = Next(*stream);
    ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
    if (!(*next)->has_exited()) continue;
    EXPECT_EQ((*next)->exited().status().code(), 6);
    break;
  }
}

TEST_F(ExecTest, ATerminalIsResizedAndSignalled) {
  ExecStart start = Start(
      "trap 'stty size' WINCH; trap 'echo int; exit 1' INT; echo up; "
      "while :; do sleep 0.05; done");
  start.mutable_process()->set_tty(true);
  std::shared_ptr<Engine::ExecStream> stream = BeginExec(start);
  Started(*stream);
  ReadUntil(*stream, "up");
  ExecRequest resize;
  resize.mutable_resize()->set_width(132);
  resize.mutable_resize()->set_height(50);
  ASSERT_TRUE(Send(*stream, resize).ok());
  ReadUntil(*stream, "50 132");
  ExecRequest signal;
  signal.set_signal("SIGINT");
  ASSERT_TRUE(Send(*stream, signal).ok());
  ReadUntil(*stream, "int");
  stream->Cancel();
}

// Its child holds the pipes open; the end is told all the same, after a pause.
TEST_F(ExecTest, AChildInTheBackgroundDoesNotHoldUpTheEnd) {
  absl::Time before = absl::Now();
  ExecResult result = Exec(id_, "sleep 30 & echo parent");
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.out, "parent\n");
  EXPECT_EQ(result.code, 0);
  EXPECT_LT(absl::Now() - before, Patience(absl::Seconds(10)));
}

TEST_F(ExecTest, ManyAtOnce) {
  constexpr int kExecs = 100;
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < kExecs / 10; ++j) {
        ExecResult result = Exec(id_, absl::StrCat("echo ", i, "-", j));
        if (result.out == absl::StrCat(i, "-", j, "\n") && result.code == 0) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, kExecs);
  EXPECT_TRUE(Eventually([&] { return Get(id_)->exec_ids().empty(); }));
}

TEST_F(ExecTest, AnExecEndsWithItsContainer) {
  std::shared_ptr<Engine::ExecStream> stream = BeginExec(Start("echo up; sleep 1000"));
  Started(*stream);
  ReadUntil(*stream, "up");
  ASSERT_TRUE(Kill(id_, "KILL").ok());
  auto next = Next(*stream);
  ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
  EXPECT_EQ((*next)->exited().status().signal(), SIGKILL);
}

}  // namespace
}  // namespace noded::test
