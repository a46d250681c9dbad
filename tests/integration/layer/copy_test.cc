// Unpacking into a tree in use, as files are copied into a container: its links are followed inside
// it, and what is there keeps its type unless asked otherwise.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "tests/integration/layer/tar_bytes.h"
#include "tests/integration/layer/tree.h"

namespace noded::layer {
namespace {

using ::testing::HasSubstr;

UnpackOptions CopyInto(const TempTree& tree, const std::string& path) {
  UnpackOptions options = InTree(tree);
  options.mode = UnpackMode::kCopy;
  options.path = path;
  return options;
}

TEST(CopyTest, BelowAPathThroughLinksOfTheTree) {
  TempTree tree;
  std::filesystem::create_directories(tree.At("data/real"));
  std::filesystem::create_symlink("/data/real", tree.At("short"));
  const auto unpacked = UnpackBytes(CopyInto(tree, "/short/"),
                                    TarBytes({{.name = "/a/.wh.x", .content = "no whiteout"},
                                              {.name = "../b", .content = "b"},
                                              HardLink("c", "b")}));
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_EQ(tree.Content("data/real/a/.wh.x"), "no whiteout");
  EXPECT_EQ(tree.Content("data/real/b"), "b") << "\"..\" ends at the path";
  EXPECT_EQ(tree.Stat("data/real/c").st_ino, tree.Stat("data/real/b").st_ino);
}

TEST(CopyTest, PathMustBeADirectory) {
  TempTree tree;
  tree.Write("file", "");
  const absl::Status missing = UnpackBytes(CopyInto(tree, "/no/such"), TarBytes({})).status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_THAT(std::string(missing.message()), HasSubstr("\"no\""));
  const absl::Status file = UnpackBytes(CopyInto(tree, "/file"), TarBytes({})).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(file)) << file;
}

TEST(CopyTest, OwnerOfTheContainersUser) {
  TempTree tree;
  UnpackOptions options = CopyInto(tree, "");
  options.owner = Owner{1000, 1001};
  ASSERT_TRUE(UnpackBytes(options, TarBytes({{.name = "d/f", .mode = 04755, .uid = 5}})).ok());
  EXPECT_EQ(tree.Stat("d").st_uid, 1000u);
  EXPECT_EQ(tree.Stat("d/f").st_uid, 1000u);
  EXPECT_EQ(tree.Stat("d/f").st_gid, 1001u);
  EXPECT_EQ(tree.Stat("d/f").st_mode, S_IFREG | 04755u);
}

TEST(CopyTest, TypesStayUnlessAsked) {
  TempTree tree;
  std::filesystem::create_directories(tree.At("dir/full"));
  std::filesystem::create_directories(tree.At("usr/lib"));
  std::filesystem::create_directory_symlink("usr/lib", tree.At("lib"));
  tree.Write("file", "old");
  const auto copy = [&tree](const TarFile& file, bool overwrite) {
    UnpackOptions options = CopyInto(tree, "");
    options.overwrite_type = overwrite;
    return UnpackBytes(options, TarBytes({file})).status();
  };
  EXPECT_TRUE(absl::IsFailedPrecondition(copy({.name = "dir"}, false)));
  EXPECT_TRUE(absl::IsFailedPrecondition(copy(Directory("file"), false)));
  EXPECT_EQ(tree.Content("file"), "old");
  EXPECT_TRUE(copy({.name = "file", .content = "new"}, false).ok());
  EXPECT_EQ(tree.Content("file"), "new");
  EXPECT_TRUE(copy(Directory("lib/"), false).ok());
  EXPECT_EQ(tree.Target("lib"), "usr/lib") << "a link to a directory is as good as one";
  EXPECT_TRUE(copy({.name = "dir", .content = "file now"}, true).ok());
  EXPECT_EQ(tree.Content("dir"), "file now");
  EXPECT_TRUE(copy(Directory("lib"), true).ok());
  EXPECT_TRUE(S_ISDIR(tree.Stat("lib").st_mode));
}

TEST(CopyTest, NeitherFifoNorDeviceIsOpened) {
  TempTree tree;
  ASSERT_EQ(mkfifo(tree.At("fifo").c_str(), 0600), 0);
  ASSERT_TRUE(
      UnpackBytes(CopyInto(tree, ""), TarBytes({{.name = "fifo", .content = "file"}})).ok());
  EXPECT_EQ(tree.Content("fifo"), "file") << "replaced, not written to";
}

// A container's root as the host sees it: of another mount namespace, with a mount inside.
class OtherNamespace {
 public:
  explicit OtherNamespace(const TempTree& tree) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) {
      const bool made = unshare(CLONE_NEWNS) == 0 &&
                        mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                        mount("volume", tree.At("volume").c_str(), "tmpfs", 0, nullptr) == 0 &&
                        chroot(tree.path().c_str()) == 0;
      if (write(ready[1], made ? "y" : "n", 1) == 1) pause();
      _exit(0);
    }
    char made = 'n';
    EXPECT_EQ(read(ready[0], &made, 1), 1);
    EXPECT_EQ(made, 'y');
    close(ready[0]);
    close(ready[1]);
    root_.Reset(open(At("").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  ~OtherNamespace() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::string At(const std::string& name) const {
    return absl::StrCat("/proc/", pid_, "/root/", name);
  }
  int root() const { return root_.get(); }

 private:
  pid_t pid_ = -1;
  UniqueFd root_;
};

TEST(CopyTest, IntoAnotherMountNamespaceWithItsMounts) {
  TempTree tree;
  std::filesystem::create_directory(tree.At("volume"));
  const OtherNamespace other(tree);
  UnpackOptions options = CopyInto(tree, "/volume");
  options.tree.directory = other.root();
  const auto unpacked = UnpackBytes(options, TarBytes({{.name = "f", .content = "in the volume"}}));
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_TRUE(std::filesystem::exists(other.At("volume/f")));
  EXPECT_FALSE(tree.Has("volume/f"));

  PackOptions pack = OfTree(tree);
  pack.tree.directory = other.root();
  pack.path = "volume/f";
  const auto packed = PackBytes(pack);
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_THAT(packed->first, HasSubstr("in the volume"));
  pack.path = "";
  pack.without_mounts = true;
  const auto exported = PackBytes(pack);
  ASSERT_TRUE(exported.ok()) << exported.status();
  EXPECT_THAT(exported->first, HasSubstr("volume/"));
  EXPECT_THAT(exported->first, ::testing::Not(HasSubstr("in the volume")));
}

TEST(CopyTest, LinksThatAreSwappedMeanwhileLeadNowhereElse) {
  TempTree outer;
  std::filesystem::create_directories(outer.At("tree/dir"));
  std::filesystem::create_directories(outer.At("outside"));
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    const std::string dir = outer.At("tree/dir"), link = outer.At("tree/link");
    std::error_code error;
    std::filesystem::create_directory_symlink(outer.At("outside"), link, error);
    while (!stop) {
      renameat2(AT_FDCWD, dir.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE);
    }
  });
  const UniqueFd inner(open(outer.At("tree").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::vector<TarFile> files;
  for (int i = 0; i < 200; ++i) files.push_back({.name = absl::StrCat("f", i), .content = "x"});
  const std::string tar = TarBytes(files);
  for (int i = 0; i < 30; ++i) {
    UnpackOptions options = CopyInto(outer, "/dir");
    options.tree.directory = inner.get();
    UnpackBytes(options, tar).status().IgnoreError();
  }
  stop = true;
  swapper.join();
  EXPECT_TRUE(std::filesystem::is_empty(outer.At("outside")));
}

TEST(CopyTest, AStoppedContainersLayersAreMountedForIt) {
  TempTree lower, upper, work;
  lower.Write("from-below", "below");
  std::filesystem::create_directory(upper.At("d"));
  UnpackOptions options = CopyInto(upper, "");
  options.tree = {.lowers = {lower.fd()}, .upper = upper.fd(), .work = work.fd()};
  const auto unpacked = UnpackBytes(
      options, TarBytes({{.name = "d/f", .content = "new"}, HardLink("again", "from-below")}));
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_EQ(upper.Content("d/f"), "new");
  EXPECT_EQ(upper.Content("again"), "below");

  PackOptions pack = OfTree(upper);
  pack.tree = {.lowers = {lower.fd()}, .upper = upper.fd()};
  const auto packed = PackBytes(pack);
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_THAT(packed->first, HasSubstr("from-below"));
  EXPECT_THAT(packed->first, HasSubstr("d/f"));
}

TEST(CopyTest, FiveHundredLayersAreMounted) {
  TempTree layers, upper, work;
  std::vector<UniqueFd> held;
  UnpackOptions options = CopyInto(upper, "");
  for (int i = 0; i < 500; ++i) {
    std::filesystem::create_directory(layers.At(std::to_string(i)));
    held.emplace_back(open(layers.At(std::to_string(i)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    options.tree.lowers.push_back(held.back().get());
  }
  options.tree.directory = -1;
  options.tree.upper = upper.fd();
  options.tree.work = work.fd();
  layers.Write("499/lowest", "x");
  const auto unpacked = UnpackBytes(options, TarBytes({HardLink("found", "lowest")}));
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_TRUE(upper.Has("found"));
}

}  // namespace
}  // namespace noded::layer
