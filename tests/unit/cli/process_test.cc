// nodectl as a process of its own: signals, and a terminal, against a fake node.
#include <errno.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "clients/cli/exit_code.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using grpc::StatusCode;
using node::v1::AttachRequest;
using node::v1::AttachResponse;
using node::v1::ExecRequest;
using node::v1::ExecResponse;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(20);

// nodectl with its three streams on one terminal, whose other side we hold.
class Nodectl {
 public:
  Nodectl(const FakeNode& node, std::vector<std::string> args) {
    winsize size = {24, 80, 0, 0};
    char name[64];
    int slave = -1;
    if (openpty(&master_, &slave, name, nullptr, &size) != 0) abort();
    tcgetattr(slave, &before_);
    slave_ = slave;
    fcntl(master_, F_SETFD, FD_CLOEXEC);
    fcntl(slave_, F_SETFD, FD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    // Opened by a session leader without a terminal, it becomes its controlling one.
    posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    posix_spawn_file_actions_adddup2(&actions, 0, 2);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    args.insert(args.begin(), {"nodectl", "-a", node.address()});
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    if (posix_spawn(&pid_, NODECTL_BINARY, &actions, &attributes, argv.data(), environ) != 0)
      abort();
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Nodectl() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(master_);
    close(slave_);
  }

  void Type(const std::string& keys) {
    if (write(master_, keys.data(), keys.size()) < 0) ADD_FAILURE() << "cannot type";
  }
  void Signal(int number) { kill(pid_, number); }
  void Resize(unsigned short rows, unsigned short columns) {
    winsize size = {rows, columns, 0, 0};
    ioctl(master_, TIOCSWINSZ, &size);
  }
  bool IsRaw() const {
    termios now;
    tcgetattr(slave_, &now);
    return (now.c_lflag & (ICANON | ECHO | ISIG)) == 0;
  }
  bool IsAsBefore() const {
    termios now;
    tcgetattr(slave_, &now);
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag &&
           now.c_oflag == before_.c_oflag;
  }
  // What it printed, up to and with `text`.
  std::string ReadUntil(const std::string& text) {
    std::string screen;
    absl::Time end = absl::Now() + kPatience;
    while (!absl::StrContains(screen, text) && absl::Now() < end) {
      pollfd readable = {master_, POLLIN, 0};
      char buffer[4096];
      if (poll(&readable, 1, 100) <= 0) continue;
      ssize_t count = read(master_, buffer, sizeof(buffer));
      if (count <= 0) break;
      screen.append(buffer, static_cast<size_t>(count));
    }
    EXPECT_THAT(screen, HasSubstr(text));
    return screen;
  }
  // Its wait status; -1 when it does not end.
  int Wait() {
    absl::Time end = absl::Now() + kPatience;
    int status = -1;
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      if (absl::Now() > end) return -1;
      absl::SleepFor(absl::Milliseconds(5));
    }
    pid_ = -1;
    return status;
  }
  // Its exit status; -1 when it did not exit.
  int WaitForExit() {
    int status = Wait();
    return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = -1;
  int master_ = -1;
  int slave_ = -1;
  termios before_;
};

// An exec'd process that says "ready", writes down what it is told, and exits with 5 at "q" or a
// SIGINT, or when the client goes away.
class ProcessTest : public testing::Test {
 protected:
  ProcessTest() {
    node_.containers().Exec_ = [this](ServerContext&, ExecStream& stream) {
      ExecRequest request;
      stream.Read(&request);
      Told(absl::StrCat("size ", request.start().process().terminal_size().width()));
      ExecResponse response;
      response.mutable_started();
      stream.Write(response);
      response.set_stdout("ready\r\n");
      stream.Write(response);
      bool quit = false;
      while (!quit && stream.Read(&request)) {
        if (request.has_resize())
          Told(absl::StrCat("resize ", request.resize().width(), "x", request.resize().height()));
        if (!request.signal().empty()) Told(request.signal());
        if (!request.stdin().empty()) Told("typed " + request.stdin());
        quit = request.signal() == "SIGINT" || absl::StrContains(request.stdin(), "q");
      }
      if (!quit) Told("client gone");
      response.mutable_exited()->mutable_status()->set_code(5);
      stream.Write(response);
      return Status::OK;
    };
  }

  void Told(const std::string& what) {
    absl::MutexLock lock(&mutex_);
    told_.push_back(what);
  }
  // Waits until the process has been told that.
  void Await(const std::string& what) {
    absl::MutexLock lock(&mutex_);
    auto was_told = [&] { return std::find(told_.begin(), told_.end(), what) != told_.end(); };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&was_told), kPatience))
        << what << " was never said";
  }

  absl::Mutex mutex_;
  std::vector<std::string> told_;
  FakeNode node_;
};

TEST_F(ProcessTest, ATerminalIsRawWhileItRunsAndGivenBack) {
  Nodectl nodectl(node_, {"exec", "-it", "web", "sh"});
  nodectl.ReadUntil("ready");
  EXPECT_TRUE(nodectl.IsRaw());
  nodectl.Type("\x03");  // ctrl-C is a byte for the far end's terminal, not a signal here
  Await("typed \x03");
  nodectl.Resize(40, 100);
  Await("resize 100x40");
  nodectl.Type("q");
  EXPECT_EQ(nodectl.WaitForExit(), 5);
  EXPECT_TRUE(nodectl.IsAsBefore());
  EXPECT_EQ(told_.front(), "size 80");
}

