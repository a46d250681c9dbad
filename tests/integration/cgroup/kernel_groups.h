// Groups of the running kernel for tests: made below a parent of the test's own, taken away at its
// end. Needs root.
#ifndef TESTS_INTEGRATION_CGROUP_KERNEL_GROUPS_H_
#define TESTS_INTEGRATION_CGROUP_KERNEL_GROUPS_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cgroup/driver.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/syscalls.h"

namespace noded::cgroup {

#define ASSERT_OK(expr)                                       \
  do {                                                        \
    const auto& noded_result = (expr);                        \
    ASSERT_TRUE(noded_result.ok()) << ToStatus(noded_result); \
  } while (false)

inline absl::Status ToStatus(const absl::Status& status) { return status; }
template <typename T>
absl::Status ToStatus(const absl::StatusOr<T>& status) {
  return status.status();
}

// A process that enters the group and then runs `body`; killed and reaped at the end. The
// constructor returns when it is inside.
class Payload {
 public:
  Payload(const Group& group, std::function<int()> body) {
    auto attach = group.OpenAttach();
    EXPECT_TRUE(attach.ok()) << attach.status();
    if (!attach.ok()) return;
    clone_args args{};
    args.exit_signal = SIGCHLD;
    if (attach->into) {
      args.flags = CLONE_INTO_CGROUP;
      args.cgroup = static_cast<uint64_t>(attach->into.get());
    }
    auto gate = SocketPair();
    pid_ = Clone3(&args);
    if (pid_ == 0) {
      bool inside = true;
      for (const UniqueFd& tasks : attach->tasks) inside &= write(tasks.get(), "0", 1) == 1;
      if (!inside || write(gate.second.get(), "", 1) != 1) _exit(255);
      _exit(body());
    }
    EXPECT_GT(pid_, 0) << strerror(errno);
    gate.second.Reset();
    char ready;
    EXPECT_EQ(read(gate.first.get(), &ready, 1), 1) << "the child did not enter its group";
  }
  ~Payload() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  // As waitpid(2) tells, within a time that no test needs.
  int Wait() {
    for (absl::Time end = absl::Now() + absl::Seconds(20); absl::Now() < end;) {
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return status;
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
    ADD_FAILURE() << "process " << pid_ << " does not end";
    return -1;
  }

 private:
  static std::pair<UniqueFd, UniqueFd> SocketPair() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
  pid_t pid_ = -1;
};

inline int SleepForever() {
  while (true) pause();
}

// A directory whose files are on a disk: page cache of a file system in memory cannot be written
// back, swapped to or reclaimed. Empty when there is none.
inline std::string DiskDirectory() {
  for (const char* path : {"/var/tmp", "/disk"}) {
    struct statfs info;
    if (statfs(path, &info) != 0) continue;
    constexpr decltype(info.f_type) kExt4 = 0xef53, kXfs = 0x58465342;
    if (info.f_type == kExt4 || info.f_type == kXfs) return path;
  }
  return "";
}

// A driver, and whether it is shown the cgroup2 mount.
struct Choice {
  const char* name;
  const char* driver;
  bool sees_v2;
};
inline void PrintTo(const Choice& choice, std::ostream* out) { *out << choice.name; }

class CgroupTest : public testing::TestWithParam<Choice> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    enabled_before_ = EnabledAtRoot();
    options_.parent = absl::StrCat("/noded_test_", getpid());
    options_.driver = GetParam().driver;
    if (!GetParam().sees_v2) options_.mounts_path = MountsWithoutV2();
    auto driver = OpenDriver(options_);
    if (absl::IsFailedPrecondition(driver.status())) GTEST_SKIP() << driver.status();
    ASSERT_OK(driver);
    driver_ = *std::move(driver);
  }

  // What the root of the v2 hierarchy enables for its children, which a driver adds to.
  static std::vector<std::string> EnabledAtRoot() {
    std::vector<std::string> enabled;
    for (const std::string& mount : MountPoints()) {
      auto text = ReadFileAt(AT_FDCWD, absl::StrCat(mount, "/cgroup.subtree_control"));
      if (text.ok()) enabled = absl::StrSplit(absl::StripAsciiWhitespace(*text), ' ');
    }
    return enabled;
  }
  void TearDown() override {
    if (!GetParam().sees_v2) unlink(options_.mounts_path.c_str());
    if (driver_ == nullptr) return;
    auto names = driver_->List();
    ASSERT_OK(names);
    for (const std::string& name : *names) {
      auto group = driver_->Open(name);
      ASSERT_OK(group);
      EXPECT_TRUE((*group)->Kill().ok());
      EXPECT_TRUE((*group)->Remove(absl::Seconds(5)).ok());
    }
    driver_.reset();
    for (const std::string& mount : MountPoints()) {
      rmdir(absl::StrCat(mount, options_.parent).c_str());
    }
    // Nothing stays enabled that was not before.
    for (const std::string& name : EnabledAtRoot()) {
      auto before = std::find(enabled_before_.begin(), enabled_before_.end(), name);
      if (name.empty() || before != enabled_before_.end()) continue;
      for (const std::string& mount : MountPoints()) {
        WriteExistingAt(AT_FDCWD, absl::StrCat(mount, "/cgroup.subtree_control"),
                        absl::StrCat("-", name))
            .IgnoreError();
      }
    }
  }

  static std::string MountsWithoutV2() {
    std::string kept, path = absl::StrCat(testing::TempDir(), "noded_mounts_", getpid());
    std::vector<std::string> lines =
        absl::StrSplit(*ReadFileAt(AT_FDCWD, "/proc/self/mountinfo"), '\n');
    for (const std::string& line : lines) {
      if (line.find(" - cgroup2 ") == std::string::npos) absl::StrAppend(&kept, line, "\n");
    }
    EXPECT_TRUE(ReplaceFileAt(AT_FDCWD, path, kept).ok());
    return path;
  }

  static std::vector<std::string> MountPoints() {
    std::vector<std::string> points;
    FILE* file = fopen("/proc/self/mounts", "re");
    char source[256], point[256], type[256];
    while (fscanf(file, "%255s %255s %255s %*[^\n]", source, point, type) == 3) {
      if (strcmp(type, "cgroup") == 0 || strcmp(type, "cgroup2") == 0) points.push_back(point);
    }
    fclose(file);
    return points;
  }

  // Directories called `name` below our parent, in whatever hierarchy.
  std::vector<std::string> Directories(const std::string& name) const {
    std::vector<std::string> found;
    for (const std::string& mount : MountPoints()) {
      std::string path = absl::StrCat(mount, options_.parent, "/", name);
      if (access(path.c_str(), F_OK) == 0) found.push_back(path);
    }
    return found;
  }

  bool Has(const std::string& controller) const {
    auto names = driver_->controllers();
    return std::find(names.begin(), names.end(), controller) != names.end();
  }

  std::unique_ptr<Group> Make(const std::string& name, const Limits& limits = {}) {
    auto group = driver_->Create(name, limits);
    EXPECT_TRUE(group.ok()) << group.status();
    return group.ok() ? *std::move(group) : nullptr;
  }

  DriverOptions options_;
  std::vector<std::string> enabled_before_;
  std::unique_ptr<Driver> driver_;
};

}  // namespace noded::cgroup

#endif  // TESTS_INTEGRATION_CGROUP_KERNEL_GROUPS_H_
