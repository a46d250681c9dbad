// What a layer's entries become, one rule a test, with layers written byte by byte.
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"
#include "tests/integration/layer/tar_bytes.h"
#include "tests/integration/layer/tree.h"

namespace noded::layer {
namespace {

using ::testing::HasSubstr;

// Unpacks what must be taken.
Unpacked Unpack(const TempTree& tree, const std::string& tar) {
  const auto unpacked = UnpackBytes(InTree(tree), tar);
  EXPECT_TRUE(unpacked.ok()) << unpacked.status();
  return unpacked.ok() ? *unpacked : Unpacked();
}

TEST(UnpackTest, FilesAndDirectoriesWithOwnersModesAndTimes) {
  TempTree tree;
  const std::string tar = TarBytes(
      {{.name = "etc/", .type = '5', .mode = 0750, .uid = 1, .gid = 2},
       {.name = "etc/passwd", .content = "root:x:0:0", .mode = 04711, .uid = 1000, .gid = 7}});
  const Unpacked unpacked = Unpack(tree, tar);
  EXPECT_EQ(unpacked.diff_id, oci::Sha256::Of(tar));
  EXPECT_EQ(unpacked.tar_bytes, static_cast<int64_t>(tar.size()));
  EXPECT_EQ(unpacked.file_bytes, 10);
  EXPECT_EQ(unpacked.entries, 2);
  EXPECT_EQ(tree.Content("etc/passwd"), "root:x:0:0");
  const struct stat file = tree.Stat("etc/passwd");
  EXPECT_EQ(file.st_mode, S_IFREG | 04711u);
  EXPECT_EQ(file.st_uid, 1000u);
  EXPECT_EQ(file.st_gid, 7u);
  EXPECT_EQ(file.st_mtim.tv_sec, 1'000'000'000);
  const struct stat directory = tree.Stat("etc");
  EXPECT_EQ(directory.st_mode, S_IFDIR | 0750u);
  EXPECT_EQ(directory.st_uid, 1u);
  EXPECT_EQ(directory.st_gid, 2u);
  EXPECT_EQ(directory.st_mtim.tv_sec, 1'000'000'000) << "its file was made after it";
}

TEST(UnpackTest, RootItself) {
  TempTree tree;
  Unpack(tree, TarBytes({{.name = "./", .type = '5', .mode = 0711, .uid = 3, .gid = 4}}));
  const struct stat root = tree.Stat(".");
  EXPECT_EQ(root.st_mode, S_IFDIR | 0711u);
  EXPECT_EQ(root.st_uid, 3u);
  EXPECT_EQ(root.st_mtim.tv_sec, 1'000'000'000);
}

TEST(UnpackTest, TimesBefore1970WithFractions) {
  TempTree tree;
  Unpack(tree, TarBytes({{.name = "a", .pax = {{"mtime", "-1.25"}}},
                         {.name = "b", .pax = {{"mtime", "-0.25"}}},
                         {.name = "c", .pax = {{"mtime", "0.25"}}},
                         {.name = "d", .pax = {{"mtime", "1234567890.123456789"}}},
                         {.name = "e", .pax = {{"mtime", "-5"}}}}));
  const auto time = [&tree](const char* name) {
    const struct stat info = tree.Stat(name);
    return std::pair<int64_t, int64_t>(info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  };
  EXPECT_EQ(time("a"), std::pair(-2l, 750'000'000l));
  EXPECT_EQ(time("b"), std::pair(-1l, 750'000'000l));
  EXPECT_EQ(time("c"), std::pair(0l, 250'000'000l));
  EXPECT_EQ(time("d"), std::pair(1234567890l, 123'456'789l));
  EXPECT_EQ(time("e"), std::pair(-5l, 0l));
}

TEST(UnpackTest, NamesAreTheBytesOfTheTar) {
  TempTree tree;
  const std::string composed = "na\xc3\xafve", decomposed = "nai\xcc\x88ve", latin = "na\xefve";
  const std::string deep = absl::StrCat(std::string(120, 'd'), "/", std::string(150, 'f'));
  Unpack(tree, TarBytes({{.name = composed},
                         {.name = "x", .pax = {{"path", decomposed}}},
                         {.name = "x", .pax = {{"path", latin}}},
                         {.name = "x", .content = "deep", .pax = {{"path", deep}}}}));
  EXPECT_TRUE(tree.Has(composed));
  EXPECT_TRUE(tree.Has(decomposed));
  EXPECT_TRUE(tree.Has(latin)) << "also where it is no UTF-8";
  EXPECT_EQ(tree.Content(deep), "deep");
}

TEST(UnpackTest, GnuLongNamesAndTargets) {
  TempTree tree;
  const std::string name(200, 'n'), target(180, 't');
  Unpack(tree, GnuLongName('L', name) +
                   TarEntryBytes({.name = name.substr(0, 99), .content = "x"}) +
                   GnuLongName('K', target) + TarBytes({Symlink("link", target.substr(0, 99))}));
  EXPECT_EQ(tree.Content(name), "x");
  EXPECT_EQ(tree.Target("link"), target);
}

TEST(UnpackTest, ImpliedParentsAreRootsAnd0755) {
  TempTree tree;
  const Unpacked unpacked = Unpack(tree, TarBytes({{.name = "a/b/c", .uid = 5, .gid = 5}}));
  for (const char* name : {"a", "a/b"}) {
    const struct stat info = tree.Stat(name);
    EXPECT_EQ(info.st_mode, S_IFDIR | 0755u) << name;
    EXPECT_EQ(info.st_uid, 0u) << name;
  }
  EXPECT_EQ(tree.Stat("a/b/c").st_uid, 5u);
  EXPECT_EQ(unpacked.entries, 3);
}

TEST(UnpackTest, SymlinksHaveOwnersAndTimes) {
  TempTree tree;
  TarFile link = Symlink("l", "/no/such/place");
  link.uid = 12;
  Unpack(tree, TarBytes({link}));
  EXPECT_EQ(tree.Target("l"), "/no/such/place");
  EXPECT_EQ(tree.Stat("l").st_uid, 12u);
  EXPECT_EQ(tree.Stat("l").st_mtim.tv_sec, 1'000'000'000);
}

TEST(UnpackTest, HardLinksAlsoByAbsoluteNamesAndToLinks) {
  TempTree tree;
  Unpack(tree, TarBytes({{.name = "usr/bin/busybox", .content = "B", .mode = 04755},
                         HardLink("bin/sh", "usr/bin/busybox"),
                         HardLink("/bin/ls", "/usr/bin/busybox"),
                         Symlink("s", "nowhere"),
                         HardLink("s2", "s"),
                         HardLink("usr/bin/busybox", "usr/bin/busybox")}));
  EXPECT_EQ(tree.Stat("bin/sh").st_ino, tree.Stat("usr/bin/busybox").st_ino);
  EXPECT_EQ(tree.Stat("bin/ls").st_ino, tree.Stat("usr/bin/busybox").st_ino);
  EXPECT_EQ(tree.Stat("usr/bin/busybox").st_mode, S_IFREG | 04755u);
  EXPECT_EQ(tree.Stat("usr/bin/busybox").st_nlink, 3u);
  EXPECT_EQ(tree.Stat("s2").st_ino, tree.Stat("s").st_ino) << "the link itself, not its target";
}

TEST(UnpackTest, DevicesAndFifos) {
  TempTree tree;
  Unpack(tree, TarBytes({Device("null", '3', 1, 3),
                         Device("sda", '4', 8, 0),
                         {.name = "fifo", .type = '6', .mode = 0620}}));
  EXPECT_EQ(tree.Stat("null").st_mode, S_IFCHR | 0600u);
  EXPECT_EQ(tree.Stat("null").st_rdev, makedev(1, 3));
  EXPECT_EQ(tree.Stat("sda").st_mode, S_IFBLK | 0600u);
  EXPECT_EQ(tree.Stat("sda").st_rdev, makedev(8, 0));
  EXPECT_EQ(tree.Stat("fifo").st_mode, S_IFIFO | 0620u);
}

TEST(UnpackTest, AttributesAndFileCapabilities) {
  TempTree tree;
  // cap_net_raw+ep, as setcap(8) writes it.
  const std::string capability(
      "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  Unpack(
      tree,
      TarBytes(
          {{.name = "ping",
            .content = "elf",
            .mode = 04755,
            .uid = 1,
            .gid = 1,
            .pax = {{"SCHILY.xattr.security.capability", capability},
                    {"SCHILY.xattr.user.note", "n"}}},
           {.name = "d", .type = '5', .pax = {{"SCHILY.xattr.trusted.mine", "m"}}},
           {.name = "l", .type = '2', .target = "x", .pax = {{"SCHILY.xattr.trusted.l", "v"}}}}));
  EXPECT_EQ(tree.Attribute("ping", "security.capability"), capability)
      << "setting the owner clears it, so it comes after";
  EXPECT_EQ(tree.Attribute("ping", "user.note"), "n");
  EXPECT_EQ(tree.Stat("ping").st_mode, S_IFREG | 04755u);
  EXPECT_EQ(tree.Attribute("d", "trusted.mine"), "m");
  EXPECT_EQ(tree.Attribute("l", "trusted.l"), "v");
}

TEST(UnpackTest, SparseFilesStaySparse) {
  TempTree tree;
  const std::string map = "1\n1048576\n3\n";  // GNU 1.0: one piece of 3 bytes at 1 MiB
  std::string content = map;
  content.resize(512);
  content += "abc";
  Unpack(tree, TarBytes({{.name = "GNUSparseFile.0/s",
                          .content = content,
                          .pax = {{"GNU.sparse.major", "1"},
                                  {"GNU.sparse.minor", "0"},
                                  {"GNU.sparse.name", "sparse"},
                                  {"GNU.sparse.realsize", "8388608"}}}}));
  const struct stat info = tree.Stat("sparse");
  EXPECT_EQ(info.st_size, 8 << 20);
  EXPECT_LT(info.st_blocks, 64);
  EXPECT_EQ(tree.Content("sparse").substr(1 << 20, 4), std::string("abc\0", 4));
}

TEST(UnpackTest, WhiteoutsBecomeDevices) {
  TempTree tree;
  Unpack(tree, TarBytes({{.name = "etc/.wh.passwd"},
                         {.name = "var/log/.wh..wh..opq"},
                         {.name = ".wh..wh.plnk"}}));
  EXPECT_TRUE(tree.IsWhiteoutAt("etc/passwd"));
  EXPECT_FALSE(tree.Has("etc/.wh.passwd"));
  EXPECT_EQ(tree.Attribute("var/log", "trusted.overlay.opaque"), "y");
  EXPECT_FALSE(tree.Has("var/log/.wh..wh..opq"));
  EXPECT_FALSE(tree.Has(".wh..wh.plnk"));
}

TEST(UnpackTest, WhiteoutsAreOfTheLayersBelow) {
  TempTree tree;
  Unpack(tree, TarBytes({{.name = "file", .content = "new"},
                         {.name = ".wh.file"},
                         Directory("dir/"),
                         {.name = "dir/x"},
                         {.name = ".wh.dir"},
                         {.name = ".wh.later"},
                         {.name = "later", .content = "new"},
                         {.name = ".wh.tree"},
                         Directory("tree"),
                         {.name = "tree/x"},
                         {.name = ".wh.implied"},
                         {.name = "implied/x"}}));
  EXPECT_EQ(tree.Content("file"), "new") << "this layer's own file stays, and hides those below";
  EXPECT_TRUE(tree.Has("dir/x"));
  EXPECT_EQ(tree.Attribute("dir", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(tree.Content("later"), "new");
  EXPECT_EQ(tree.Attribute("tree", "trusted.overlay.opaque"), "y") << "what was below is gone";
  EXPECT_EQ(tree.Attribute("implied", "trusted.overlay.opaque"), "y");
  EXPECT_TRUE(tree.Has("implied/x"));
}

TEST(UnpackTest, WhatOverlayfsItselfWritesIsDropped) {
  TempTree tree;
  Unpack(tree, TarBytes({Device("gone", '3', 0, 0),
                         {.name = "d",
                          .type = '5',
                          .pax = {{"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
                                  {"SCHILY.xattr.trusted.overlay.opaque", "y"},
                                  {"SCHILY.xattr.user.overlay.opaque", "y"},
                                  {"SCHILY.xattr.security.selinux", "x"},
                                  {"SCHILY.xattr.user.kept", "k"}}}}));
  EXPECT_FALSE(tree.Has("gone"));
  for (const char* key : {"trusted.overlay.redirect", "trusted.overlay.opaque",
                          "user.overlay.opaque", "security.selinux"}) {
    EXPECT_EQ(tree.Attribute("d", key), "") << key;
  }
  EXPECT_EQ(tree.Attribute("d", "user.kept"), "k");
}

TEST(UnpackTest, AnythingTakesThePlaceOfAnything) {
  TempTree tree;
  Unpack(tree, TarBytes({Directory("a"),
                         {.name = "a/deep/x"},
                         {.name = "a", .content = "file"},
                         Symlink("b", "/etc"),
                         Directory("b"),
                         {.name = "b/x", .content = "in b"},
                         {.name = "c", .content = "old"},
                         Symlink("c", "a"),
                         Symlink("d", "c"),
                         {.name = "d", .content = "not through the link"},
                         {.name = "e"},
                         Directory("e"),
                         Directory("f", 0700),
                         Directory("f", 0711)}));
  EXPECT_EQ(tree.Content("a"), "file");
  EXPECT_TRUE(S_ISDIR(tree.Stat("b").st_mode));
  EXPECT_EQ(tree.Content("b/x"), "in b");
  EXPECT_EQ(tree.Target("c"), "a");
  EXPECT_TRUE(S_ISREG(tree.Stat("d").st_mode));
  EXPECT_EQ(tree.Content("a"), "file") << "d, a link to it, was replaced and not followed";
  EXPECT_TRUE(S_ISDIR(tree.Stat("e").st_mode));
  EXPECT_EQ(tree.Stat("f").st_mode, S_IFDIR | 0711u);
}

TEST(UnpackTest, ParentsThatAreLinksAreFollowedInside) {
  TempTree tree;
  Unpack(tree, TarBytes({Directory("usr/lib"),
                         Symlink("lib", "usr/lib"),
                         {.name = "lib/libc.so"},
                         Symlink("abs", "/usr"),
                         {.name = "abs/lib/libm.so"},
                         Symlink("run", "/var/run"),
                         {.name = "run/pid"},
                         Symlink("usr/up", "../../../../opt"),
                         {.name = "usr/up/app"}}));
  EXPECT_TRUE(tree.Has("usr/lib/libc.so"));
  EXPECT_TRUE(tree.Has("usr/lib/libm.so"));
  EXPECT_TRUE(tree.Has("var/run/pid")) << "what it leads to is another layer's, perhaps";
  EXPECT_TRUE(tree.Has("opt/app"));
  EXPECT_EQ(tree.Target("lib"), "usr/lib");
}

TEST(UnpackTest, IdsAreMapped) {
  TempTree tree;
  UnpackOptions options = InTree(tree);
  options.ids = {{.inside = 0, .outside = 100000, .count = 1000}};
  const auto unpacked = UnpackBytes(options, TarBytes({{.name = "d/f", .uid = 33, .gid = 0}}));
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_EQ(tree.Stat("d").st_uid, 100000u);
  EXPECT_EQ(tree.Stat("d/f").st_uid, 100033u);
  EXPECT_EQ(tree.Stat("d/f").st_gid, 100000u);
  const auto beyond = UnpackBytes(options, TarBytes({{.name = "g", .uid = 1000}}));
  EXPECT_EQ(ReasonOf(beyond.status()), reason::kLayerRefused);
  EXPECT_THAT(beyond.status().message(), HasSubstr("1000:0"));
}

TEST(UnpackTest, CompressedStreams) {
  const std::string first = TarEntryBytes({.name = "a", .content = std::string(100000, 'a')});
  const std::string second = TarBytes({{.name = "b", .content = "b"}});
  const auto expect_both = [&](oci::Compression compression, bool detect,
                               const std::string& bytes) {
    TempTree tree;
    UnpackOptions options = InTree(tree);
    options.compression = compression;
    options.detect_compression = detect;
    const auto unpacked = UnpackBytes(options, bytes);
    ASSERT_TRUE(unpacked.ok()) << unpacked.status();
    EXPECT_EQ(unpacked->diff_id, oci::Sha256::Of(first + second));
    EXPECT_EQ(tree.Content("a").size(), 100000u);
    EXPECT_EQ(tree.Content("b"), "b");
  };
  using oci::Compression;
  expect_both(Compression::kNone, false, first + second);
  expect_both(Compression::kGzip, false, Gzip(first + second));
  expect_both(Compression::kGzip, false, Gzip(first) + Gzip(second));
  expect_both(Compression::kGzip, false,
              Gzip(first) + Gzip("") + Gzip(second) + std::string(700, '\0'));
  expect_both(Compression::kZstd, false, Zstd(first + second));
  expect_both(Compression::kZstd, false, Zstd(first) + Zstd(second));
  expect_both(Compression::kNone, true, Gzip(first + second));
  expect_both(Compression::kNone, true, Zstd(first + second));
  expect_both(Compression::kNone, true, first + second);
}

TEST(UnpackTest, FromAFileOfItsOwn) {
  TempTree tree, files;
  files.Write("layer", "skip" + TarBytes({{.name = "a", .content = "A"}}));
  const UniqueFd file(open(files.At("layer").c_str(), O_RDONLY | O_CLOEXEC));
  lseek(file.get(), 4, SEEK_SET);
  UnpackOptions options = InTree(tree);
  options.stream = file.get();
  const auto unpacking = Unpacking::Start(options);
  ASSERT_TRUE(unpacking.ok()) << unpacking.status();
  const auto unpacked = (*unpacking)->Finish();
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_EQ(tree.Content("a"), "A");
}

TEST(UnpackTest, AnEmptyArchiveIsALayer) {
  TempTree tree;
  EXPECT_EQ(Unpack(tree, TarBytes({})).entries, 0);
}

}  // namespace
}  // namespace noded::layer
