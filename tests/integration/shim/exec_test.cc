// Processes run in a container that runs.
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "gtest/gtest.h"
#include "node/base/file.h"
#include "tests/integration/shim/harness.h"

namespace noded::shim {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    reader.Reset(ends[0]);
    writer.Reset(ends[1]);
  }
  std::string ReadToEnd() {
    std::string all;
    char buffer[65536];
    ssize_t got;
    while ((got = read(reader.get(), buffer, sizeof(buffer))) > 0) {
      all.append(buffer, static_cast<size_t>(got));
    }
    return all;
  }
  UniqueFd reader, writer;
};

bool IsAlive(pid_t pid) {
  const std::string status = ReadAll("/proc/" + std::to_string(pid) + "/status");
  return status.find("State:") != std::string::npos &&
         status.find("State:\tZ") == std::string::npos;
}

class ExecTest : public testing::Test {
 protected:
  ExecTest() : client_(shim_.Connect()) {}
  void Start(std::vector<std::string> argv = {"sleep", "1000"},
             void (*change)(pb::LaunchPlan&) = nullptr) {
    pb::LaunchPlan plan = shim_.Plan(argv);
    if (change != nullptr) change(plan);
    Client::Answer answer = client_.Launch(plan);
    ASSERT_TRUE(answer.reply.has_launched()) << answer.Text();
    init_ = answer.reply.launched().pid();
  }
  std::string ExecOutput(const pb::ExecPlan& plan) {
    Pipe out;
    UniqueFd null = *OpenAt(AT_FDCWD, "/dev/null", O_RDONLY);
    Client::Answer answer = client_.Exec(plan, {null.get(), out.writer.get(), out.writer.get()});
    out.writer.Reset();
    if (!answer.reply.has_execed()) return answer.Text();
    return out.ReadToEnd();
  }

  Shim shim_;
  Client client_;
  pid_t init_ = 0;
};

TEST_F(ExecTest, OutputAndExitCode) {
  Start();
  EXPECT_EQ(ExecOutput(shim_.ExecPlan("e1", {"sh", "-c", "echo from inside; exit 9"})),
            "from inside\n");
  pb::ExecState state = client_.WaitExecExited("e1");
  EXPECT_TRUE(state.exited());
  EXPECT_EQ(state.code(), 9);
}

TEST_F(ExecTest, SeesTheContainer) {
  Start();
  EXPECT_EQ(
      ExecOutput(shim_.ExecPlan(
          "e1", {"sh", "-c", "readlink /proc/1/exe; readlink /proc/self/ns/pid | head -c 4"})),
      "/bin/busybox\npid:");
  char own[64] = {}, inside[64] = {};
  const std::string init_namespace = "/proc/" + std::to_string(init_) + "/ns/mnt";
  ASSERT_GT(readlink("/proc/self/ns/mnt", own, sizeof(own) - 1), 0);
  ASSERT_GT(readlink(init_namespace.c_str(), inside, sizeof(inside) - 1), 0);
  EXPECT_STRNE(own, inside);
  EXPECT_EQ(ExecOutput(shim_.ExecPlan("e2", {"readlink", "/proc/self/ns/mnt"})),
            std::string(inside) + "\n");
}

TEST_F(ExecTest, TheSupervisorStaysInItsOwnNamespaces) {
  Start();
  ExecOutput(shim_.ExecPlan("e1", {"true"}));
  for (const char* name : {"pid_for_children", "mnt", "net", "uts", "ipc", "user", "cgroup"}) {
    char own[64] = {}, of_shim[64] = {};
    ASSERT_GT(readlink((std::string("/proc/self/ns/") + name).c_str(), own, 63), 0);
    ASSERT_GT(
        readlink(("/proc/" + std::to_string(shim_.pid()) + "/ns/" + name).c_str(), of_shim, 63), 0);
    EXPECT_STREQ(own, of_shim);
  }
}

