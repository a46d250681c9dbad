// net_cls and net_prio, which a host mounts or not: the test mounts them for its time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "cgroup/driver.h"
#include "node/base/file.h"

namespace noded::cgroup {
namespace {

using ::testing::HasSubstr;

class NetTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = absl::StrCat(testing::TempDir(), "noded_net_", getpid());
    mkdir(dir_.c_str(), 0700);
    if (mount("cgroup", dir_.c_str(), "cgroup", 0, "net_cls,net_prio") != 0) {
      rmdir(dir_.c_str());
      GTEST_SKIP() << "mount net_cls and net_prio: " << strerror(errno);
    }
    mounted_ = true;
    options_ = {.parent = "/noded_net_test", .driver = "v1", .mounts_path = dir_ + ".mounts"};
    ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, options_.mounts_path,
                              absl::StrCat("31 23 0:28 / ", dir_,
                                           " rw - cgroup cgroup rw,net_cls,net_prio\n"))
                    .ok());
  }
  void TearDown() override {
    if (!mounted_) return;
    rmdir((dir_ + options_.parent).c_str());
    EXPECT_EQ(umount(dir_.c_str()), 0) << strerror(errno);
    unlink(options_.mounts_path.c_str());
    rmdir(dir_.c_str());
  }
  std::string Read(const std::string& file) const {
    return ReadFileAt(AT_FDCWD, absl::StrCat(dir_, options_.parent, "/web/", file)).value_or("");
  }

  std::string dir_;
  bool mounted_ = false;
  DriverOptions options_;
};

TEST_F(NetTest, ClassAndPriorities) {
  auto driver = OpenDriver(options_);
  ASSERT_TRUE(driver.ok()) << driver.status();
  Limits limits{.net_class_id = 0x10001, .net_priorities = {{"lo", 5}}};
  EXPECT_TRUE((*driver)->Unenforceable(limits).empty());
  auto group = (*driver)->Create("web", limits);
  ASSERT_TRUE(group.ok()) << group.status();
  EXPECT_EQ(Read("net_cls.classid"), "65537\n");
  EXPECT_THAT(Read("net_prio.ifpriomap"), HasSubstr("lo 5\n"));
  absl::Status updated = (*group)->Update({.net_priorities = {{"lo", 6}}}, {});
  EXPECT_TRUE(updated.ok()) << updated;
  EXPECT_EQ(Read("net_cls.classid"), "0\n");
  EXPECT_THAT(Read("net_prio.ifpriomap"), HasSubstr("lo 6\n"));
  absl::Status unknown = (*group)->Update({.net_priorities = {{"no-such", 6}}}, {});
  EXPECT_FALSE(unknown.ok());
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("limits.net_priorities"));
  EXPECT_THAT(Read("net_prio.ifpriomap"), HasSubstr("lo 6\n")) << "rolled back";
  EXPECT_TRUE((*group)->Remove(absl::Seconds(1)).ok());
}

}  // namespace
}  // namespace noded::cgroup
