#include "cgroup/plain_group.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace noded::cgroup {
namespace {

namespace fs = std::filesystem;

// A new directory has the file that processes are written to.
class DirectoryFs : public CgroupFs {
 public:
  int MakeGroup(int parent, const char* name) override {
    if (mkdirat(parent, name, 0755) != 0) return -1;
    std::ofstream("/proc/self/fd/" + std::to_string(parent) + "/" + name + "/cgroup.procs");
    return 0;
  }
};

class PlainGroupTest : public testing::Test {
 protected:
  PlainGroupTest() {
    char path[] = "/tmp/noded-plain-group-XXXXXX";
    dir_ = mkdtemp(path);
  }
  ~PlainGroupTest() override { fs::remove_all(dir_); }

  std::string Make(const std::string& path) const {
    fs::create_directories(dir_ + "/" + path);
    return dir_ + "/" + path;
  }
  std::string Read(const std::string& path) const {
    std::ifstream file(dir_ + "/" + path);
    std::stringstream text;
    text << file.rdbuf();
    return file ? text.str() : "(none)";
  }

  std::string dir_;
  DirectoryFs fs_;
};

TEST_F(PlainGroupTest, OnV2) {
  Mounts mounts{.v1 = {}, .v2_path = Make("v2")};
  Make("v2/a.slice/b.scope");
  ASSERT_TRUE(EnterPlainGroup(mounts, "/a.slice/b.scope", "beside", 42, fs_).ok());
  EXPECT_EQ(Read("v2/a.slice/b.scope/beside/cgroup.procs"), "42");
}

TEST_F(PlainGroupTest, OnAHybridHostItIsInTheHierarchiesOfUnits) {
  Mounts mounts{.v1 = {{Make("memory"), {"memory"}},
                       {Make("cpu"), {"cpu", "cpuacct"}},
                       {Make("cpuset"), {"cpuset"}},
                       {Make("freezer"), {"freezer"}},
                       {Make("systemd"), {"name=systemd"}}},
                .v2_path = Make("unified")};
  Make("unified/a");
  ASSERT_TRUE(EnterPlainGroup(mounts, "/a", "beside", 42, fs_).ok());
  for (const char* hierarchy : {"memory", "cpu", "systemd", "unified"}) {
    EXPECT_EQ(Read(std::string(hierarchy) + "/a/beside/cgroup.procs"), "42") << hierarchy;
  }
  EXPECT_FALSE(fs::exists(dir_ + "/cpuset/a"));
  EXPECT_FALSE(fs::exists(dir_ + "/freezer/a"));
}

TEST_F(PlainGroupTest, AParentThatIsNotThereIsNotMade) {
  Mounts v2{.v1 = {}, .v2_path = Make("v2")};
  EXPECT_TRUE(absl::IsNotFound(EnterPlainGroup(v2, "/gone", "beside", 42, fs_)));
  Mounts v1{.v1 = {{Make("memory"), {"memory"}}, {Make("systemd"), {"name=systemd"}}},
            .v2_path = std::nullopt};
  EXPECT_TRUE(absl::IsNotFound(EnterPlainGroup(v1, "/gone", "beside", 42, fs_)));
  EXPECT_TRUE(fs::is_empty(dir_ + "/v2"));
  EXPECT_TRUE(fs::is_empty(dir_ + "/memory"));
  Mounts none{.v1 = {{dir_ + "/memory", {"memory"}}}, .v2_path = std::nullopt};
  EXPECT_TRUE(absl::IsNotFound(EnterPlainGroup(none, "/gone", "beside", 42, fs_)));
}

TEST_F(PlainGroupTest, BadNamesAreRefused) {
  Mounts mounts{.v1 = {}, .v2_path = Make("v2")};
  EXPECT_TRUE(absl::IsInvalidArgument(EnterPlainGroup(mounts, "/", "..", 42, fs_)));
  EXPECT_TRUE(absl::IsInvalidArgument(EnterPlainGroup(mounts, "/../x", "beside", 42, fs_)));
}

TEST_F(PlainGroupTest, PopulatedIsWhatTheKernelSaysOrWhereAProcessIs) {
  Mounts v2{.v1 = {}, .v2_path = Make("v2")};
  EXPECT_FALSE(IsPopulated(v2, "/a"));
  std::ofstream(Make("v2/a") + "/cgroup.events") << "populated 0\nfrozen 0\n";
  EXPECT_FALSE(IsPopulated(v2, "/a"));
  std::ofstream(dir_ + "/v2/a/cgroup.events") << "populated 1\nfrozen 0\n";
  EXPECT_TRUE(IsPopulated(v2, "/a"));

  Mounts v1{.v1 = {{Make("systemd"), {"name=systemd"}}}, .v2_path = std::nullopt};
  std::ofstream(Make("systemd/a/below") + "/cgroup.procs");
  EXPECT_FALSE(IsPopulated(v1, "/a"));
  std::ofstream(dir_ + "/systemd/a/below/cgroup.procs") << "17\n";
  EXPECT_TRUE(IsPopulated(v1, "/a"));
}

}  // namespace
}  // namespace noded::cgroup