TEST_F(ExecTest, EndOfInputEndsCat) {
  Start();
  Pipe in, out;
  UniqueFd null = *OpenAt(AT_FDCWD, "/dev/null", O_WRONLY);
  Client::Answer answer =
      client_.Exec(shim_.ExecPlan("e1", {"cat"}), {in.reader.get(), out.writer.get(), null.get()});
  ASSERT_TRUE(answer.reply.has_execed()) << answer.Text();
  in.reader.Reset();
  out.writer.Reset();
  std::string sent(300000, 'x');
  std::thread writer([&] {
    EXPECT_TRUE(WriteAll(in.writer.get(), sent).ok());
    in.writer.Reset();
  });
  EXPECT_EQ(out.ReadToEnd(), sent);
  writer.join();
  EXPECT_EQ(client_.WaitExecExited("e1").code(), 0);
}

TEST_F(ExecTest, MissingBinaryLeavesNothing) {
  Start();
  Client::Answer answer = client_.Exec(shim_.ExecPlan("e1", {"no-such-command"}));
  EXPECT_EQ(answer.reply.failure().step(), pb::FAILURE_STEP_EXEC) << answer.Text();
  EXPECT_EQ(answer.reply.failure().error(), ENOENT);
  EXPECT_EQ(client_.Query().execs_size(), 0);
}

TEST_F(ExecTest, BeforeALaunchAndAfterTheEnd) {
  Client::Answer answer = client_.Exec(shim_.ExecPlan("e1", {"true"}));
  EXPECT_EQ(answer.reply.failure().step(), pb::FAILURE_STEP_NOT_RUNNING) << answer.Text();
}

TEST_F(ExecTest, SameIdTwiceIsRefused) {
  Start();
  ASSERT_TRUE(client_.Exec(shim_.ExecPlan("e1", {"sleep", "1000"})).reply.has_execed());
  Client::Answer answer = client_.Exec(shim_.ExecPlan("e1", {"true"}));
  EXPECT_EQ(answer.reply.failure().error(), EEXIST) << answer.Text();
}

TEST_F(ExecTest, Signal) {
  Start();
  ASSERT_TRUE(client_.Exec(shim_.ExecPlan("e1", {"sleep", "1000"})).reply.has_execed());
  pb::Request request;
  request.mutable_signal()->set_exec_id("e1");
  request.mutable_signal()->set_signal(SIGTERM);
  ASSERT_TRUE(client_.Ask(request).reply.has_done());
  pb::ExecState state = client_.WaitExecExited("e1");
  EXPECT_EQ(state.signal(), SIGTERM);
  EXPECT_FALSE(state.has_code());
  EXPECT_EQ(client_.Ask(request).reply.failure().step(), pb::FAILURE_STEP_NOT_RUNNING);
}

TEST_F(ExecTest, ATimeLimitKillsAndIsTold) {
  Start();
  pb::ExecPlan limited = shim_.ExecPlan("e1", {"sleep", "1000"});
  limited.set_time_limit_ms(200);
  ASSERT_TRUE(client_.Exec(limited).reply.has_execed());
  pb::ExecState ended = client_.WaitExecExited("e1");
  EXPECT_EQ(ended.signal(), SIGKILL);
  EXPECT_TRUE(ended.timed_out());

  pb::ExecPlan quick = shim_.ExecPlan("e2", {"true"});
  quick.set_time_limit_ms(1000000);
  ASSERT_TRUE(client_.Exec(quick).reply.has_execed());
  EXPECT_FALSE(client_.WaitExecExited("e2").timed_out());
}

TEST_F(ExecTest, IsKnownUntilForgotten) {
  Start();
  ASSERT_TRUE(client_.Exec(shim_.ExecPlan("e1", {"sh", "-c", "exit 5"})).reply.has_execed());
  client_.WaitExecExited("e1");
  Client later = shim_.Connect();
  pb::State state = later.Query();
  ASSERT_EQ(state.execs_size(), 1);
  EXPECT_EQ(state.execs(0).code(), 5);
  pb::Request request;
  request.mutable_forget()->add_exec_ids("e1");
  EXPECT_TRUE(later.Ask(request).reply.has_done());
  EXPECT_EQ(later.Query().execs_size(), 0);
}

