#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "node/base/file.h"
#include "tests/unit/base/scratch.h"

namespace noded {
namespace {

using ::testing::HasSubstr;

class RemoveTreeTest : public ScratchTest {};

TEST_F(RemoveTreeTest, RemovesFilesDirectoriesAndOddThings) {
  Write("tree/a/b/file", "x");
  Write("tree/a/other", "x");
  Write("tree/c/d/e/file", "x");
  mkfifo(Path("tree/fifo").c_str(), 0600);
  std::filesystem::create_directories(Path("tree/empty"));
  EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, Path("tree")).ok());
  EXPECT_FALSE(Exists("tree"));
}

TEST_F(RemoveTreeTest, MissingIsFineAndAFileIsRemoved) {
  EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, Path("nothing")).ok());
  Write("file", "x");
  EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, Path("file")).ok());
  EXPECT_FALSE(Exists("file"));
}

TEST_F(RemoveTreeTest, RelativeToADirectory) {
  Write("tree/a/file", "x");
  auto dir = OpenAt(AT_FDCWD, dir_, O_RDONLY | O_DIRECTORY);
  EXPECT_TRUE(RemoveTreeAt(dir->get(), "tree/a").ok());
  EXPECT_TRUE(Exists("tree"));
  EXPECT_TRUE(RemoveTreeAt(dir->get(), "tree").ok());
  EXPECT_FALSE(Exists("tree"));
}

TEST_F(RemoveTreeTest, SymlinksAreRemovedNotFollowed) {
  Write("precious/file", "x");
  std::filesystem::create_directories(Path("tree/sub"));
  ASSERT_EQ(symlink(Path("precious").c_str(), Path("tree/out").c_str()), 0);
  ASSERT_EQ(symlink("/", Path("tree/sub/root").c_str()), 0);
  ASSERT_EQ(symlink("nowhere", Path("tree/dangling").c_str()), 0);
  EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, Path("tree")).ok());
  EXPECT_FALSE(Exists("tree"));
  EXPECT_EQ(Read("precious/file"), "x");
  // The tree's own name may be a symlink too.
  ASSERT_EQ(symlink(Path("precious").c_str(), Path("link").c_str()), 0);
  EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, Path("link")).ok());
  EXPECT_FALSE(Exists("link"));
  EXPECT_EQ(Read("precious/file"), "x");
}

TEST_F(RemoveTreeTest, DeeperThanPathMaxWithFewDescriptors) {
  // 3000 levels of "dddddddd" are 27 kB of path; PATH_MAX is 4 kB.
  auto at = OpenAt(AT_FDCWD, dir_, O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(mkdirat(at->get(), "tree", 0755), 0);
  at = OpenAt(at->get(), "tree", O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(mkdirat(at->get(), "dddddddd", 0755), 0);
    UniqueFd file(openat(at->get(), "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    at = OpenAt(at->get(), "dddddddd", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(at.ok());
  }
  rlimit before, few;
  getrlimit(RLIMIT_NOFILE, &before);
  few = {.rlim_cur = 64, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  absl::Status removed = RemoveTreeAt(AT_FDCWD, Path("tree"));
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_FALSE(Exists("tree"));
}

TEST_F(RemoveTreeTest, DoesNotCrossAMount) {
  Write("tree/sub/file", "x");
  Write("precious/file", "x");
  pid_t pid = fork();
  if (pid == 0) {
    // In a mount namespace of the child's own, which ends with it; a user namespace when not root.
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(77);
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(77);
    std::filesystem::create_directories(Path("tree/mounted"));
    // A bind of the same file system: st_dev would not tell.
    if (mount(Path("precious").c_str(), Path("tree/mounted").c_str(), nullptr, MS_BIND, nullptr)) {
      _exit(77);
    }
    absl::Status removed = RemoveTreeAt(AT_FDCWD, Path("tree"));
    bool named = removed.message().find("mounted") != absl::string_view::npos;
    _exit(absl::IsFailedPrecondition(removed) && named ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "cannot mount here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(Read("precious/file"), "x");
}

TEST_F(RemoveTreeTest, ErrorNamesTheTree) {
  absl::Status removed = RemoveTreeAt(AT_FDCWD, "/proc/self/task");
  EXPECT_FALSE(removed.ok());
  EXPECT_THAT(removed.message(), HasSubstr("/proc/self/task"));
}

}  // namespace
}  // namespace noded
