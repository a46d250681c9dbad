// SystemdScope over a directory that stands for cgroup2, with scripts that stand for systemd-run.
#include "node/systemd_scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cgroup/cgroupfs.h"
#include "tests/patience.h"

namespace noded {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DirectoryFs : public cgroup::CgroupFs {
 public:
  int MakeGroup(int parent, const char* name) override {
    if (mkdirat(parent, name, 0755) != 0) return -1;
    std::ofstream("/proc/self/fd/" + std::to_string(parent) + "/" + name + "/cgroup.procs");
    return 0;
  }
};

class SystemdScopeTest : public testing::Test {
 protected:
  SystemdScopeTest() {
    char path[] = "/tmp/noded-scope-XXXXXX";
    dir_ = mkdtemp(path);
    fs::create_directory(dir_ + "/cgroup");
    Write("mounts", absl::StrCat("41 31 0:38 / ", dir_, "/cgroup rw - cgroup2 none rw\n"));
    // Makes the scope as systemd would, and notes how it was asked.
    SetSystemdRun(absl::StrCat("echo \"$@\" >>", dir_, "/asked; mkdir -p ", Scope(), "; exec cat"));
  }
  ~SystemdScopeTest() override { fs::remove_all(dir_); }

  std::string Scope() const { return dir_ + "/cgroup/noded.slice/noded-containers.scope"; }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ + "/" + name) << text;
  }
  std::string Read(const std::string& path) const {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  void SetSystemdRun(const std::string& script) const {
    Write("systemd-run", "#!/bin/sh\n" + script + "\n");
    chmod((dir_ + "/systemd-run").c_str(), 0755);
  }
  absl::StatusOr<std::unique_ptr<SystemdScope>> Make(absl::Duration bound = absl::Seconds(10)) {
    return SystemdScope::Make({.systemd_run = dir_ + "/systemd-run",
                               .mounts_path = dir_ + "/mounts",
                               .fs = std::make_shared<DirectoryFs>(),
                               .bound = test::Patience(bound)});
  }
  // What was last put into the supervisors' group, when it is not shorter than what was before.
  std::string Entered() const { return Read(Scope() + "/supervisors/cgroup.procs"); }
  int TimesAsked() const {
    const std::string asked = Read(dir_ + "/asked");
    return static_cast<int>(std::count(asked.begin(), asked.end(), '\n'));
  }

  std::string dir_;
};

TEST_F(SystemdScopeTest, AsksForADelegatedScopeAndHoldsIt) {
  auto scope = Make();
  ASSERT_TRUE(scope.ok()) << scope.status();
  EXPECT_EQ((*scope)->path(), "/noded.slice/noded-containers.scope");
  const std::string asked = Read(dir_ + "/asked");
  for (const char* word : {"--scope", "--unit=noded-containers.scope", "--slice=noded.slice",
                           "--property=Delegate=yes", "--property=TasksMax=infinity",
                           "--property=Before=noded-shutdown.service"}) {
    EXPECT_THAT(asked, HasSubstr(word));
  }
  pid_t holder = -1;
  ASSERT_TRUE(absl::SimpleAtoi(Entered(), &holder)) << Entered();
  EXPECT_EQ(kill(holder, 0), 0) << "it lives as long as we do";
  EXPECT_TRUE((*scope)->Enter(9999999).ok());
  EXPECT_EQ(Entered(), "9999999");
  EXPECT_EQ(TimesAsked(), 1);
}

TEST_F(SystemdScopeTest, AScopeThatWasStoppedIsMadeAgain) {
  auto scope = Make();
  ASSERT_TRUE(scope.ok()) << scope.status();
  pid_t holder = -1;
  ASSERT_TRUE(absl::SimpleAtoi(Entered(), &holder));
  ASSERT_EQ(kill(holder, SIGKILL), 0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(holder), &info, WEXITED | WNOWAIT), 0);
  fs::remove_all(Scope());
  EXPECT_TRUE((*scope)->Enter(9999999).ok());
  EXPECT_EQ(Entered(), "9999999");
  EXPECT_EQ(TimesAsked(), 2);
}

TEST_F(SystemdScopeTest, OneThatContainersKeepIsJoined) {
  fs::create_directories(Scope());
  std::ofstream(Scope() + "/cgroup.events") << "populated 1\nfrozen 0\n";
  auto scope = Make();
  ASSERT_TRUE(scope.ok()) << scope.status();
  EXPECT_EQ(TimesAsked(), 0);
  pid_t holder = -1;
  ASSERT_TRUE(absl::SimpleAtoi(Entered(), &holder));
  EXPECT_EQ(kill(holder, 0), 0);
}

TEST_F(SystemdScopeTest, ANameThatIsStillTakenIsTriedAgain) {
  SetSystemdRun(absl::StrCat("echo x >>", dir_, "/asked; [ $(wc -l <", dir_,
                             "/asked) -ge 3 ] || { echo Unit was already loaded >&2; exit 1; }; ",
                             "mkdir -p ", Scope(), "; exec cat"));
  auto scope = Make();
  ASSERT_TRUE(scope.ok()) << scope.status();
  EXPECT_EQ(TimesAsked(), 3);
}

TEST_F(SystemdScopeTest, RefusalIsToldInSystemdsWords) {
  SetSystemdRun("echo 'Failed to connect to bus: No such file or directory' >&2; exit 1");
  absl::Status refused = Make(absl::Milliseconds(100)).status();
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_THAT(refused.message(), HasSubstr("make unit \"noded-containers.scope\""));
  EXPECT_THAT(refused.message(), HasSubstr("Failed to connect to bus"));
}

TEST_F(SystemdScopeTest, OneThatHangsIsGivenUp) {
  SetSystemdRun("exec sleep 1000");
  absl::Status late = Make(absl::Milliseconds(100)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
}

TEST_F(SystemdScopeTest, WithoutSystemdRunItIsSaidSo) {
  fs::remove(dir_ + "/systemd-run");
  absl::Status missing = Make(absl::Milliseconds(100)).status();
  EXPECT_FALSE(missing.ok());
  EXPECT_THAT(missing.message(), HasSubstr("systemd-run"));
}

TEST(StartedBySystemdTest, NotByThisTestWhateverItsEnvironmentSays) {
  setenv("SYSTEMD_EXEC_PID", "1", 1);
  EXPECT_FALSE(StartedBySystemd());
  unsetenv("SYSTEMD_EXEC_PID");
  EXPECT_FALSE(StartedBySystemd());
}

}  // namespace
}  // namespace noded
