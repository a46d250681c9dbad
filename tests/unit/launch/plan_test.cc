// What plans say, as pictures.
#include "node/launch/plan.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/syscalls.h"
#include "tests/unit/launch/plan_text.h"
#include "tests/unit/launch/specs.h"

namespace noded::launch {
namespace {

using node::shim::v1::LaunchPlan;
using node::v1::ContainerSpec;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

LaunchPlan Compile(const ContainerSpec& spec, const Inputs& inputs = PlainInputs()) {
  EXPECT_TRUE(ValidateSpec(spec).ok()) << ValidateSpec(spec);
  absl::StatusOr<LaunchPlan> plan = CompileLaunchPlan(spec, inputs);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *std::move(plan) : LaunchPlan();
}

TEST(Plan, OfTheLeastSpec) {
  LaunchPlan plan = Compile(MinimalSpec());

  EXPECT_EQ(plan.version(), 1u);
  EXPECT_EQ(plan.container_id(), PlainInputs().id);
  EXPECT_EQ(plan.clone_flags(),
            uint64_t{CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS});
  EXPECT_EQ(plan.join_size(), 0);
  EXPECT_EQ(plan.uid_maps_size(), 0);
  EXPECT_FALSE(plan.reaper());
  EXPECT_FALSE(plan.stdin_open());
  EXPECT_EQ(plan.log().max_file_bytes(), 16 << 20);
  EXPECT_EQ(plan.log().max_files(), 5);
  EXPECT_FALSE(plan.log().block_when_full());

  EXPECT_THAT(SourceLines(plan),
              ElementsAre("overlay /srv/busybox upper=/c/upper work=/c/work index=off metacopy=off "
                          "redirect_dir=off",
                          "tree /c/hosts", "tree /c/resolv.conf", "tree /c/hostname"));
  EXPECT_THAT(StepLines(plan),
              ElementsAre("make mounts private",                                                //
                          "new cgroup namespace",                                               //
                          "root root file system",                                              //
                          "mount proc at /proc nosuid,nodev,noexec",                            //
                          "mount tmpfs at /dev nosuid,strictatime mode=755 size=65536k",        //
                          "mount devpts at /dev/pts nosuid,noexec newinstance ptmxmode=0666 "   //
                          "mode=0620 gid=5",                                                    //
                          "mount tmpfs at /dev/shm nosuid,nodev,noexec mode=1777 size=65536k",  //
                          "mount mqueue at /dev/mqueue nosuid,nodev,noexec",                    //
                          "mount sysfs at /sys ro,nosuid,nodev,noexec",                         //
                          "mount cgroup2 at /sys/fs/cgroup ro,nosuid,nodev,noexec (optional)",  //
                          "node /dev/null c 1:3 0666",                                          //
                          "node /dev/zero c 1:5 0666",                                          //
                          "node /dev/full c 1:7 0666",                                          //
                          "node /dev/random c 1:8 0666",                                        //
                          "node /dev/urandom c 1:9 0666",                                       //
                          "node /dev/tty c 5:0 0666",                                           //
                          "symlink /dev/ptmx -> pts/ptmx",                                      //
                          "symlink /dev/fd -> /proc/self/fd",                                   //
                          "symlink /dev/stdin -> /proc/self/fd/0",                              //
                          "symlink /dev/stdout -> /proc/self/fd/1",                             //
                          "symlink /dev/stderr -> /proc/self/fd/2",                             //
                          "symlink /dev/core -> /proc/kcore",                                   //
                          "attach /etc/hosts at /etc/hosts",                                    //
                          "attach /etc/resolv.conf at /etc/resolv.conf",                        //
                          "attach /etc/hostname at /etc/hostname",                              //
                          "pivot",                                                              //
                          "hostname 0123456789ab",                                              //
                          "loopback up",                                                        //
                          "read-only /proc/bus",                                                //
                          "read-only /proc/fs",                                                 //
                          "read-only /proc/irq",                                                //
                          "read-only /proc/sys",                                                //
                          "read-only /proc/sysrq-trigger",                                      //
                          "mask /proc/asound",                                                  //
                          "mask /proc/acpi",                                                    //
                          "mask /proc/interrupts",                                              //
                          "mask /proc/kcore",                                                   //
                          "mask /proc/keys",                                                    //
                          "mask /proc/latency_stats",                                           //
                          "mask /proc/timer_list",                                              //
                          "mask /proc/timer_stats",                                             //
                          "mask /proc/sched_debug",                                             //
                          "mask /proc/scsi",                                                    //
                          "mask /sys/firmware",                                                 //
                          "mask /sys/devices/virtual/powercap"));
}

TEST(Plan, ProcessOfTheLeastSpec) {
  node::shim::v1::ProcessPlan process = Compile(MinimalSpec()).process();

  EXPECT_THAT(process.argv(), ElementsAre("sh"));
  EXPECT_THAT(process.env(),
              ElementsAre("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                          "HOSTNAME=0123456789ab"));
  EXPECT_TRUE(process.set_home());
  EXPECT_EQ(process.working_directory(), "/");
  EXPECT_EQ(process.user().name(), "");
  EXPECT_EQ(process.user().uid(), 0u);
  EXPECT_FALSE(process.user().has_gid()) << "left to the container's passwd file";
  EXPECT_TRUE(process.no_new_privileges());
  EXPECT_EQ(process.capabilities().inheritable(), 0u);
  EXPECT_EQ(process.capabilities().ambient(), 0u);
  EXPECT_EQ(process.seccomp_filter(), "");
  EXPECT_FALSE(process.has_oom_score_adj());
  EXPECT_FALSE(process.tty());
  EXPECT_EQ(process.umask(), 0022u);
}

TEST(Plan, LaterVariablesWinAndKeepTheirPlace) {
  ContainerSpec spec = MinimalSpec();
  spec.mutable_process()->set_tty(true);
  for (const char* entry : {"A=1", "PATH=/bin", "HOME=/home/a", "A=2", "TERM=vt100", "EMPTY="}) {
    spec.mutable_process()->add_env(entry);
  }
  node::shim::v1::ProcessPlan process = Compile(spec).process();
  EXPECT_THAT(process.env(), ElementsAre("PATH=/bin", "HOSTNAME=0123456789ab", "TERM=vt100", "A=2",
                                         "HOME=/home/a", "EMPTY="));
  EXPECT_FALSE(process.set_home());
}

TEST(Plan, TerminalIsBoundOverTheConsole) {
  ContainerSpec spec = MinimalSpec();
  spec.mutable_process()->set_tty(true);
  LaunchPlan plan = Compile(spec);
  EXPECT_THAT(StepLines(plan), Contains("console"));
  EXPECT_THAT(plan.process().env(), Contains("TERM=xterm"));
  EXPECT_EQ(plan.process().terminal_width(), 80u);
  EXPECT_EQ(plan.process().terminal_height(), 24u);

  spec.mutable_process()->mutable_terminal_size()->set_width(132);
  spec.mutable_process()->mutable_terminal_size()->set_height(50);
  plan = Compile(spec);
  EXPECT_EQ(plan.process().terminal_width(), 132u);
  EXPECT_EQ(plan.process().terminal_height(), 50u);
}

TEST(Plan, EveryFieldOfAProcess) {
  ContainerSpec spec = MinimalSpec();
  spec.set_hostname("web-1");
  spec.set_init(true);
  node::v1::Process* process = spec.mutable_process();
  process->set_working_directory("//srv/./app/");
  process->mutable_user()->set_name("www:audio");
  process->mutable_user()->add_additional_groups("video");
  process->set_stdin(true);
  process->set_stdin_once(true);
  node::v1::Rlimit* limit = process->add_rlimits();
  limit->set_name("nofile");
  limit->set_soft(1024);
  limit->set_hard(UINT64_MAX);
  spec.mutable_security()->set_oom_score_adj(500);
  spec.mutable_security()->set_allow_new_privileges(true);
  spec.mutable_log()->set_max_file_bytes(4096);
  spec.mutable_log()->set_max_files(2);
  spec.mutable_log()->set_full_policy(node::v1::LOG_FULL_POLICY_BLOCK);

  LaunchPlan plan = Compile(spec);
  EXPECT_TRUE(plan.reaper());
  EXPECT_TRUE(plan.stdin_open());
  EXPECT_TRUE(plan.stdin_once());
  EXPECT_EQ(plan.log().max_file_bytes(), 4096);
  EXPECT_EQ(plan.log().max_files(), 2);
  EXPECT_TRUE(plan.log().block_when_full());
  EXPECT_THAT(StepLines(plan), Contains("hostname web-1"));
  EXPECT_THAT(plan.process().env(), Contains("HOSTNAME=web-1"));
  EXPECT_EQ(plan.process().working_directory(), "/srv/app");
  EXPECT_EQ(plan.process().user().name(), "www:audio");
  EXPECT_THAT(plan.process().user().additional_groups(), ElementsAre("video"));
  ASSERT_EQ(plan.process().rlimits_size(), 1);
  EXPECT_EQ(plan.process().rlimits(0).resource(), RLIMIT_NOFILE);
  EXPECT_EQ(plan.process().rlimits(0).soft(), 1024u);
  EXPECT_EQ(plan.process().rlimits(0).hard(), UINT64_MAX);
  EXPECT_EQ(plan.process().oom_score_adj(), 500);
  EXPECT_FALSE(plan.process().no_new_privileges());
}

TEST(Plan, UserMounts) {
  ContainerSpec spec = MinimalSpec();
  node::v1::Mount* data = spec.add_mounts();
  data->set_target("/data/");
  data->mutable_bind()->set_source("/srv//data");
  node::v1::Mount* config = spec.add_mounts();
  config->set_target("/config");
  config->set_read_only(true);
  config->mutable_bind()->set_source("/srv/config");
  config->mutable_bind()->set_propagation(node::v1::MOUNT_PROPAGATION_SLAVE);
  node::v1::Mount* strict = spec.add_mounts();
  strict->set_target("/strict");
  strict->set_read_only(true);
  strict->mutable_bind()->set_source("/srv/strict");
  strict->mutable_bind()->set_recursive_read_only(true);
  strict->mutable_bind()->set_propagation(node::v1::MOUNT_PROPAGATION_SHARED);
  node::v1::Mount* flat = spec.add_mounts();
  flat->set_target("/flat");
  flat->mutable_bind()->set_source("/srv/flat");
  flat->mutable_bind()->set_non_recursive(true);
  node::v1::Mount* run = spec.add_mounts();
  run->set_target("/run");
  run->mutable_tmpfs();
  node::v1::Mount* cache = spec.add_mounts();
  cache->set_target("/cache");
  cache->set_read_only(true);
  cache->mutable_tmpfs()->set_size_bytes(1 << 20);
  cache->mutable_tmpfs()->set_mode(0750);
  cache->mutable_tmpfs()->set_exec(true);

  LaunchPlan plan = Compile(spec);
  std::vector<std::string> sources = SourceLines(plan);
  EXPECT_THAT(std::vector<std::string>(sources.begin() + 4, sources.end()),
              ElementsAre("tree /srv/data recursive",           //
                          "tree /srv/config recursive slave",   //
                          "tree /srv/strict recursive shared",  //
                          "tree /srv/flat"));
  std::vector<std::string> steps = StepLines(plan);
  int first = Position(steps, "attach /srv//data");
  ASSERT_GE(first, 0);
  EXPECT_THAT(std::vector<std::string>(steps.begin() + first, steps.begin() + first + 7),
              ElementsAre("attach /srv//data at /data",                         //
                          "attach /srv/config at /config ro",                   //
                          "attach /srv/strict at /strict ro recursively",       //
                          "attach /srv/flat at /flat",                          //
                          "mount tmpfs at /run nosuid,nodev,noexec mode=1777",  //
                          "mount tmpfs at /cache ro,nosuid,nodev mode=0750 size=1048576", "pivot"));
}

TEST(Plan, AUserMountReplacesTheDefaultsAtAndBelowIt) {
  ContainerSpec spec = MinimalSpec();
  for (const char* target : {"/dev/shm", "/etc/hosts", "/dev/null"}) {
    node::v1::Mount* mount = spec.add_mounts();
    mount->set_target(target);
    mount->mutable_bind()->set_source("/srv/x");
  }
  std::vector<std::string> steps = StepLines(Compile(spec));
  EXPECT_THAT(steps, Not(Contains(HasSubstr("tmpfs at /dev/shm"))));
  EXPECT_THAT(steps, Not(Contains(HasSubstr("attach /etc/hosts"))));
  EXPECT_THAT(steps, Not(Contains(HasSubstr("node /dev/null"))));
  EXPECT_THAT(steps, Contains("attach /etc/hostname at /etc/hostname"));
  EXPECT_THAT(steps, Contains("node /dev/zero c 1:5 0666"));

  spec = MinimalSpec();
  spec.mutable_process()->set_tty(true);
  spec.add_devices()->set_host_path("/dev/fuse");
  node::v1::Mount* dev = spec.add_mounts();
  dev->set_target("/dev/");
  dev->mutable_bind()->set_source("/dev");
  Inputs inputs = PlainInputs();
  inputs.devices = {{.container_path = "/dev/fuse",
                     .mode = S_IFCHR | 0666,
                     .major = 10,
                     .minor = 229,
                     .permissions = "rwm",
                     .host_path = "/dev/fuse"}};
  steps = StepLines(Compile(spec, inputs));
  for (const std::string& step : steps) {
    if (step == "attach /dev at /dev") continue;
    EXPECT_THAT(step, Not(HasSubstr("/dev/"))) << "would be made in the host's /dev";
    EXPECT_NE(step, "console");
  }
}

TEST(Plan, DevicesOfTheHost) {
  Inputs inputs = PlainInputs();
  inputs.devices = {{.container_path = "/dev/sda",
                     .mode = S_IFBLK | 0660,
                     .major = 8,
                     .minor = 0,
                     .gid = 6,
                     .permissions = "r",
                     .host_path = "/dev/disk/by-id/x"}};
  EXPECT_THAT(StepLines(Compile(MinimalSpec(), inputs)),
              Contains("node /dev/sda b 8:0 0660 owner 0:6"));
}

TEST(Plan, CgroupsOfV1StandOnATmpfsThatEndsReadOnly) {
  Inputs inputs = PlainInputs();
  MakeCgroupsV1(inputs);
  std::vector<std::string> steps = StepLines(Compile(MinimalSpec(), inputs));
  int first = Position(steps, "mount tmpfs at /sys/fs/cgroup");
  ASSERT_GE(first, 0);
  EXPECT_THAT(
      std::vector<std::string>(steps.begin() + first, steps.begin() + first + 7),
      ElementsAre("mount tmpfs at /sys/fs/cgroup nosuid,nodev,noexec mode=755 (optional)",
                  "mount cgroup at /sys/fs/cgroup/memory ro,nosuid,nodev,noexec memory (optional)",
                  "mount cgroup at /sys/fs/cgroup/cpu,cpuacct ro,nosuid,nodev,noexec cpu cpuacct "
                  "(optional)",
                  "symlink /sys/fs/cgroup/cpu -> cpu,cpuacct",
                  "symlink /sys/fs/cgroup/cpuacct -> cpu,cpuacct",
                  "mount cgroup at /sys/fs/cgroup/systemd ro,nosuid,nodev,noexec none name=systemd "
                  "(optional)",
                  "mount cgroup2 at /sys/fs/cgroup/unified ro,nosuid,nodev,noexec (optional)"));
  EXPECT_THAT(steps, Contains("read-only /sys/fs/cgroup"));
}

TEST(Plan, OpenFilesAreLimitedAsTheDaemonWasUnlessTheSpecSays) {
  Inputs inputs = PlainInputs();
  inputs.host.open_files_soft = 1024;
  inputs.host.open_files_hard = 524288;
  ContainerSpec spec = MinimalSpec();
  LaunchPlan plan = Compile(spec, inputs);
  ASSERT_EQ(plan.process().rlimits_size(), 1);
  EXPECT_EQ(plan.process().rlimits(0).resource(), RLIMIT_NOFILE);
  EXPECT_EQ(plan.process().rlimits(0).soft(), 1024u);
  EXPECT_EQ(plan.process().rlimits(0).hard(), 524288u);

  node::v1::Rlimit* limit = spec.mutable_process()->add_rlimits();
  limit->set_name("nofile");
  limit->set_soft(7);
  limit->set_hard(8);
  plan = Compile(spec, inputs);
  ASSERT_EQ(plan.process().rlimits_size(), 1);
  EXPECT_EQ(plan.process().rlimits(0).soft(), 7u);
}

TEST(Plan, ReadOnlyRoot) {
  ContainerSpec spec = MinimalSpec();
  spec.mutable_root()->set_read_only(true);
  spec.mutable_process()->set_working_directory("/srv/app");
  Inputs inputs = PlainInputs();
  std::vector<std::string> steps = StepLines(Compile(spec, inputs));
  int pivot = Position(steps, "pivot");
  EXPECT_EQ(steps[pivot - 2], "directory /srv/app 0755");
  EXPECT_EQ(steps[pivot - 1], "read-only root");
  for (const char* file : {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"}) {
    EXPECT_THAT(steps, Contains(absl::StrCat("attach ", file, " at ", file, " ro")));
  }

  // The directory itself, without a writable layer.
  inputs.upper.clear();
  inputs.work.clear();
  LaunchPlan plan = Compile(spec, inputs);
  EXPECT_EQ(SourceLines(plan)[0], "tree /srv/busybox");
  steps = StepLines(plan);
  int root = Position(steps, "root ");
  EXPECT_EQ(steps[root + 1], "read-only root") << "before any step could write into it";
  EXPECT_EQ(Position(steps, "directory"), -1);

  // Two read-only layers.
  inputs.lower = {"/layers/b", "/layers/a"};
  EXPECT_EQ(SourceLines(Compile(spec, inputs))[0],
            "overlay /layers/b:/layers/a upper= work= index=off metacopy=off "
            "redirect_dir=off");
}

TEST(Plan, PrivilegedIsMaskedInNothing) {
  ContainerSpec spec = MinimalSpec();
  spec.mutable_security()->set_privileged(true);
  spec.mutable_security()->add_masked_paths("/proc/secret");
  Inputs inputs = PlainInputs();
  MakeCgroupsV1(inputs);
  std::vector<std::string> steps = StepLines(Compile(spec, inputs));
  EXPECT_THAT(steps, Contains("mount sysfs at /sys nosuid,nodev,noexec"));
  EXPECT_THAT(steps, Contains("mount cgroup at /sys/fs/cgroup/memory nosuid,nodev,noexec memory "
                              "(optional)"));
  EXPECT_EQ(Position(steps, "read-only"), -1);
  EXPECT_EQ(steps.back(), "mask /proc/secret") << "what the user asked for still holds";
}

TEST(Plan, UnmaskedSystemPathsLeaveSysReadOnly) {
  ContainerSpec spec = MinimalSpec();
  spec.mutable_security()->set_unmask_system_paths(true);
  std::vector<std::string> steps = StepLines(Compile(spec));
  EXPECT_EQ(Position(steps, "mask"), -1);
  EXPECT_EQ(Position(steps, "read-only"), -1);
  EXPECT_THAT(steps, Contains("mount sysfs at /sys ro,nosuid,nodev,noexec"));
}

TEST(Plan, SeccompProfileIsCompiledIn) {
  ContainerSpec spec = MinimalSpec();
  spec.mutable_security()->set_seccomp_profile(
      R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
          "syscalls": [{"name": "reboot", "action": "SCMP_ACT_ERRNO"}]})");
  LaunchPlan plan = Compile(spec);
  EXPECT_NE(plan.process().seccomp_filter(), "");
  EXPECT_EQ(plan.process().seccomp_flags(), 2u);
}

}  // namespace
}  // namespace noded::launch