TEST_F(ExecTest, TheContainersEndEndsIt) {
  Start();
  ASSERT_TRUE(client_.Exec(shim_.ExecPlan("e1", {"sleep", "1000"})).reply.has_execed());
  ASSERT_TRUE(client_.SignalInit(SIGKILL).reply.has_done());
  EXPECT_EQ(client_.WaitExecExited("e1").signal(), SIGKILL);
  EXPECT_EQ(client_.WaitExited().signal(), SIGKILL);
  EXPECT_TRUE(shim_.WaitLeft());
}

TEST_F(ExecTest, InAUserNamespace) {
  Start({"sleep", "1000"}, UseUserNamespace);
  pb::ExecPlan plan = shim_.ExecPlan(
      "e1", {"sh", "-c", "id -u; touch /made; stat -c %u /made; cat /proc/self/uid_map"});
  plan.set_join_flags(plan.join_flags() | CLONE_NEWUSER);
  EXPECT_EQ(ExecOutput(plan), "0\n0\n         0     100000      65536\n");
  plan.set_exec_id("e2");
  plan.mutable_process()->mutable_user()->set_uid(1000);
  plan.mutable_process()->set_argv(2, "id -u; echo named > /proc/self/fd/1");
  EXPECT_EQ(ExecOutput(plan), "1000\nnamed\n");
}

