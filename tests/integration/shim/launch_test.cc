// What a launch makes, and what is left of one that fails.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>

#include "gtest/gtest.h"
#include "node/base/file.h"
#include "node/base/syscalls.h"
#include "tests/integration/shim/harness.h"

namespace noded::shim {
namespace {

// What a short command prints as a container's main process.
std::string OutputOf(const std::vector<std::string>& argv,
                     void (*change)(pb::LaunchPlan&, const Shim&) = nullptr) {
  Shim shim;
  Client client = shim.Connect();
  Attached attached = shim.Attach(client);
  pb::LaunchPlan plan = shim.Plan(argv);
  if (change != nullptr) change(plan, shim);
  Client::Answer answer = client.Launch(plan);
  if (!answer.reply.has_launched()) return answer.Text();
  return attached.ReadToEnd();
}

// The failure of a plan that is changed to be wrong; checks that the same supervisor then launches
// a right one.
pb::Failure FailureOf(void (*change)(pb::LaunchPlan&)) {
  Shim shim;
  Client client = shim.Connect();
  const std::string mounts_before = HostMounts();
  pb::LaunchPlan plan = shim.Plan({"true"});
  change(plan);
  Client::Answer answer = client.Launch(plan);
  EXPECT_TRUE(answer.reply.has_failure()) << answer.Text();
  EXPECT_EQ(HostMounts(), mounts_before);
  EXPECT_FALSE(client.Query().has_running());
  Client::Answer second = client.Launch(shim.Plan({"sh", "-c", "exit 3"}));
  EXPECT_TRUE(second.reply.has_launched()) << second.Text();
  EXPECT_EQ(client.WaitExited().code(), 3);
  return answer.reply.failure();
}

TEST(LaunchTest, HelloWorld) {
  Shim shim;
  Client client = shim.Connect();
  Client::Answer answer =
      client.Launch(shim.Plan({"sh", "-c", "echo hello; echo oops >&2; exit 7"}));
  ASSERT_TRUE(answer.reply.has_launched()) << answer.Text();
  EXPECT_TRUE(answer.fd.valid()) << "no pidfd of init came with the answer";
  EXPECT_EQ(answer.reply.launched().shim_pid(), shim.pid());
  EXPECT_GT(answer.reply.launched().start_ticks(), 0u);
  pb::ExitRecord exit = client.WaitExited();
  EXPECT_EQ(exit.code(), 7);
  EXPECT_FALSE(exit.has_signal());
  EXPECT_NE(shim.Log().find("stdout F hello\n"), std::string::npos) << shim.Log();
  EXPECT_NE(shim.Log().find("stderr F oops\n"), std::string::npos) << shim.Log();
  pb::ExitRecord written;
  ASSERT_TRUE(written.ParseFromString(ReadAll(shim.directory() + "/exit")));
  EXPECT_EQ(written.SerializeAsString(), exit.SerializeAsString());
  EXPECT_TRUE(client.WaitClosed());
  EXPECT_TRUE(shim.WaitLeft());
}

TEST(LaunchTest, DeathBySignalIsASignal) {
  Shim shim;
  Client client = shim.Connect();
  ASSERT_TRUE(client.Launch(shim.Plan({"sleep", "1000"})).reply.has_launched());
  ASSERT_TRUE(client.SignalInit(SIGKILL).reply.has_done());
  pb::ExitRecord exit = client.WaitExited();
  EXPECT_EQ(exit.signal(), SIGKILL);
  EXPECT_FALSE(exit.has_code());
}

TEST(LaunchTest, HostMountTableIsTheSameBeforeDuringAndAfter) {
  const std::string before = HostMounts();
  Shim shim;
  Client client = shim.Connect();
  ASSERT_TRUE(client.Launch(shim.Plan({"sleep", "1000"})).reply.has_launched());
  EXPECT_EQ(HostMounts(), before);
  EXPECT_EQ(ReadAll("/proc/" + std::to_string(shim.pid()) + "/mountinfo"), before);
  ASSERT_TRUE(client.SignalInit(SIGKILL).reply.has_done());
  client.WaitExited();
  EXPECT_EQ(HostMounts(), before);
}

TEST(LaunchTest, OnlyTheContainersMountsAreSeenInside) {
  const std::string mounts = OutputOf({"cat", "/proc/self/mountinfo"});
  EXPECT_EQ(mounts.find("/mnt"), std::string::npos) << mounts;
  EXPECT_NE(mounts.find(" / / rw,relatime - overlay overlay"), std::string::npos) << mounts;
  EXPECT_NE(mounts.find(" /dev/pts "), std::string::npos) << mounts;
}

TEST(LaunchTest, NothingOfTheSupervisorIsLeftOpen) {
  // 0, 1, 2, and the directory that ls itself reads.
  EXPECT_EQ(OutputOf({"ls", "/proc/self/fd"}), "0\n1\n2\n3\n");
}

TEST(LaunchTest, SignalsAreAtTheirDefaults) {
  const std::string status = OutputOf({"grep", "Sig...:", "/proc/self/status"});
  EXPECT_NE(status.find("SigBlk:\t0000000000000000\n"), std::string::npos) << status;
  EXPECT_NE(status.find("SigIgn:\t0000000000000000\n"), std::string::npos) << status;
}

TEST(LaunchTest, CapabilitiesAndNoNewPrivileges) {
  const std::string status =
      OutputOf({"grep", "-E", "^(Cap(Prm|Eff|Bnd|Inh)|NoNewPrivs)", "/proc/self/status"});
  EXPECT_EQ(status,
            "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
            "CapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\n");
}

TEST(LaunchTest, UserFromTheContainersFiles) {
  EXPECT_EQ(OutputOf({"sh", "-c", "id; echo $HOME; stat -c %u:%a /work/dir"},
                     [](pb::LaunchPlan& plan, const Shim&) {
                       plan.mutable_process()->mutable_user()->set_name("app");
                       plan.mutable_process()->set_working_directory("/work/dir");
                     }),
            "uid=1000(app) gid=1001(app) groups=29(audio),1001(app)\n/home/app\n1000:755\n");
}

TEST(LaunchTest, AUserMayOpenItsStandardStreamsByName) {
  EXPECT_EQ(OutputOf({"sh", "-c", "echo out > /proc/self/fd/1"},
                     [](pb::LaunchPlan& plan, const Shim&) {
                       plan.mutable_process()->mutable_user()->set_uid(4711);
                     }),
            "out\n");
}

TEST(LaunchTest, AUserOtherThanRootHasNoCapabilities) {
  EXPECT_EQ(OutputOf({"grep", "-E", "^Cap(Prm|Eff|Amb)", "/proc/self/status"},
                     [](pb::LaunchPlan& plan, const Shim&) {
                       plan.mutable_process()->mutable_user()->set_uid(4711);
                     }),
            "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n");
}

TEST(LaunchTest, AmbientCapabilitiesReachAUser) {
  EXPECT_EQ(OutputOf({"grep", "-E", "^Cap(Eff|Amb)", "/proc/self/status"},
                     [](pb::LaunchPlan& plan, const Shim&) {
                       plan.mutable_process()->mutable_user()->set_uid(4711);
                       pb::CapabilityPlan* sets = plan.mutable_process()->mutable_capabilities();
                       sets->set_inheritable(1 << 10);
                       sets->set_ambient(1 << 10);
                     }),
            "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n");
}

TEST(LaunchTest, MasksHideAndReadOnlyPathsRefuse) {
  EXPECT_EQ(OutputOf({"sh", "-c",
                      "cat /proc/version; ls /sys/firmware | head -1;"
                      "echo x > /proc/sys/kernel/hostname || true"}),
            "sh: can't create /proc/sys/kernel/hostname: Read-only file system\n");
}

TEST(LaunchTest, BindMountWithAttributes) {
  EXPECT_EQ(OutputOf({"sh", "-c", "cat /data/deep/file; touch /data/deep/new || true"},
                     [](pb::LaunchPlan& plan, const Shim& shim) {
                       ASSERT_TRUE(MakeDirs(shim.directory() + "/bind").ok());
                       WriteFile(shim.directory() + "/bind/file", "content\n");
                       pb::Source* source = plan.add_sources();
                       source->set_description(shim.directory() + "/bind");
                       source->mutable_tree()->set_path(shim.directory() + "/bind");
                       source->mutable_tree()->set_recursive(true);
                       pb::Step step;
                       step.mutable_attach_mount()->set_source(1);
                       step.mutable_attach_mount()->set_target("/data/deep");
                       step.mutable_attach_mount()->set_attributes(MOUNT_ATTR_RDONLY);
                       step.mutable_attach_mount()->set_recursive_attributes(true);
                       plan.mutable_steps()->Add()->CopyFrom(step);
                     }),
            "content\ntouch: /data/deep/new: Read-only file system\n");
}

// A target whose way leads through symlinks of the image ends inside of it, whatever they point to.
TEST(LaunchTest, SymlinksOfTheImageStayInside) {
  const char* host_file = "/etc/noded-shim-test-hosts";
  EXPECT_EQ(OutputOf({"sh", "-c", "cat /inside/hosts; readlink /etc"},
                     [](pb::LaunchPlan& plan, const Shim& shim) {
                       ASSERT_TRUE(RemoveTreeAt(AT_FDCWD, shim.root() + "/etc").ok());
                       ASSERT_TRUE(MakeDirs(shim.root() + "/inside").ok());
                       ASSERT_EQ(symlink("../../../inside", (shim.root() + "/etc").c_str()), 0);
                       ASSERT_EQ(symlink("/etc/noded-shim-test-hosts",
                                         (shim.root() + "/inside/hosts").c_str()),
                                 0);
                       WriteFile(shim.directory() + "/hosts", "127.0.0.1 box\n");
                       pb::Source* source = plan.add_sources();
                       source->set_description("hosts");
                       source->mutable_tree()->set_path(shim.directory() + "/hosts");
                       pb::AttachMount* attach = plan.add_steps()->mutable_attach_mount();
                       attach->set_source(1);
                       attach->set_target("/etc/hosts");
                     }),
            "127.0.0.1 box\n../../../inside\n");
  EXPECT_NE(access(host_file, F_OK), 0) << "made on the host";
}

TEST(LaunchTest, ReadOnlyRoot) {
  EXPECT_EQ(
      OutputOf({"touch", "/x"}, [](pb::LaunchPlan& plan,
                                   const Shim&) { plan.add_steps()->mutable_read_only_root(); }),
      "touch: /x: Read-only file system\n");
}

TEST(LaunchTest, OutputOfAShortContainerIsWholeForWhoWasAttachedBefore) {
  EXPECT_EQ(OutputOf({"echo", "-n", "short"}), "short");
}

TEST(LaunchTest, MissingBinary) {
  pb::Failure failure = FailureOf(
      [](pb::LaunchPlan& plan) { plan.mutable_process()->set_argv(0, "no-such-command"); });
  EXPECT_EQ(failure.step(), pb::FAILURE_STEP_EXEC);
  EXPECT_EQ(failure.error(), ENOENT);
  EXPECT_EQ(failure.object(), "no-such-command");
}

TEST(LaunchTest, NotExecutable) {
  pb::Failure failure =
      FailureOf([](pb::LaunchPlan& plan) { plan.mutable_process()->set_argv(0, "/etc/passwd"); });
  EXPECT_EQ(failure.step(), pb::FAILURE_STEP_EXEC);
  EXPECT_EQ(failure.error(), EACCES);
}

TEST(LaunchTest, MissingUser) {
  pb::Failure failure = FailureOf([](pb::LaunchPlan& plan) {
    plan.mutable_process()->mutable_user()->set_name("nobody-here");
  });
  EXPECT_EQ(failure.step(), pb::FAILURE_STEP_USER);
  EXPECT_EQ(failure.object(), "nobody-here");
}

TEST(LaunchTest, MissingMountSource) {
  pb::Failure failure = FailureOf([](pb::LaunchPlan& plan) {
    pb::Source* source = plan.add_sources();
    source->mutable_tree()->set_path("/no/such/directory");
    pb::AttachMount* attach = plan.add_steps()->mutable_attach_mount();
    attach->set_source(1);
    attach->set_target("/mnt");
  });
  EXPECT_EQ(failure.step(), pb::FAILURE_STEP_SOURCE);
  EXPECT_EQ(failure.error(), ENOENT);
  EXPECT_EQ(failure.object(), "/no/such/directory");
  EXPECT_EQ(failure.detail(), "at \"/mnt\"");
}

TEST(LaunchTest, MountTargetBelowAFile) {
  pb::Failure failure = FailureOf([](pb::LaunchPlan& plan) {
    pb::Step step;
    step.mutable_new_mount()->set_type("tmpfs");
    step.mutable_new_mount()->set_target("/etc/passwd/below");
    plan.mutable_steps()->Add()->CopyFrom(step);
  });
  EXPECT_EQ(failure.step(), pb::FAILURE_STEP_MOUNT);
  EXPECT_EQ(failure.error(), ENOTDIR);
}

TEST(LaunchTest, BadMountOptionIsToldInTheFileSystemsWords) {
  pb::Failure failure = FailureOf([](pb::LaunchPlan& plan) {
    pb::Step step;
    step.mutable_new_mount()->set_type("tmpfs");
    step.mutable_new_mount()->set_target("/tmp");
    step.mutable_new_mount()->add_options("size=many");
    plan.mutable_steps()->Add()->CopyFrom(step);
  });
  EXPECT_EQ(failure.step(), pb::FAILURE_STEP_MOUNT);
  EXPECT_NE(failure.detail().find("size"), std::string::npos) << failure.detail();
}

TEST(LaunchTest, WrongVersion) {
  pb::Failure failure = FailureOf([](pb::LaunchPlan& plan) { plan.set_version(99); });
  EXPECT_EQ(failure.step(), pb::FAILURE_STEP_REQUEST);
}

TEST(LaunchTest, ClosedRlimit) {
  pb::Failure failure = FailureOf([](pb::LaunchPlan& plan) {
    pb::RlimitPlan* limit = plan.mutable_process()->add_rlimits();
    limit->set_resource(7);
    limit->set_name("nofile");
    limit->set_soft(20);
    limit->set_hard(10);
  });
  EXPECT_EQ(failure.step(), pb::FAILURE_STEP_RLIMIT);
  EXPECT_EQ(failure.object(), "nofile");
}

TEST(LaunchTest, JoinedPidAndNetworkNamespaces) {
  Shim first;
  Client first_client = first.Connect();
  Client::Answer launched = first_client.Launch(first.Plan({"sleep", "1000"}));
  ASSERT_TRUE(launched.reply.has_launched()) << launched.Text();
  const std::string proc = "/proc/" + std::to_string(launched.reply.launched().pid());
  UniqueFd pid_namespace = *OpenAt(AT_FDCWD, proc + "/ns/pid", O_RDONLY);
  UniqueFd network = *OpenAt(AT_FDCWD, proc + "/ns/net", O_RDONLY);

  Shim second;
  Client client = second.Connect();
  Attached attached = second.Attach(client);
  pb::LaunchPlan plan =
      second.Plan({"sh", "-c", "ps | grep -c '[s]leep 1000'; readlink /proc/self/ns/net"});
  plan.set_clone_flags(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC);
  pb::JoinNamespace* join = plan.add_join();
  join->set_type(CLONE_NEWPID);
  join->set_fd_index(Client::kFirstJoined);
  join = plan.add_join();
  join->set_type(CLONE_NEWNET);
  join->set_fd_index(Client::kFirstJoined + 1);
  Client::Answer answer = client.Launch(plan, {pid_namespace.get(), network.get()});
  ASSERT_TRUE(answer.reply.has_launched()) << answer.Text();
  char link[64] = {};
  ASSERT_GT(readlink((proc + "/ns/net").c_str(), link, sizeof(link) - 1), 0);
  EXPECT_EQ(attached.ReadToEnd(), "1\n" + std::string(link) + "\n");
}

TEST(LaunchTest, SourceOfAnotherMountNamespace) {
  auto with_shm = [](pb::LaunchPlan plan) {
    // Behind the mount of /dev, which is the third step after the root's.
    pb::Step* step = plan.add_steps();
    step->mutable_new_mount()->set_type("tmpfs");
    step->mutable_new_mount()->set_target("/dev/shm");
    for (int i = plan.steps_size() - 1; i > 4; --i) plan.mutable_steps()->SwapElements(i, i - 1);
    return plan;
  };
  Shim first;
  Client first_client = first.Connect();
  Client::Answer launched = first_client.Launch(
      with_shm(first.Plan({"sh", "-c", "echo shared > /dev/shm/word; exec sleep 1000"})));
  ASSERT_TRUE(launched.reply.has_launched()) << launched.Text();
  const std::string proc = "/proc/" + std::to_string(launched.reply.launched().pid());
  UniqueFd mount_namespace = *OpenAt(AT_FDCWD, proc + "/ns/mnt", O_RDONLY);

  Shim second;
  Client client = second.Connect();
  Attached attached = second.Attach(client);
  pb::LaunchPlan plan = with_shm(second.Plan(
      {"sh", "-c",
       "until [ -s /dev/shm/word ]; do :; done; cat /dev/shm/word; echo back >/dev/shm/a"}));
  pb::Source* source = plan.add_sources();
  source->mutable_tree()->set_path("/dev/shm");
  source->mutable_tree()->set_mount_namespace(Client::kFirstJoined);
  pb::AttachMount* attach = plan.mutable_steps(4)->mutable_attach_mount();
  attach->set_source(plan.sources_size() - 1);
  attach->set_target("/dev/shm");
  const std::string mounts_before = HostMounts();
  Client::Answer answer = client.Launch(plan, {mount_namespace.get()});
  ASSERT_TRUE(answer.reply.has_launched()) << answer.Text();
  EXPECT_EQ(attached.ReadToEnd(), "shared\n");
  EXPECT_EQ(ReadAll(proc + "/root/dev/shm/a"), "back\n");
  EXPECT_EQ(HostMounts(), mounts_before);

  Shim third;
  Client third_client = third.Connect();
  Client::Answer refused = third_client.Launch(plan);
  EXPECT_EQ(refused.reply.failure().step(), pb::FAILURE_STEP_REQUEST) << "no such descriptor";
}

TEST(LaunchTest, ReadOnlyMountPointsAreNotMountedTwice) {
  std::string output = OutputOf(
      {"sh", "-c",
       "grep -c ' / /sys ro' /proc/self/mountinfo; grep -c ' /dev/pts ro' /proc/self/mountinfo"},
      [](pb::LaunchPlan& plan, const Shim&) {
        plan.add_steps()->set_read_only_path("/sys");
        plan.add_steps()->set_read_only_path("/dev");
      });
  EXPECT_EQ(output, "1\n1\n") << "one mount, and those below it read-only too";
}

// Answers getcwd with an error that it never gives by itself.
std::string RefuseGetcwd() {
  const sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getcwd, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return std::string(reinterpret_cast<const char*>(instructions), sizeof(instructions));
}

TEST(LaunchTest, SeccompFilterWithAndWithoutNoNewPrivileges) {
  for (const bool no_new_privileges : {true, false}) {
    Shim shim;
    Client client = shim.Connect();
    Attached attached = shim.Attach(client);
    pb::LaunchPlan plan = shim.Plan({"env", "-i", "busybox", "pwd"});
    plan.mutable_process()->set_no_new_privileges(no_new_privileges);
    plan.mutable_process()->set_seccomp_filter(RefuseGetcwd());
    Client::Answer answer = client.Launch(plan);
    ASSERT_TRUE(answer.reply.has_launched()) << answer.Text();
    EXPECT_NE(attached.ReadToEnd().find("nvalid cross-device link"), std::string::npos);
  }
}

TEST(LaunchTest, BrokenSeccompFilter) {
  pb::Failure failure = FailureOf([](pb::LaunchPlan& plan) {
    plan.mutable_process()->set_seccomp_filter("not a multiple of eight");
  });
  EXPECT_EQ(failure.step(), pb::FAILURE_STEP_SECCOMP);
}

TEST(LaunchTest, OomScore) {
  EXPECT_EQ(OutputOf({"cat", "/proc/self/oom_score_adj"},
                     [](pb::LaunchPlan& plan, const Shim&) {
                       plan.mutable_process()->set_oom_score_adj(321);
                     }),
            "321\n");
}

// A working directory may not lead out by a descriptor (CVE-2024-21626).
TEST(LaunchTest, WorkingDirectoryByADescriptor) {
  pb::Failure failure = FailureOf([](pb::LaunchPlan& plan) {
    plan.mutable_process()->set_working_directory("/proc/self/fd/4");
  });
  EXPECT_EQ(failure.step(), pb::FAILURE_STEP_WORKING_DIRECTORY);
  EXPECT_EQ(failure.error(), ELOOP);
}

TEST(LaunchTest, UserNamespaceWithIdMaps) {
  const std::string before = HostMounts();
  EXPECT_EQ(OutputOf({"sh", "-c",
                      "cat /proc/self/uid_map; id -u; stat -c %u /bin/busybox; touch /made;"
                      "stat -c %u /made; echo null > /dev/null; echo named > /proc/self/fd/1"},
                     [](pb::LaunchPlan& plan, const Shim&) { UseUserNamespace(plan); }),
            "         0     100000      65536\n0\n0\n0\nnamed\n");
  EXPECT_EQ(HostMounts(), before);
}

TEST(LaunchTest, WhatIsMadeInAUserNamespaceIsRootsOnTheHost) {
  Shim shim;
  Client client = shim.Connect();
  pb::LaunchPlan plan = shim.Plan({"touch", "/made"});
  UseUserNamespace(plan);
  Client::Answer answer = client.Launch(plan);
  ASSERT_TRUE(answer.reply.has_launched()) << answer.Text();
  EXPECT_EQ(client.WaitExited().code(), 0);
  struct stat info;
  ASSERT_EQ(stat((shim.directory() + "/upper/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u);
}

}  // namespace
}  // namespace noded::shim
