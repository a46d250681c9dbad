// The same layers unpacked by umoci and by us, compared file by file: owners, modes, times,
// attributes, links, contents. Where we differ on purpose is written in rootfs/layer/README.md.
#include <fcntl.h>
#include <sys/mount.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/integration/layer/tar_bytes.h"
#include "tests/integration/layer/tree.h"

namespace noded::layer {
namespace {

bool Command(const std::string& command) {
  return std::system(absl::StrCat(command, " >/dev/null 2>&1").c_str()) == 0;
}

// Lowest first.
using Layers = std::vector<std::string>;

class UmociTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!Command("command -v umoci")) GTEST_SKIP() << "umoci is not installed";
  }

  // The root that umoci makes of them.
  std::map<std::string, std::string> ByUmoci(const Layers& layers) {
    const std::string image = absl::StrCat(work_.At("image"), ":test");
    EXPECT_TRUE(Command(absl::StrCat("umoci init --layout ", work_.At("image"))));
    EXPECT_TRUE(Command(absl::StrCat("umoci new --image ", image)));
    for (const std::string& layer : layers) {
      work_.Write("layer.tar", layer);
      EXPECT_TRUE(
          Command(absl::StrCat("umoci raw add-layer --image ", image, " ", work_.At("layer.tar"))));
    }
    EXPECT_TRUE(Command(absl::StrCat("umoci raw unpack --image ", image, " ", work_.At("root"))));
    return Describe(work_.At("root"));
  }

  // Ours: each layer by itself, and the kernel's overlay of them.
  std::map<std::string, std::string> ByUs(const Layers& layers) {
    std::string lowers;
    std::vector<std::unique_ptr<TempTree>> trees;
    for (const std::string& layer : layers) {
      trees.push_back(std::make_unique<TempTree>());
      const auto unpacked = UnpackBytes(InTree(*trees.back()), layer);
      EXPECT_TRUE(unpacked.ok()) << unpacked.status();
      lowers = absl::StrCat(trees.back()->path(), lowers.empty() ? "" : ":", lowers);
    }
    if (trees.size() == 1) return Describe(trees[0]->path());
    const UniqueFd context(fsopen("overlay", FSOPEN_CLOEXEC));
    EXPECT_EQ(fsconfig(context.get(), FSCONFIG_SET_STRING, "lowerdir", lowers.c_str(), 0), 0);
    EXPECT_EQ(fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), 0);
    const UniqueFd root(fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    return Describe(absl::StrCat("/proc/self/fd/", root.get(), "/."));
  }

  void ExpectTheSame(const Layers& layers) {
    const auto theirs = ByUmoci(layers);
    const auto ours = ByUs(layers);
    for (const auto& [name, what] : theirs) {
      const auto same = ours.find(name);
      EXPECT_EQ(same == ours.end() ? "absent" : same->second, what) << name;
    }
    EXPECT_EQ(ours.size(), theirs.size());
    EXPECT_GT(theirs.size(), 2u);
  }

  TempTree work_;
};

