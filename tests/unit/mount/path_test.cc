#include "rootfs/mount/path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "gtest/gtest.h"
#include "node/base/file.h"

namespace noded::mount {
namespace {

// A directory "root" and beside it "outside", which nothing may reach.
class PathTest : public testing::Test {
 protected:
  PathTest() {
    char base[] = "/tmp/noded-path-test-XXXXXX";
    base_ = mkdtemp(base);
    EXPECT_TRUE(MakeDirs(base_ + "/root/etc").ok());
    EXPECT_TRUE(MakeDirs(base_ + "/outside").ok());
    root_ = *OpenAt(AT_FDCWD, base_ + "/root", O_PATH | O_DIRECTORY);
  }
  ~PathTest() override {
    EXPECT_TRUE(ListDirAt(AT_FDCWD, base_ + "/outside")->empty()) << "something got outside";
    EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, base_).ok());
  }
  void Link(const std::string& target, const std::string& name) {
    ASSERT_EQ(symlink(target.c_str(), (base_ + "/root/" + name).c_str()), 0);
  }
  // 'd', 'f' or '-' for what is at a path of the root.
  char At(const std::string& path) {
    struct stat info;
    if (lstat((base_ + "/root" + path).c_str(), &info) != 0) return '-';
    return S_ISDIR(info.st_mode) ? 'd' : S_ISREG(info.st_mode) ? 'f' : '?';
  }
  Result Target(const std::string& path, bool directory) {
    UniqueFd fd;
    return OpenTarget(root_.get(), path, directory, &fd);
  }

  std::string base_;
  UniqueFd root_;
};

TEST_F(PathTest, MakesWhatIsMissing) {
  EXPECT_TRUE(Target("/a/b/c", true).ok());
  EXPECT_EQ(At("/a/b/c"), 'd');
  EXPECT_TRUE(Target("/a/d/file", false).ok());
  EXPECT_EQ(At("/a/d/file"), 'f');
}

TEST_F(PathTest, DotsEndAtTheRoot) {
  EXPECT_TRUE(Target("/../../../top", true).ok());
  EXPECT_EQ(At("/top"), 'd');
}

TEST_F(PathTest, SymlinksStayInside) {
  Link(base_ + "/outside", "absolute");
  Link("../../outside", "relative");
  Link("/", "slash");
  EXPECT_TRUE(Target("/absolute/new", true).ok());
  EXPECT_TRUE(Target("/relative/new", true).ok());
  EXPECT_TRUE(Target("/slash/etc/file", false).ok());
  EXPECT_EQ(At("/outside/new"), 'd');
  EXPECT_EQ(At("/etc/file"), 'f');
}

TEST_F(PathTest, ADanglingLinkHasItsTargetMadeInside) {
  Link("/etc/missing/file", "etc/link");
  ASSERT_TRUE(MakeDirs(base_ + "/root/etc/missing").ok());
  EXPECT_TRUE(Target("/etc/link", false).ok());
  EXPECT_EQ(At("/etc/missing/file"), 'f');
}

TEST_F(PathTest, LinksThatGoInCirclesAreRefused) {
  Link("b", "a");
  Link("a", "b");
  EXPECT_EQ(Target("/a/x", true).error, ELOOP);
  // Each step makes the next one longer.
  Link("grow/x", "grow");
  EXPECT_FALSE(Target("/grow", true).ok());
}

TEST_F(PathTest, AFileIsNoDirectory) {
  EXPECT_TRUE(Target("/etc/file", false).ok());
  EXPECT_EQ(Target("/etc/file/below", true).error, ENOTDIR);
}

TEST_F(PathTest, WhatExistsIsTaken) {
  EXPECT_TRUE(Target("/etc", false).ok());
  EXPECT_EQ(At("/etc"), 'd');
}

TEST_F(PathTest, ModesAreAsAskedFor) {
  UniqueFd made;
  mode_t old = umask(0);
  EXPECT_TRUE(MakeDirectories(root_.get(), "/m/n", 01777, {}, &made).ok());
  umask(old);
  struct stat info;
  ASSERT_EQ(stat((base_ + "/root/m/n").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 01777u);
}

TEST_F(PathTest, AParentAndAName) {
  UniqueFd parent;
  std::string name;
  EXPECT_TRUE(OpenParent(root_.get(), "/dev/shm/x/", &parent, &name).ok());
  EXPECT_EQ(name, "x");
  EXPECT_EQ(At("/dev/shm"), 'd');
  EXPECT_FALSE(OpenParent(root_.get(), "/", &parent, &name).ok());
  EXPECT_FALSE(OpenParent(root_.get(), "/dev/..", &parent, &name).ok());
}

}  // namespace
}  // namespace noded::mount
