#include "node/base/syscalls.h"

#include <fcntl.h>

#include "node/base/file.h"
#include "tests/unit/base/scratch.h"

namespace noded {
namespace {

class OpenInRootTest : public ScratchTest {
 protected:
  OpenInRootTest() {
    // <dir>/etc/passwd is the host's, <dir>/root the container's root.
    Write("etc/passwd", "host");
    Write("root/etc/passwd", "container");
    root_ = *OpenAt(AT_FDCWD, Path("root"), O_PATH | O_DIRECTORY);
  }
  std::string ReadInRoot(const char* path) {
    UniqueFd fd(OpenInRoot(root_.get(), path, O_RDONLY));
    return fd ? *ReadHeld(fd.get()) : "";
  }
  UniqueFd root_;
};

TEST_F(OpenInRootTest, AbsolutePathsAndDotsStayInside) {
  EXPECT_EQ(ReadInRoot("/etc/passwd"), "container");
  EXPECT_EQ(ReadInRoot("../etc/passwd"), "container");
  EXPECT_EQ(ReadInRoot("etc/../../../etc/passwd"), "container");
}

TEST_F(OpenInRootTest, SymlinksStayInside) {
  ASSERT_EQ(symlink("/etc/passwd", Path("root/absolute").c_str()), 0);
  ASSERT_EQ(symlink("../../etc/passwd", Path("root/relative").c_str()), 0);
  EXPECT_EQ(ReadInRoot("absolute"), "container");
  EXPECT_EQ(ReadInRoot("relative"), "container");
}

TEST_F(OpenInRootTest, CreatesWithAModeOnlyWhereItMay) {
  UniqueFd made(OpenInRoot(root_.get(), "/made", O_WRONLY | O_CREAT, 0640));
  EXPECT_TRUE(made.valid());
  EXPECT_TRUE(Exists("root/made"));
  UniqueFd opened(OpenInRoot(root_.get(), "/made", O_RDONLY, 0640));
  EXPECT_TRUE(opened.valid()) << "a mode without O_CREAT must not be EINVAL";
  EXPECT_EQ(fcntl(opened.get(), F_GETFD), FD_CLOEXEC);
}

}  // namespace
}  // namespace noded