TEST_F(UmociTest, AllKindsOfFiles) {
  const std::string capability(
      "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  const std::string long_name =
      absl::StrCat("long/", std::string(120, 'd'), "/", std::string(150, 'f'));
  ExpectTheSame({TarBytes(
      {Directory("./", 0711),
       {.name = "usr/", .type = '5', .mode = 02755, .uid = 5, .gid = 6},
       Directory("usr/bin/", 01777),
       {.name = "usr/bin/a", .content = std::string(300000, 'a'), .mode = 06711, .uid = 70000},
       HardLink("usr/bin/b", "usr/bin/a"),
       HardLink("/usr/bin/c", "/usr/bin/a"),
       {.name = "usr/l", .type = '2', .target = "bin/a", .mode = 0777, .uid = 8, .gid = 9},
       Symlink("abs", "/no/such"),
       HardLink("abs2", "abs"),
       Symlink("lib", "usr"),
       {.name = "lib/in-usr"},
       Device("null", '3', 1, 3),
       Device("sd", '4', 300, 70000),
       {.name = "fifo", .type = '6', .mode = 0620},
       Directory("long/"),
       Directory(absl::StrCat("long/", std::string(60, 'e'))),
       {.name = "x",
        .type = '5',
        .mode = 0755,
        .pax = {{"path", absl::StrCat("long/", std::string(120, 'd'))}}},
       {.name = "x", .content = "deep", .pax = {{"path", long_name}}},
       {.name = "x", .content = "utf", .pax = {{"path", "nai\xcc\x88ve"}}},
       {.name = "old", .pax = {{"mtime", "-1.25"}}},
       {.name = "older", .pax = {{"mtime", "-0.25"}}},
       {.name = "exact", .pax = {{"mtime", "1234567890.123456789"}}},
       {.name = "caps",
        .content = "c",
        .mode = 04755,
        .uid = 3,
        .pax = {{"SCHILY.xattr.security.capability", capability}, {"SCHILY.xattr.user.k", "v"}}},
       Directory("./dots/.././dotted//"),
       {.name = "../up"},
       {.name = "/abs-file"},
       {.name = "twice", .content = "1"},
       {.name = "twice", .content = "two", .mode = 0600}})});
}

TEST_F(UmociTest, GnuNamesAndSparseFiles) {
  std::string content = "1\n1048576\n3\n";
  content.resize(512);
  content += "abc";
  const std::string name(200, 'n'), target(180, 't');
  ExpectTheSame({GnuLongName('L', name) +
                 TarEntryBytes({.name = name.substr(0, 99), .content = "x"}) +
                 GnuLongName('K', target) + TarEntryBytes(Symlink("link", target.substr(0, 99))) +
                 TarBytes({Directory("./"),
                           {.name = "GNUSparseFile.0/s",
                            .content = content,
                            .pax = {{"GNU.sparse.major", "1"},
                                    {"GNU.sparse.minor", "0"},
                                    {"GNU.sparse.name", "sparse"},
                                    {"GNU.sparse.realsize", "8388608"}}}})});
}

TEST_F(UmociTest, LayersOnLayers) {
  ExpectTheSame({TarBytes({Directory("./"),
                           Directory("etc/"),
                           {.name = "etc/passwd", .content = "old"},
                           {.name = "etc/gone"},
                           {.name = "etc/kept", .content = "kept"},
                           Directory("opaque/"),
                           {.name = "opaque/old"},
                           Directory("tree/"),
                           Directory("tree/sub/"),
                           {.name = "tree/sub/x"},
                           Directory("dir-to-file/"),
                           {.name = "dir-to-file/x"},
                           {.name = "file-to-dir"},
                           Symlink("link-to-dir", "etc"),
                           Directory("back/"),
                           {.name = "back/old"}}),
                 TarBytes({Directory("./"),
                           Directory("etc/", 0700),
                           {.name = "etc/passwd", .content = "new"},
                           {.name = "etc/.wh.gone"},
                           Directory("opaque/"),
                           {.name = "opaque/.wh..wh..opq"},
                           {.name = "opaque/new"},
                           {.name = ".wh.tree"},
                           {.name = "dir-to-file", .content = "f"},
                           Directory("file-to-dir/"),
                           {.name = "file-to-dir/x"},
                           Directory("link-to-dir/"),
                           {.name = "link-to-dir/x"},
                           {.name = ".wh.back"},
                           Directory("back/"),
                           {.name = "back/new"}}),
                 TarBytes({Directory("./", 0750),
                           Directory("tree/"),
                           {.name = "tree/again"},
                           Directory("etc/", 0755),
                           {.name = "etc/hard", .content = "h"},
                           HardLink("etc/hard2", "etc/hard")})});
}

}  // namespace
}  // namespace noded::layer
