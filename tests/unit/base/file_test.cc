#include "node/base/file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>

#include "tests/unit/base/scratch.h"

namespace noded {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class FileTest : public ScratchTest {};

TEST_F(FileTest, OpenedDescriptorsCloseOnExec) {
  Write("a", "x");
  auto fd = OpenAt(AT_FDCWD, Path("a"), O_RDONLY);
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_EQ(fcntl(fd->get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(FileTest, MissingFileIsNotFoundAndNamed) {
  auto content = ReadFileAt(AT_FDCWD, Path("nothing"));
  EXPECT_TRUE(absl::IsNotFound(content.status()));
  EXPECT_THAT(content.status().message(), HasSubstr(Path("nothing") + "\": no such file"));
  EXPECT_TRUE(absl::IsNotFound(ListDirAt(AT_FDCWD, Path("nothing")).status()));
}

TEST_F(FileTest, ReadIsBounded) {
  Write("big", std::string(100'000, 'x'));
  EXPECT_EQ(ReadFileAt(AT_FDCWD, Path("big"))->size(), 100'000u);
  EXPECT_TRUE(absl::IsResourceExhausted(ReadFileAt(AT_FDCWD, Path("big"), 99'999).status()));
  EXPECT_EQ(ReadFileAt(AT_FDCWD, Path("big"), 100'000)->size(), 100'000u);
}

TEST_F(FileTest, HeldDescriptorIsReadFromItsStartEveryTime) {
  Write("held", "one");
  auto fd = OpenAt(AT_FDCWD, Path("held"), O_RDONLY);
  EXPECT_EQ(*ReadHeld(fd->get()), "one");
  Write("held", "and two");
  EXPECT_EQ(*ReadHeld(fd->get()), "and two");
}

TEST_F(FileTest, HeldFileOfAnEndedProcessIsNotFound) {
  pid_t pid = fork();
  if (pid == 0) {
    while (true) pause();
  }
  auto fd = OpenAt(AT_FDCWD, "/proc/" + std::to_string(pid) + "/stat", O_RDONLY);
  ASSERT_TRUE(fd.ok());
  EXPECT_TRUE(ReadHeld(fd->get()).ok());
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  EXPECT_TRUE(absl::IsNotFound(ReadHeld(fd->get()).status()));
}

TEST_F(FileTest, WriteExistingNeverCreates) {
  EXPECT_FALSE(WriteExistingAt(AT_FDCWD, Path("none"), "1").ok());
  EXPECT_FALSE(Exists("none"));
  Write("there", "");
  EXPECT_TRUE(WriteExistingAt(AT_FDCWD, Path("there"), "1").ok());
  EXPECT_EQ(Read("there"), "1");
}

TEST_F(FileTest, ReplaceGivesModeAndLeavesNoTemporary) {
  for (bool sync : {false, true}) {
    ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, Path("record"), "new", 0640, sync).ok());
    EXPECT_EQ(Read("record"), "new");
    struct stat info;
    stat(Path("record").c_str(), &info);
    EXPECT_EQ(info.st_mode & 07777, 0640u);
    EXPECT_FALSE(Exists("record.tmp"));
  }
}

TEST_F(FileTest, ReplaceThroughADirectoryDescriptor) {
  auto dir = OpenAt(AT_FDCWD, dir_, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(ReplaceFileAt(dir->get(), "record", "new", 0600, true).ok());
  EXPECT_EQ(Read("record"), "new");
}

TEST_F(FileTest, FailedReplaceKeepsTheOld) {
  Write("dir/inside", "x");
  EXPECT_FALSE(ReplaceFileAt(AT_FDCWD, Path("dir"), "new").ok()) << "a directory is in the way";
  EXPECT_EQ(Read("dir/inside"), "x");
  EXPECT_FALSE(Exists("dir.tmp"));
}

TEST_F(FileTest, ReplaceDoesNotWriteThroughASymlink) {
  Write("victim", "precious");
  ASSERT_EQ(symlink("victim", Path("record.tmp").c_str()), 0);
  EXPECT_FALSE(ReplaceFileAt(AT_FDCWD, Path("record"), "new").ok());
  EXPECT_EQ(Read("victim"), "precious");
}

TEST_F(FileTest, MakeDirsMakesParentsAndAcceptsWhatIsThere) {
  EXPECT_TRUE(MakeDirs(Path("a/b/c")).ok());
  EXPECT_TRUE(MakeDirs(Path("a/b/c")).ok());
  EXPECT_TRUE(MakeDirs(Path("a/b/d/")).ok());
  EXPECT_TRUE(Exists("a/b/c") && Exists("a/b/d"));
  Write("file", "");
  EXPECT_THAT(MakeDirs(Path("file/x")).message(), HasSubstr("not a directory"));
  EXPECT_THAT(MakeDirs(Path("file")).message(), HasSubstr("not a directory"));
}

TEST_F(FileTest, ListDir) {
  Write("a", "");
  Write("b/c", "");
  EXPECT_THAT(*ListDirAt(AT_FDCWD, dir_), UnorderedElementsAre("a", "b"));
}

TEST_F(FileTest, SealedMemfdCannotBeChanged) {
  auto fd = SealedMemfd("plan", "content");
  ASSERT_TRUE(fd.ok()) << fd.status();
  char buffer[16];
  EXPECT_EQ(read(fd->get(), buffer, sizeof(buffer)), 7) << "positioned at its start";
  EXPECT_EQ(write(fd->get(), "x", 1), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(ftruncate(fd->get(), 0), -1);
  EXPECT_EQ(fcntl(fd->get(), F_ADD_SEALS, F_SEAL_WRITE), -1) << "no seal can be added";
}

TEST_F(FileTest, WriteAllReportsAFullPipe) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  UniqueFd reader(ends[0]), writer(ends[1]);
  ASSERT_TRUE(SetNonblocking(writer.get()).ok());
  EXPECT_TRUE(absl::IsUnavailable(WriteAll(writer.get(), std::string(1 << 20, 'x'))));
}

}  // namespace
}  // namespace noded