TEST_F(ProcessTest, ASignalToARawTerminalEndsItAndGivesTheTerminalBack) {
  for (int signal_number : {SIGTERM, SIGHUP, SIGINT, SIGQUIT}) {
    Nodectl nodectl(node_, {"exec", "-it", "web", "sh"});
    nodectl.ReadUntil("ready");
    nodectl.Signal(signal_number);
    EXPECT_EQ(nodectl.WaitForExit(), 128 + signal_number);
    EXPECT_TRUE(nodectl.IsAsBefore()) << "after signal " << signal_number;
    Await("client gone");
  }
}

TEST_F(ProcessTest, ACrashGivesTheTerminalBack) {
  Nodectl nodectl(node_, {"exec", "-it", "web", "sh"});
  nodectl.ReadUntil("ready");
  nodectl.Signal(SIGABRT);
  int status = nodectl.Wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
  EXPECT_TRUE(nodectl.IsAsBefore());
}

TEST_F(ProcessTest, SignalsAreHandedOnWithoutATerminal) {
  Nodectl nodectl(node_, {"exec", "web", "sh"});
  nodectl.ReadUntil("ready");
  EXPECT_FALSE(nodectl.IsRaw());
  nodectl.Signal(SIGUSR1);
  Await("SIGUSR1");
  nodectl.Signal(SIGTERM);
  Await("SIGTERM");
  nodectl.Type("\x03");  // the terminal's own ctrl-C
  EXPECT_EQ(nodectl.WaitForExit(), 5);
  Await("SIGINT");
}

TEST_F(ProcessTest, WithoutSigProxyASignalIsForNodectl) {
  Nodectl nodectl(node_, {"exec", "--sig-proxy=false", "web", "sh"});
  nodectl.ReadUntil("ready");
  nodectl.Signal(SIGTERM);
  EXPECT_EQ(nodectl.WaitForExit(), 143);
  Await("client gone");
}

TEST_F(ProcessTest, ThreeSignalsInARowLeaveAProcessThatIgnoresThem) {
  Nodectl nodectl(node_, {"exec", "web", "sh"});
  nodectl.ReadUntil("ready");
  for (int i = 0; i < 3; ++i) {
    nodectl.Signal(SIGTERM);
    absl::SleepFor(absl::Milliseconds(50));  // or the kernel makes one of them
  }
  EXPECT_EQ(nodectl.WaitForExit(), 143);
}