// The supervisor's death ends what init's would not.
TEST_F(ExecTest, DiesWithTheSupervisorInTheHostsPidNamespace) {
  Start({"sleep", "1000"}, [](pb::LaunchPlan& plan) {
    plan.set_clone_flags(plan.clone_flags() & ~static_cast<uint64_t>(CLONE_NEWPID));
  });
  pb::ExecPlan plan = shim_.ExecPlan("e1", {"sleep", "1000"});
  plan.set_join_flags(plan.join_flags() & ~static_cast<uint64_t>(CLONE_NEWPID));
  Client::Answer answer = client_.Exec(plan);
  ASSERT_TRUE(answer.reply.has_execed()) << answer.Text();
  const pid_t pid = answer.reply.execed().pid();
  ASSERT_EQ(kill(pid, 0), 0);
  shim_.Kill();
  for (int i = 0; i < 1000 && IsAlive(pid); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(IsAlive(pid));
}

// /dev/null as a stream of a user namespace is still the host's.
TEST_F(ExecTest, NullStaysTheHosts) {
  Start({"sleep", "1000"}, UseUserNamespace);
  pb::ExecPlan plan = shim_.ExecPlan("e1", {"true"});
  plan.set_join_flags(plan.join_flags() | CLONE_NEWUSER);
  UniqueFd null = *OpenAt(AT_FDCWD, "/dev/null", O_RDWR);
  ASSERT_TRUE(client_.Exec(plan, {null.get(), null.get(), null.get()}).reply.has_execed());
  struct stat info;
  ASSERT_EQ(stat("/dev/null", &info), 0);
  EXPECT_EQ(info.st_uid, 0u);
}

TEST_F(ExecTest, EntersTheGroupsThatAreGiven) {
  const std::string group = "/sys/fs/cgroup/pids/noded-shim-test-" + std::to_string(getpid());
  if (mkdir(group.c_str(), 0755) != 0) GTEST_SKIP() << "no v1 pids hierarchy";
  UniqueFd tasks = *OpenAt(AT_FDCWD, group + "/tasks", O_WRONLY);
  Start();
  Pipe out;
  UniqueFd memfd = *SealedMemfd(
      "plan", shim_.ExecPlan("e1", {"grep", "pids", "/proc/self/cgroup"}).SerializeAsString());
  pb::Request request;
  request.mutable_exec()->set_stdout(1);
  request.mutable_exec()->add_cgroup_tasks(2);
  Client::Answer answer = client_.Ask(request, {memfd.get(), out.writer.get(), tasks.get()});
  out.writer.Reset();
  EXPECT_TRUE(answer.reply.has_execed()) << answer.Text();
  EXPECT_NE(out.ReadToEnd().find(":/noded-shim-test-"), std::string::npos);
  client_.WaitExecExited("e1");
  EXPECT_EQ(rmdir(group.c_str()), 0);
}

TEST_F(ExecTest, EntersTheUnifiedGroupThatIsGiven) {
  const std::string group = UnifiedRoot() + "/noded-shim-exec-" + std::to_string(getpid());
  if (mkdir(group.c_str(), 0755) != 0) GTEST_SKIP() << "no unified hierarchy";
  UniqueFd directory = *OpenAt(AT_FDCWD, group, O_RDONLY | O_DIRECTORY);
  Start();
  Pipe out;
  UniqueFd memfd = *SealedMemfd(
      "plan", shim_.ExecPlan("e1", {"grep", "^0::", "/proc/self/cgroup"}).SerializeAsString());
  pb::Request request;
  request.mutable_exec()->set_stdout(1);
  request.mutable_exec()->set_cgroup_directory(2);
  Client::Answer answer = client_.Ask(request, {memfd.get(), out.writer.get(), directory.get()});
  out.writer.Reset();
  EXPECT_TRUE(answer.reply.has_execed()) << answer.Text();
  EXPECT_NE(out.ReadToEnd().find("/noded-shim-exec-"), std::string::npos);
  client_.WaitExecExited("e1");
  EXPECT_EQ(rmdir(group.c_str()), 0);
}

TEST_F(ExecTest, TerminalOfTheContainersOwn) {
  Start();
  pb::ExecPlan plan =
      shim_.ExecPlan("e1", {"sh", "-c", "tty; stty size; read line; echo got $line"});
  plan.mutable_process()->set_tty(true);
  plan.mutable_process()->set_terminal_width(100);
  plan.mutable_process()->set_terminal_height(30);
  Client::Answer answer = client_.Exec(plan);
  ASSERT_TRUE(answer.reply.has_execed()) << answer.Text();
  ASSERT_TRUE(answer.fd.valid()) << "no master came";
  auto read_until = [&](const std::string& wanted) {
    std::string all;
    char buffer[256];
    ssize_t got;
    while (all.find(wanted) == std::string::npos &&
           (got = read(answer.fd.get(), buffer, sizeof(buffer))) > 0) {
      all.append(buffer, static_cast<size_t>(got));
    }
    return all;
  };
  EXPECT_EQ(read_until("30 100\r\n"), "/dev/pts/0\r\n30 100\r\n");
  pb::Request resize;
  resize.mutable_resize()->set_exec_id("e1");
  resize.mutable_resize()->set_width(60);
  resize.mutable_resize()->set_height(20);
  EXPECT_TRUE(client_.Ask(resize).reply.has_done());
  winsize size{};
  ASSERT_EQ(ioctl(answer.fd.get(), TIOCGWINSZ, &size), 0);
  EXPECT_EQ(size.ws_col, 60);
  ASSERT_TRUE(WriteAll(answer.fd.get(), "hi\n").ok());
  EXPECT_NE(read_until("got hi\r\n").find("got hi"), std::string::npos);
  EXPECT_EQ(client_.WaitExecExited("e1").code(), 0);
}

TEST_F(ExecTest, DetachedTerminalIsReadAway) {
  Start();
  pb::ExecPlan plan = shim_.ExecPlan("e1", {"sh", "-c", "head -c 1000000 /dev/zero; exit 4"});
  plan.mutable_process()->set_tty(true);
  plan.set_detached(true);
  ASSERT_TRUE(client_.Exec(plan).reply.has_execed());
  EXPECT_EQ(client_.WaitExecExited("e1").code(), 4);
}

// The terminal of an attached exec was noded's: without it the process gets what a closed terminal
// gives.
TEST_F(ExecTest, LosingNodedHangsUpATerminal) {
  Start();
  pb::ExecPlan plan = shim_.ExecPlan("e1", {"sleep", "1000"});
  plan.mutable_process()->set_tty(true);
  pid_t pid = 0;
  {
    Client::Answer answer = client_.Exec(plan);
    ASSERT_TRUE(answer.reply.has_execed()) << answer.Text();
    pid = answer.reply.execed().pid();
  }
  ASSERT_EQ(kill(pid, 0), 0);
  client_.Close();
  for (int i = 0; i < 1000 && kill(pid, 0) == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  Client later = shim_.Connect();
  pb::State state = later.Query();
  ASSERT_EQ(state.execs_size(), 1);
  EXPECT_EQ(state.execs(0).signal(), SIGHUP);
}

}  // namespace
}  // namespace noded::shim
