// Standard streams, terminals, attached clients, logs, and the reaping init.
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "gtest/gtest.h"
#include "node/base/file.h"
#include "tests/integration/shim/harness.h"

namespace noded::shim {
namespace {

using std::chrono::milliseconds;

TEST(StreamsTest, InputReachesTheContainerAndItsEndToo) {
  Shim shim;
  Client client = shim.Connect();
  Attached attached = shim.Attach(client);
  // Before the launch: it waits in the socket.
  attached.SendInput("one\n");
  pb::LaunchPlan plan = shim.Plan({"cat"});
  plan.set_stdin_open(true);
  ASSERT_TRUE(client.Launch(plan).reply.has_launched());
  attached.SendInput("two\n");
  attached.CloseInput();
  EXPECT_EQ(attached.ReadToEnd(), "one\ntwo\n");
  EXPECT_EQ(client.WaitExited().code(), 0);
}

TEST(StreamsTest, MuchInputPassesASlowContainerWhole) {
  Shim shim;
  Client client = shim.Connect();
  Attached attached = shim.Attach(client);
  pb::LaunchPlan plan = shim.Plan({"sh", "-c", "sleep 0.3; cat | md5sum"});
  ASSERT_EQ(symlink("busybox", (shim.root() + "/bin/md5sum").c_str()), 0);
  plan.set_stdin_open(true);
  ASSERT_TRUE(client.Launch(plan).reply.has_launched());
  for (int i = 0; i < 64; ++i) attached.SendInput(std::string(50000, 'a'));
  attached.CloseInput();
  // md5 of 3,200,000 times "a".
  EXPECT_EQ(attached.ReadToEnd().size(), 36u);
}

TEST(StreamsTest, WithoutStdinItIsAtItsEnd) {
  Shim shim;
  Client client = shim.Connect();
  ASSERT_TRUE(client.Launch(shim.Plan({"cat"})).reply.has_launched());
  EXPECT_EQ(client.WaitExited().code(), 0);
}

TEST(StreamsTest, InputOnceEndsWithItsSender) {
  Shim shim;
  Client client = shim.Connect();
  Attached listener = shim.Attach(client);
  pb::LaunchPlan plan = shim.Plan({"cat"});
  plan.set_stdin_open(true);
  plan.set_stdin_once(true);
  ASSERT_TRUE(client.Launch(plan).reply.has_launched());
  {
    Attached sender = shim.Attach(client);
    sender.SendInput("last words\n");
  }
  EXPECT_EQ(listener.ReadToEnd(), "last words\n");
}

TEST(StreamsTest, SeveralClientsSeeTheSame) {
  Shim shim;
  Client client = shim.Connect();
  Attached first = shim.Attach(client), second = shim.Attach(client);
  ASSERT_TRUE(client.Launch(shim.Plan({"seq", "1", "1000"})).reply.has_launched());
  const std::string seen = first.ReadToEnd();
  EXPECT_EQ(seen.size(), 3893u);
  EXPECT_EQ(second.ReadToEnd(), seen);
}

// Thread sanitizer slows the client down so much that it does not keep up.
#ifdef __SANITIZE_THREAD__
constexpr bool kClientIsSlow = true;
#else
constexpr bool kClientIsSlow = false;
#endif

TEST(StreamsTest, AHealthyClientMissesNothingOfMuch) {
  if (kClientIsSlow) GTEST_SKIP() << "a client under the thread sanitizer is not healthy";
  Shim shim;
  Client client = shim.Connect();
  Attached attached = shim.Attach(client);
  ASSERT_TRUE(
      client.Launch(shim.Plan({"head", "-c", "50000000", "/dev/zero"})).reply.has_launched());
  EXPECT_EQ(attached.ReadToEnd().size(), 50000000u);
}

TEST(StreamsTest, AStuckClientHoldsUpNobodyAndIsToldWhatItMissed) {
  if (kClientIsSlow) GTEST_SKIP() << "a client under the thread sanitizer is not healthy";
  Shim shim;
  Client client = shim.Connect();
  Attached stuck = shim.Attach(client), healthy = shim.Attach(client);
  constexpr size_t kBytes = 20000000;
  ASSERT_TRUE(client.Launch(shim.Plan({"head", "-c", std::to_string(kBytes), "/dev/zero"}))
                  .reply.has_launched());
  EXPECT_EQ(healthy.ReadToEnd().size(), kBytes);
  EXPECT_EQ(client.WaitExited().code(), 0);
  size_t got = 0, missed = 0;
  while (true) {
    std::optional<Attached::Frame> frame = stuck.Read();
    ASSERT_TRUE(frame.has_value());
    if (frame->type == 4) break;
    if (frame->type != 3) {
      got += frame->payload.size();
      continue;
    }
    uint64_t count = 0;
    for (int i = 7; i >= 0; --i) count = count << 8 | static_cast<uint8_t>(frame->payload[i]);
    missed += count;
  }
  EXPECT_GT(missed, 0u);
  EXPECT_EQ(got + missed, kBytes);
}

TEST(StreamsTest, ClientsWhoComeAfterTheEndAreToldSo) {
  Shim shim;
  Client client = shim.Connect();
  // Keeps the supervisor: in the host's pid namespace an exec outlives init.
  pb::LaunchPlan plan = shim.Plan({"sh", "-c", "read line"});
  plan.set_stdin_open(true);
  plan.set_clone_flags(CLONE_NEWNS);
  plan.clear_steps();
  const pb::LaunchPlan usual = shim.Plan({});
  for (const pb::Step& step : usual.steps()) {
    if (!step.has_set_hostname() && !step.has_loopback_up() && step.new_mount().type() != "sysfs" &&
        !step.mask_path().starts_with("/sys")) {
      *plan.add_steps() = step;
    }
  }
  Client::Answer launched = client.Launch(plan);
  ASSERT_TRUE(launched.reply.has_launched()) << launched.Text();
  pb::ExecPlan exec = shim.ExecPlan("e1", {"sleep", "1000"});
  exec.set_join_flags(CLONE_NEWNS);
  Client::Answer execed = client.Exec(exec);
  ASSERT_TRUE(execed.reply.has_execed()) << execed.Text();
  ASSERT_TRUE(client.SignalInit(SIGKILL).reply.has_done());
  client.WaitExited();
  Attached late = shim.Attach(client);
  EXPECT_EQ(late.ReadToEnd(), "");
  pb::Request request;
  request.mutable_signal()->set_exec_id("e1");
  request.mutable_signal()->set_signal(SIGKILL);
  EXPECT_TRUE(client.Ask(request).reply.has_done());
  EXPECT_TRUE(shim.WaitLeft());
}

TEST(StreamsTest, TerminalWithConsoleAndResize) {
  Shim shim;
  Client client = shim.Connect();
  Attached attached = shim.Attach(client);
  pb::LaunchPlan plan = shim.Plan(
      {"sh", "-c", "tty; stty size; echo console > /dev/console; read x; stty size; echo $x"});
  plan.set_stdin_open(true);
  plan.mutable_process()->set_tty(true);
  plan.mutable_process()->set_terminal_width(90);
  plan.mutable_process()->set_terminal_height(25);
  pb::LaunchPlan with_console = plan;
  with_console.clear_steps();
  for (const pb::Step& step : plan.steps()) {
    if (step.has_pivot()) with_console.add_steps()->mutable_bind_console();
    *with_console.add_steps() = step;
  }
  Client::Answer answer = client.Launch(with_console);
  ASSERT_TRUE(answer.reply.has_launched()) << answer.Text();
  std::string seen;
  while (seen.find("console\r\n") == std::string::npos) {
    std::optional<Attached::Frame> frame = attached.Read();
    ASSERT_TRUE(frame.has_value()) << seen;
    seen += frame->payload;
  }
  EXPECT_EQ(seen, "/dev/pts/0\r\n25 90\r\nconsole\r\n");
  pb::Request resize;
  resize.mutable_resize()->set_width(70);
  resize.mutable_resize()->set_height(20);
  EXPECT_TRUE(client.Ask(resize).reply.has_done());
  attached.SendInput("typed\n");
  EXPECT_EQ(attached.ReadToEnd(), "typed\r\n20 70\r\ntyped\r\n");
  EXPECT_EQ(client.WaitExited().code(), 0);
  EXPECT_NE(shim.Log().find("stdout F typed\r\n"), std::string::npos) << shim.Log();
}

TEST(StreamsTest, LogIsCompleteWhenTheEndIsTold) {
  Shim shim;
  Client client = shim.Connect();
  ASSERT_TRUE(client.Launch(shim.Plan({"seq", "1", "20000"})).reply.has_launched());
  client.WaitExited();
  std::string expected;
  for (int i = 1; i <= 20000; ++i) expected += "stdout F " + std::to_string(i) + "\n";
  const std::string log = shim.Log();
  EXPECT_EQ(log.size(), expected.size());
  EXPECT_TRUE(log == expected);
}

TEST(StreamsTest, APromptIsLoggedBeforeItsLineEnds) {
  Shim shim;
  Client client = shim.Connect();
  pb::LaunchPlan plan = shim.Plan({"sh", "-c", "echo -n 'name? '; read x"});
  plan.set_stdin_open(true);
  ASSERT_TRUE(client.Launch(plan).reply.has_launched());
  for (int i = 0; i < 500 && shim.Log().empty(); ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(shim.Log(), "stdout P name? \n");
}

TEST(StreamsTest, AProcessThatHoldsTheStreamsDoesNotHoldTheEnd) {
  Shim shim;
  Client client = shim.Connect();
  pb::LaunchPlan plan = shim.Plan({"sh", "-c", "sleep 4 & echo started; exit 6"});
  // Without a pid namespace it survives init, for longer than it is waited for.
  plan.set_clone_flags(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET);
  Client::Answer answer = client.Launch(plan);
  ASSERT_TRUE(answer.reply.has_launched()) << answer.Text();
  EXPECT_EQ(client.WaitExited().code(), 6);
  EXPECT_TRUE(shim.WaitLeft());
}

class ReaperTest : public testing::Test {
 protected:
  ReaperTest() : client_(shim_.Connect()), attached_(shim_.Attach(client_)) {}
  void Start(std::vector<std::string> argv) {
    pb::LaunchPlan plan = shim_.Plan(argv);
    plan.set_reaper(true);
    Client::Answer answer = client_.Launch(plan);
    ASSERT_TRUE(answer.reply.has_launched()) << answer.Text();
  }
  Shim shim_;
  Client client_;
  Attached attached_;
};

TEST_F(ReaperTest, ReapsOrphansAndGivesTheMainProcessesCode) {
  Start({"sh", "-c",
         "echo $$; sh -c 'sleep 0.1 & exit'; sleep 0.5; grep -c ^State:.Z /proc/[0-9]*/status |"
         "grep -c :1; exit 11"});
  EXPECT_EQ(attached_.ReadToEnd(), "2\n0\n");
  EXPECT_EQ(client_.WaitExited().code(), 11);
}

TEST_F(ReaperTest, SignalsGoToTheMainProcessAndItsDeathIsTold) {
  Start({"sleep", "1000"});
  ASSERT_TRUE(client_.SignalInit(SIGTERM).reply.has_done());
  pb::ExitRecord exit = client_.WaitExited();
  EXPECT_EQ(exit.signal(), SIGTERM);
  EXPECT_FALSE(exit.has_code());
}

TEST_F(ReaperTest, ASignalToPidOneIsForwarded) {
  Start({"sh", "-c", "trap 'echo caught; exit 12' USR1; kill -USR1 1; sleep 0.3"});
  EXPECT_EQ(attached_.ReadToEnd(), "caught\n");
  EXPECT_EQ(client_.WaitExited().code(), 12);
}

TEST_F(ReaperTest, MissingBinaryIsReported) {
  pb::LaunchPlan plan = shim_.Plan({"no-such-command"});
  plan.set_reaper(true);
  Client::Answer answer = client_.Launch(plan);
  EXPECT_EQ(answer.reply.failure().step(), pb::FAILURE_STEP_EXEC) << answer.Text();
}

}  // namespace
}  // namespace noded::shim