TEST_F(ProcessTest, StoppedAndContinuedTheTerminalIsRawAgain) {
  Nodectl nodectl(node_, {"exec", "-it", "web", "sh"});
  nodectl.ReadUntil("ready");
  nodectl.Signal(SIGTSTP);
  absl::Time end = absl::Now() + kPatience;
  while (nodectl.IsRaw() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_TRUE(nodectl.IsAsBefore());
  absl::SleepFor(absl::Milliseconds(50));
  nodectl.Signal(SIGCONT);
  Await("resize 80x24");
  EXPECT_TRUE(nodectl.IsRaw());
  nodectl.Type("q");
  EXPECT_EQ(nodectl.WaitForExit(), 5);
}

// A container with a terminal that is attached to.
class DetachTest : public ProcessTest {
 protected:
  DetachTest() {
    node_.containers().CreateContainer_ = [](const auto& request, auto* response) {
      EXPECT_EQ(request.spec().process().terminal_size().width(),
                request.spec().process().tty() ? 80u : 0u);
      response->mutable_container()->set_id("aaaa");
      return Status::OK;
    };
    node_.containers().Start_ = [this](const auto&, auto*) { return start_error_; };
    node_.containers().Remove_ = [this](const auto&, auto*) {
      Told("remove");
      return Status::OK;
    };
    node_.containers().Attach_ = [this](ServerContext&, AttachStream& stream) {
      AttachRequest request;
      stream.Read(&request);
      AttachResponse response;
      response.mutable_attached();
      stream.Write(response);
      response.set_stdout("ready\r\n");
      stream.Write(response);
      while (stream.Read(&request)) {
        if (!request.stdin().empty()) Told("typed " + request.stdin());
      }
      Told("client gone");
      return Status::OK;
    };
  }
  Status start_error_;
};

TEST_F(DetachTest, TheKeysLeaveTheContainerRunning) {
  Nodectl nodectl(node_, {"run", "-it", "--rootfs", "/r", "sh"});
  nodectl.ReadUntil("ready");
  nodectl.Type("a\x10");
  Await("typed a");
  nodectl.Type("\x11");
  EXPECT_EQ(nodectl.WaitForExit(), kOk);
  EXPECT_TRUE(nodectl.IsAsBefore());
  Await("client gone");
  EXPECT_THAT(told_, ElementsAre("typed a", "client gone")) << "the keys never reach the container";
}

TEST_F(DetachTest, AFailedStartGivesTheTerminalBackBeforeItsMessage) {
  start_error_ = ErrorWith(StatusCode::INVALID_ARGUMENT, "no such program", "COMMAND_NOT_FOUND");
  Nodectl nodectl(node_, {"run", "-it", "--rootfs", "/r", "sh"});
  EXPECT_THAT(nodectl.ReadUntil("program"), HasSubstr("nodectl: run: no such program"));
  EXPECT_EQ(nodectl.WaitForExit(), kNotFound);
  EXPECT_TRUE(nodectl.IsAsBefore());
  Await("remove");
}

TEST_F(DetachTest, ASignalDuringTheStartRemovesTheContainer) {
  // Shared, because the call may outlive the test's stack frame.
  auto starting = std::make_shared<absl::Notification>();
  auto release = std::make_shared<absl::Notification>();
  node_.containers().Start_ = [starting, release](const auto&, auto*) {
    starting->Notify();
    release->WaitForNotification();
    return Status::OK;
  };
  Nodectl nodectl(node_, {"run", "--rootfs", "/r", "sh"});
  ASSERT_TRUE(starting->WaitForNotificationWithTimeout(kPatience));
  nodectl.Signal(SIGINT);
  EXPECT_EQ(nodectl.WaitForExit(), 130);
  Await("remove");
  release->Notify();
}

// A pull that goes on until it is cancelled.
class PullOnTerminalTest : public testing::Test {
 protected:
  PullOnTerminalTest() {
    node_.images().PullImage_ = [](const auto&, auto& writer) {
      node::v1::PullImageResponse response;
      auto* progress = response.add_progress();
      progress->set_digest("sha256:aaaaaaaaaaaaaaaaaa");
      progress->set_state(node::v1::TRANSFER_STATE_DOWNLOADING);
      progress->set_total_bytes(1000);
      for (int i = 0; i < 1000; ++i) {
        progress->set_current_bytes(i);
        if (!writer.Write(response)) return Status::CANCELLED;
        absl::SleepFor(absl::Milliseconds(20));
      }
      return Status::OK;
    };
  }
  FakeNode node_;
};

TEST_F(PullOnTerminalTest, ItHasABarAndEndsInOrder) {
  Nodectl nodectl(node_, {"pull", "busybox"});
  EXPECT_THAT(nodectl.ReadUntil("\x1b[1A"), HasSubstr("aaaaaaaaaaaa: Downloading ["));
  nodectl.Type("\x03");
  EXPECT_THAT(nodectl.ReadUntil("where it ended"),
              HasSubstr("nodectl: pull busybox: interrupted; the same command goes on"));
  EXPECT_EQ(nodectl.WaitForExit(), 130);
}

TEST_F(PullOnTerminalTest, SoDoesThatOfRun) {
  node_.images().GetImage_ = [](const auto&, auto*) {
    return ErrorWith(StatusCode::NOT_FOUND, "no image", "IMAGE_NOT_FOUND");
  };
  node_.containers().CreateContainer_ = [](const auto&, auto*) {
    return ErrorWith(StatusCode::NOT_FOUND, "no image", "IMAGE_NOT_FOUND");
  };
  Nodectl nodectl(node_, {"run", "-it", "busybox"});
  nodectl.ReadUntil("Downloading [");
  nodectl.Type("\x03");
  EXPECT_EQ(nodectl.WaitForExit(), 130);
  EXPECT_TRUE(nodectl.IsAsBefore());
}

TEST_F(PullOnTerminalTest, BytesAreNotWrittenToATerminal) {
  for (std::vector<std::string> args :
       {std::vector<std::string>{"save", "a"}, {"export", "web"}, {"cp", "web:/x", "-"}}) {
    Nodectl nodectl(node_, args);
    nodectl.ReadUntil("nothing is written to a terminal");
    EXPECT_EQ(nodectl.WaitForExit(), kFailure);
  }
  Nodectl nodectl(node_, {"load"});
  nodectl.ReadUntil("standard input is a terminal");
  EXPECT_EQ(nodectl.WaitForExit(), kFailure);
}

TEST_F(PullOnTerminalTest, APasswordIsNotShown) {
  ScratchDirectory scratch;
  setenv("NODECTL_CONFIG", (scratch / "config.json").c_str(), 1);
  Nodectl nodectl(node_, {"login", "host:5000"});
  unsetenv("NODECTL_CONFIG");
  nodectl.ReadUntil("Username: ");
  nodectl.Type("me\n");
  nodectl.ReadUntil("Password: ");
  // Typed only when it is not echoed any more, which follows the question.
  absl::SleepFor(absl::Milliseconds(200));
  nodectl.Type("secret\n");
  EXPECT_THAT(nodectl.ReadUntil("are kept in"), testing::Not(HasSubstr("secret")));
  EXPECT_EQ(nodectl.WaitForExit(), kOk);
  EXPECT_TRUE(nodectl.IsAsBefore());
  EXPECT_THAT(ContentOfFile(scratch / "config.json"), HasSubstr("bWU6c2VjcmV0"));
}

}  // namespace
}  // namespace noded::cli
