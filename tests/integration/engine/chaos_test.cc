// noded killed at random moments under load, again and again: nothing that was answered is lost,
// and nothing is left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <fstream>
#include <map>
#include <random>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"

namespace noded::test {
namespace {

using node::v1::Container;

constexpr int kRounds = 20;
// Long enough that most rounds are in the middle of something.
constexpr int kMostMillis = 400;

class ChaosTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    // The engine of each round lives in a process of its own.
    CloseEngine();
  }

  // In the child, until it is killed: runs, execs, stops and removes, and writes down what it was
  // answered, each line by one write.
  [[noreturn]] void Work(int round, const std::string& journal) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // The parent's lock file must not be inherited; it has none open, see SetUp.
    OpenEngine();
    std::ofstream lines(journal, std::ios::app);
    auto note = [&](const std::string& line) { lines << line << std::endl; };
    std::mt19937 random(static_cast<unsigned>(round));
    std::vector<std::string> running;
    for (int i = 0;; ++i) {
      std::string request = absl::StrCat("request-", round, "-", i);
      note(absl::StrCat("asked ", request));
      auto container = Run(Script(), request);
      if (!container.ok()) {
        note(absl::StrCat("failed ", container.status().ToString()));
        continue;
      }
      note(absl::StrCat("ran ", container->id(), " ", request));
      running.push_back(container->id());
      if (random() % 3 == 0) Exec(container->id(), "echo exec");
      if (running.size() < 3) continue;
      std::string victim = running.front();
      running.erase(running.begin());
      if (random() % 2 == 0) {
        note(absl::StrCat("stopping ", victim));
        if (Stop(victim).ok()) note(absl::StrCat("stopped ", victim));
      } else {
        note(absl::StrCat("removing ", victim));
        if (Remove(victim, true).ok()) note(absl::StrCat("removed ", victim));
      }
    }
  }

  // Writes numbered lines, and its end too when it is told to stop.
  node::v1::ContainerSpec Script() const {
    return Shell(
        "trap 'echo end $i; exit 7' TERM; i=0; "
        "while :; do echo $i; i=$((i+1)); usleep 5000; done");
  }

  // All lines 0, 1, 2… and none missing; the end if there is one.
  static void CheckLog(const std::string& id, const std::string& log) {
    int expected = 0;
    for (absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
      if (line == absl::StrCat("end ", expected)) continue;
      // The trap may come between the echo and the counting.
      if (expected > 0 && line == absl::StrCat("end ", expected - 1)) continue;
      ASSERT_EQ(line, absl::StrCat(expected++)) << "log of " << id;
    }
  }
};

TEST_F(ChaosTest, NothingAnsweredIsLostAndNothingIsLeftBehind) {
  unsigned seed = std::random_device()();
  std::cerr << "seed " << seed << "\n";
  std::mt19937 random(seed);
  const std::string journal = scratch_ + "/journal";
  int killed_in_the_middle = 0;
  for (int round = 0; round < kRounds; ++round) {
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) Work(round, journal);
    absl::SleepFor(absl::Milliseconds(50 + random() % kMostMillis));
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    absl::SleepFor(absl::Milliseconds(random() % 20));

    OpenEngine();
    std::map<std::string, std::string> last;  // of each container, what was answered last
    std::map<std::string, std::string> request_of;
    std::string asked;
    std::ifstream lines(journal);
    for (std::string line; std::getline(lines, line);) {
      std::vector<std::string> words = absl::StrSplit(line, ' ');
      EXPECT_NE(words[0], "failed") << line;
      if (words[0] == "asked") {
        asked = words[1];
        continue;
      }
      last[words[1]] = words[0];
      if (words[0] == "ran") {
        request_of[words[1]] = words[2];
        asked.clear();
      }
    }
    for (const auto& [id, what] : last) {
      auto container = Get(id);
      if (what == "removed") {
        EXPECT_TRUE(absl::IsNotFound(container.status())) << id;
        continue;
      }
      // A removal that was not answered may have happened or not.
      if (what == "removing" && !container.ok()) continue;
      ASSERT_TRUE(container.ok()) << id << " was " << what << ": " << container.status();
      if (what == "ran") {
        EXPECT_EQ(container->state(), node::v1::CONTAINER_STATE_RUNNING)
            << container->DebugString();
        EXPECT_TRUE(IsAlive(container->pid()));
      }
      if (what == "stopped") {
        EXPECT_EQ(container->state(), node::v1::CONTAINER_STATE_EXITED);
        EXPECT_EQ(container->exit_status().code(), 7) << container->DebugString();
        EXPECT_EQ(container->exit_reason(), node::v1::EXIT_REASON_STOPPED);
      }
      if (what == "stopping" && container->state() == node::v1::CONTAINER_STATE_EXITED) {
        EXPECT_EQ(container->exit_status().code(), 7) << container->DebugString();
      }
      CheckLog(id, Log(id));
    }
    // The one that was asked for and not answered: there or not, but whole, and the same request
    // makes no second one.
    if (!asked.empty()) {
      ++killed_in_the_middle;
      auto repeat = Run(Script(), asked);
      ASSERT_TRUE(repeat.ok()) << repeat.status();
      EXPECT_EQ(repeat->state(), node::v1::CONTAINER_STATE_RUNNING) << repeat->DebugString();
    }
    auto all = engine_->List(node::v1::ListRequest());
    ASSERT_TRUE(all.ok()) << all.status();
    for (const Container& container : all->containers()) {
      EXPECT_NE(container.state(), node::v1::CONTAINER_STATE_UNKNOWN) << container.DebugString();
      EXPECT_NE(container.state(), node::v1::CONTAINER_STATE_STARTING) << container.DebugString();
      EXPECT_TRUE(Remove(container.id(), true).ok()) << container.DebugString();
    }
    EXPECT_TRUE(Eventually([&] { return Leftovers().empty(); }, absl::Seconds(5)))
        << "round " << round << ": " << ::testing::PrintToString(Leftovers());
    CloseEngine();
    std::ofstream(journal, std::ios::trunc);
    if (HasFailure()) break;
  }
  std::cerr << killed_in_the_middle << " of " << kRounds << " in the middle of a start\n";
}

}  // namespace
}  // namespace noded::test
