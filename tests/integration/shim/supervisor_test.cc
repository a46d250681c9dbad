// A supervisor from its start to its end: placed in a cgroup, launched once, gone when it has
// nothing to do.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "gtest/gtest.h"
#include "node/base/file.h"
#include "tests/integration/shim/harness.h"

namespace noded::shim {
namespace {

bool ProcessExists(pid_t pid) { return kill(pid, 0) == 0; }

TEST(SupervisorTest, GroupOfTheUnifiedHierarchyAndItsNamespace) {
  const std::string group = UnifiedRoot() + "/noded-shim-test-" + std::to_string(getpid());
  if (mkdir(group.c_str(), 0755) != 0) GTEST_SKIP() << "no unified hierarchy";
  {
    Shim shim;
    Client client = shim.Connect();
    Attached attached = shim.Attach(client);
    pb::LaunchPlan plan = shim.Plan({"grep", "^0::", "/proc/self/cgroup"});
    plan.add_steps()->mutable_new_cgroup_namespace();
    UniqueFd directory = *OpenAt(AT_FDCWD, group, O_RDONLY | O_DIRECTORY);
    const uint64_t launch = client.SendLaunch(plan);
    pb::Place place;
    place.set_cgroup_directory(0);
    client.SendPlace(place, {directory.get()});
    Client::Answer answer = client.Receive(launch);
    EXPECT_TRUE(answer.reply.has_launched()) << answer.Text();
    // Its own group is the root of what it sees.
    EXPECT_EQ(attached.ReadToEnd(), "0::/\n");
    client.WaitExited();
  }
  EXPECT_EQ(rmdir(group.c_str()), 0);
}

TEST(SupervisorTest, AGroupThatIsNone) {
  Shim shim;
  Client client = shim.Connect();
  UniqueFd directory = *OpenAt(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY);
  const uint64_t launch = client.SendLaunch(shim.Plan({"true"}));
  pb::Place place;
  place.set_cgroup_directory(0);
  client.SendPlace(place, {directory.get()});
  Client::Answer answer = client.Receive(launch);
  EXPECT_EQ(answer.reply.failure().step(), pb::FAILURE_STEP_CGROUP) << answer.Text();
}

// A tasks file that takes no "0" stands for one of a group that was removed.
TEST(SupervisorTest, AGroupThatCannotBeEntered) {
  Shim shim;
  Client client = shim.Connect();
  UniqueFd tasks = *OpenAt(AT_FDCWD, "/dev/full", O_WRONLY);
  const uint64_t launch = client.SendLaunch(shim.Plan({"true"}));
  pb::Place place;
  place.add_cgroup_tasks(0);
  client.SendPlace(place, {tasks.get()});
  Client::Answer answer = client.Receive(launch);
  EXPECT_EQ(answer.reply.failure().step(), pb::FAILURE_STEP_CGROUP) << answer.Text();
  EXPECT_EQ(answer.reply.failure().error(), ENOSPC) << answer.Text();
}

TEST(SupervisorTest, APlaceWithoutItsDescriptorsFailsTheLaunch) {
  Shim shim;
  Client client = shim.Connect();
  client.SendPlace({}, {});  // before any launch: nothing
  const uint64_t launch = client.SendLaunch(shim.Plan({"true"}));
  pb::Place place;
  place.add_cgroup_tasks(7);
  client.SendPlace(place, {});
  EXPECT_EQ(client.Receive(launch).reply.failure().step(), pb::FAILURE_STEP_REQUEST);
  EXPECT_TRUE(client.Launch(shim.Plan({"true"})).reply.has_launched()) << "the next try";
}

TEST(SupervisorTest, ALaunchWhoseNodedIsGoneBeforeItsPlaceEnds) {
  Shim shim;
  {
    Client client = shim.Connect();
    client.SendLaunch(shim.Plan({"true"}));
    client.Query();
  }
  EXPECT_TRUE(shim.WaitLeft());
}

TEST(SupervisorTest, TheTitleNamesTheContainer) {
  Shim shim;
  const std::string proc = "/proc/" + std::to_string(shim.pid());
  Client client = shim.Connect();
  client.Query();
  EXPECT_EQ(ReadAll(proc + "/comm"), "spare-shim\n");
  ASSERT_TRUE(client.Launch(shim.Plan({"sleep", "1000"})).reply.has_launched());
  EXPECT_EQ(ReadAll(proc + "/comm"), "node-shim\n");
  EXPECT_EQ(ReadAll(proc + "/cmdline"), std::string("node-shim\0c1\0", 13));
}

TEST(SupervisorTest, GarbageEndsItsConnectionAndNoOther) {
  Shim shim;
  Client client = shim.Connect();
  ASSERT_TRUE(client.Launch(shim.Plan({"sleep", "1000"})).reply.has_launched());
  Client garbage = shim.Connect();
  garbage.SendRaw("\xff\xff\xff not a request");
  EXPECT_TRUE(garbage.WaitClosed());
  EXPECT_TRUE(client.Query().has_running());
}

// As on a full disk; a limit of the supervisor's own is easier to take back.
TEST(SupervisorTest, TheEndIsWrittenWhenThereIsRoomAgain) {
  Shim shim;
  Client client = shim.Connect();
  ASSERT_TRUE(client.Launch(shim.Plan({"sleep", "1000"})).reply.has_launched());
  const rlimit none{.rlim_cur = 0, .rlim_max = RLIM_INFINITY};
  ASSERT_EQ(prlimit(shim.pid(), RLIMIT_FSIZE, &none, nullptr), 0);
  client.SignalInit(SIGTERM);
  client.SignalInit(SIGKILL);
  EXPECT_EQ(client.WaitExited().signal(), SIGKILL);
  EXPECT_NE(access((shim.directory() + "/exit").c_str(), F_OK), 0);
  EXPECT_TRUE(client.Query().has_exited()) << "it left before the end was written";
  const rlimit all{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
  ASSERT_EQ(prlimit(shim.pid(), RLIMIT_FSIZE, &all, nullptr), 0);
  EXPECT_TRUE(shim.WaitLeft());
  pb::ExitRecord written;
  ASSERT_TRUE(written.ParseFromString(ReadAll(shim.directory() + "/exit")));
  EXPECT_EQ(written.signal(), SIGKILL);
}

TEST(SupervisorTest, KilledSupervisorTakesInitWithIt) {
  Shim shim;
  Client client = shim.Connect();
  Client::Answer answer = client.Launch(shim.Plan({"sleep", "1000"}));
  ASSERT_TRUE(answer.reply.has_launched()) << answer.Text();
  const pid_t init = answer.reply.launched().pid();
  ASSERT_TRUE(ProcessExists(init));
  shim.Kill();
  Pidfd pidfd(std::move(answer.fd));
  for (int i = 0; i < 1000 && !pidfd.Ended(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(pidfd.Ended());
}

TEST(SupervisorTest, TerminationSignalsDoNotEndTheSupervisor) {
  Shim shim;
  Client client = shim.Connect();
  ASSERT_TRUE(client.Launch(shim.Plan({"sleep", "1000"})).reply.has_launched());
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1}) kill(shim.pid(), signal);
  EXPECT_TRUE(client.Query().has_running());
  client.SignalInit(SIGKILL);
  client.WaitExited();
}

TEST(SupervisorTest, SupervisorWithoutALaunchLeavesWithItsLastConnection) {
  Shim shim;
  {
    Client client = shim.Connect();
    client.Query();
  }
  EXPECT_TRUE(shim.WaitLeft());
}

TEST(SupervisorTest, SecondLaunchIsRefused) {
  Shim shim;
  Client client = shim.Connect();
  ASSERT_TRUE(client.Launch(shim.Plan({"sleep", "1000"})).reply.has_launched());
  Client::Answer answer = client.Launch(shim.Plan({"true"}));
  EXPECT_EQ(answer.reply.failure().error(), EALREADY) << answer.Text();
}

}  // namespace
}  // namespace noded::shim
