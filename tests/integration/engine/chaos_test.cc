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
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"

namespace noded::test {
namespace {

using node::v1::Container;
using node::v1::ContainerSpec;

constexpr int kRounds = 20;
constexpr int kWorkers = 3;
// Long enough that most rounds are in the middle of something.
constexpr int kLeastMillis = 50, kMostMillis = 450;
constexpr int kShortCode = 11, kStoppedCode = 7;

// What one worker was answered, as its journal tells.
struct Answered {
  std::map<std::string, std::string> last;  // of each container
  std::string unanswered;                   // a request_id
  bool unanswered_is_short = false;
  std::string failure;
};

class ChaosTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    // The engine of each round lives in a process of its own.
    if (!IsSkipped()) CloseEngine();
  }

  std::string Journal(int worker) const { return absl::StrCat(scratch_, "/journal-", worker); }

  // Writes numbered lines, and its end too when it is told to stop.
  ContainerSpec Long() const {
    return Shell(
        "trap 'echo end $i; exit 7' TERM; i=0; "
        "while :; do echo $i; i=$((i+1)); usleep 5000; done");
  }
  ContainerSpec Short() const { return Shell("echo 0; exit 11"); }

  // In the child, until it is killed.
  [[noreturn]] void Work(unsigned seed) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    OpenEngine();
    std::vector<std::thread> workers;
    for (int i = 0; i < kWorkers; ++i) workers.emplace_back([=, this] { WorkOn(i, seed + i); });
    for (std::thread& worker : workers) worker.join();
    _exit(1);
  }

  // Runs, execs, stops and removes, and writes down what it was answered, each line by one write.
  void WorkOn(int worker, unsigned seed) {
    std::ofstream lines(Journal(worker), std::ios::app);
    auto note = [&](const std::string& line) { lines << line << std::endl; };
    std::mt19937 random(seed);
    std::vector<std::string> running;
    for (int i = 0;; ++i) {
      bool is_short = random() % 3 == 0;
      std::string request = absl::StrCat("request-", seed, "-", i);
      note(absl::StrCat(is_short ? "ask-short " : "ask-long ", request));
      auto container = Run(is_short ? Short() : Long(), request);
      if (!container.ok()) {
        note(absl::StrCat("failed ", container.status().ToString()));
        return;
      }
      note(absl::StrCat(is_short ? "short " : "long ", container->id()));
      if (is_short) continue;
      running.push_back(container->id());
      if (random() % 3 == 0) Exec(container->id(), "echo exec");
      if (running.size() < 2) continue;
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

  Answered ReadJournal(int worker) const {
    Answered answered;
    std::ifstream lines(Journal(worker));
    for (std::string line; std::getline(lines, line);) {
      std::vector<std::string> words = absl::StrSplit(line, ' ');
      if (words[0] == "failed") {
        answered.failure = line;
      } else if (words[0] == "ask-short" || words[0] == "ask-long") {
        answered.unanswered = words[1];
        answered.unanswered_is_short = words[0] == "ask-short";
      } else {
        answered.last[words[1]] = words[0];
        if (words[0] == "short" || words[0] == "long") answered.unanswered.clear();
      }
    }
    return answered;
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

  void CheckContainer(const std::string& id, const std::string& what) {
    auto container = Get(id);
    if (what == "removed") {
      EXPECT_TRUE(absl::IsNotFound(container.status())) << id;
      return;
    }
    // A removal that was not answered may have happened or not.
    if (what == "removing" && !container.ok()) return;
    ASSERT_TRUE(container.ok()) << id << " was " << what << ": " << container.status();
    SCOPED_TRACE(container->DebugString());
    bool has_exited = container->state() == node::v1::CONTAINER_STATE_EXITED;
    if (what == "long") {
      EXPECT_EQ(container->state(), node::v1::CONTAINER_STATE_RUNNING);
      EXPECT_TRUE(IsAlive(container->pid()));
    } else if (what == "short") {
      ASSERT_TRUE(Wait(id).ok());
      EXPECT_EQ(Get(id)->exit_status().code(), kShortCode);
      EXPECT_EQ(Get(id)->exit_reason(), node::v1::EXIT_REASON_COMPLETED);
    } else if (what == "stopped") {
      EXPECT_TRUE(has_exited);
      EXPECT_EQ(container->exit_status().code(), kStoppedCode);
      EXPECT_EQ(container->exit_reason(), node::v1::EXIT_REASON_STOPPED);
    } else if (what == "stopping" && has_exited) {
      EXPECT_EQ(container->exit_status().code(), kStoppedCode);
    }
    CheckLog(id, Log(id));
  }

  // There or not, but whole; and the same request makes no second one.
  void CheckUnanswered(const Answered& answered) {
    if (answered.unanswered.empty()) return;
    ++in_the_middle_;
    auto repeat = Run(answered.unanswered_is_short ? Short() : Long(), answered.unanswered);
    ASSERT_TRUE(repeat.ok()) << repeat.status();
    if (answered.unanswered_is_short) {
      EXPECT_EQ(Wait(repeat->id())->status().code(), kShortCode) << repeat->DebugString();
    } else {
      EXPECT_EQ(repeat->state(), node::v1::CONTAINER_STATE_RUNNING) << repeat->DebugString();
    }
  }

  void CheckAndRemoveAll() {
    node::v1::ListRequest request;
    request.set_page_size(1000);
    auto all = engine_->List(request);
    ASSERT_TRUE(all.ok()) << all.status();
    for (const Container& container : all->containers()) {
      EXPECT_TRUE(container.state() == node::v1::CONTAINER_STATE_RUNNING ||
                  container.state() == node::v1::CONTAINER_STATE_EXITED)
          << container.DebugString();
      EXPECT_TRUE(Remove(container.id(), true).ok()) << container.DebugString();
    }
    EXPECT_TRUE(Eventually([&] { return Leftovers().empty(); }, absl::Seconds(5)))
        << ::testing::PrintToString(Leftovers());
  }

  int in_the_middle_ = 0;
};

TEST_F(ChaosTest, NothingAnsweredIsLostAndNothingIsLeftBehind) {
  unsigned seed = std::random_device()();
  std::cerr << "seed " << seed << "\n";
  std::mt19937 random(seed);
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    for (int i = 0; i < kWorkers; ++i) std::ofstream(Journal(i), std::ios::trunc);
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) Work(seed + static_cast<unsigned>(round) * kWorkers);
    absl::SleepFor(absl::Milliseconds(kLeastMillis + random() % (kMostMillis - kLeastMillis)));
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    absl::SleepFor(absl::Milliseconds(random() % 20));

    OpenEngine();
    ASSERT_NE(engine_, nullptr);
    for (int i = 0; i < kWorkers; ++i) {
      Answered answered = ReadJournal(i);
      EXPECT_EQ(answered.failure, "");
      for (const auto& [id, what] : answered.last) CheckContainer(id, what);
      CheckUnanswered(answered);
    }
    CheckAndRemoveAll();
    CloseEngine();
  }
  std::cerr << in_the_middle_ << " starts cut off in " << kRounds << " rounds\n";
}

}  // namespace
}  // namespace noded::test
