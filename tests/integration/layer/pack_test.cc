// Trees as tars: what was unpacked is packed and unpacked again to the same, and layers keep what
// overlayfs noted.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "rootfs/layer/tar_reader.h"
#include "tests/integration/layer/tar_bytes.h"
#include "tests/integration/layer/tree.h"

namespace noded::layer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The entries of a tar with their types: "d etc/", "- etc/passwd", "h a -> b".
std::vector<std::string> List(std::string_view tar) {
  bool given = false;
  TarReader reader([&]() -> absl::StatusOr<std::string_view> {
    return std::exchange(given, true) ? std::string_view() : tar;
  });
  std::vector<std::string> names;
  while (true) {
    const auto entry = reader.NextEntry();
    EXPECT_TRUE(entry.ok()) << entry.status();
    if (!entry.ok() || *entry == nullptr) return names;
    const TarEntry& file = **entry;
    const char* type = file.type == 0       ? "h "
                       : S_ISDIR(file.type) ? "d "
                       : S_ISLNK(file.type) ? "l "
                       : S_ISREG(file.type) ? "- "
                                            : "? ";
    names.push_back(absl::StrCat(type, file.name, file.target.empty() ? "" : " -> ", file.target));
  }
}

std::string Pack(const PackOptions& options) {
  const auto packed = PackBytes(options);
  EXPECT_TRUE(packed.ok()) << packed.status();
  return packed.ok() ? packed->first : "";
}

// One of everything.
void Fill(const TempTree& tree) {
  const std::string capability(
      "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  const std::string long_name = absl::StrCat(std::string(120, 'd'), "/", std::string(150, 'f'));
  const auto unpacked = UnpackBytes(
      InTree(tree),
      TarBytes({Directory("./", 0711),
                {.name = "usr/", .type = '5', .mode = 02755, .uid = 5, .gid = 6},
                {.name = "usr/a", .content = std::string(300000, 'a'), .mode = 06711, .uid = 70000},
                HardLink("usr/b", "usr/a"),
                Symlink("link", "usr/a"),
                {
                    .name = "x",
                    .pax = {{"path", "link-h\xc3\xb6me"}, {"linkpath", "nai\xcc\x88\xff"}},
                },
                Device("null", '3', 1, 3),
                Device("sd", '4', 300, 70000),
                {.name = "fifo", .type = '6'},
                {.name = "x", .pax = {{"path", long_name}}},
                {.name = "x", .content = "latin", .pax = {{"path", "na\xefve"}}},
                {.name = "old", .pax = {{"mtime", "-1.25"}}},
                {.name = "exact", .pax = {{"mtime", "1234567890.123456789"}}},
                {.name = "caps",
                 .content = "c",
                 .pax = {{"SCHILY.xattr.security.capability", capability},
                         {"SCHILY.xattr.user.k", std::string("v\0\n=", 4)}}},
                {.name = "empty/", .type = '5', .pax = {{"SCHILY.xattr.trusted.t", "1"}}}}));
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  const UniqueFd sparse(open(tree.At("sparse").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  ASSERT_EQ(pwrite(sparse.get(), "data", 4, 1 << 20), 4);
  ASSERT_EQ(ftruncate(sparse.get(), 4 << 20), 0);
}

TEST(PackTest, UnpacksToTheSame) {
  for (const bool gzip : {false, true}) {
    TempTree first, second;
    Fill(first);
    PackOptions options = OfTree(first);
    options.gzip = gzip;
    const auto packed = PackBytes(options);
    ASSERT_TRUE(packed.ok()) << packed.status();
    EXPECT_EQ(packed->second.digest, oci::Sha256::Of(packed->first));
    EXPECT_EQ(packed->second.size, static_cast<int64_t>(packed->first.size()));
    EXPECT_EQ(packed->second.digest == packed->second.diff_id, !gzip);
    UnpackOptions into = InTree(second);
    into.compression = gzip ? oci::Compression::kGzip : oci::Compression::kNone;
    const auto unpacked = UnpackBytes(into, packed->first);
    ASSERT_TRUE(unpacked.ok()) << unpacked.status();
    EXPECT_EQ(unpacked->diff_id, packed->second.diff_id);
    EXPECT_EQ(unpacked->tar_bytes, packed->second.tar_bytes);
    EXPECT_EQ(unpacked->entries, packed->second.entries);
    EXPECT_EQ(Describe(second.path()), Describe(first.path()));
    EXPECT_LT(second.Stat("sparse").st_blocks, 64) << "it was sparse";
  }
}

TEST(PackTest, TheSameTreeGivesTheSameBytes) {
  TempTree first, second;
  Fill(first);
  PackOptions options = OfTree(first);
  options.gzip = true;
  const std::string bytes = Pack(options);
  EXPECT_EQ(Pack(options), bytes);
  // Other inodes, times of access and order on disk.
  UnpackOptions into = InTree(second);
  into.compression = oci::Compression::kGzip;
  ASSERT_TRUE(UnpackBytes(into, bytes).ok());
  PackOptions again = OfTree(second);
  again.gzip = true;
  EXPECT_TRUE(Pack(again) == bytes);
}

TEST(PackTest, TheSecondBefore1970HasNoFraction) {
  TempTree first, second;
  ASSERT_TRUE(
      UnpackBytes(InTree(first), TarBytes({{.name = "f", .pax = {{"mtime", "-0.25"}}}})).ok());
  ASSERT_TRUE(UnpackBytes(InTree(second), Pack(OfTree(first))).ok());
  EXPECT_EQ(second.Stat("f").st_mtim.tv_sec, -1);
  EXPECT_EQ(second.Stat("f").st_mtim.tv_nsec, 0);
}

TEST(PackTest, InTheOrderOfNames) {
  TempTree tree;
  for (const char* name : {"b", "a", "c"}) tree.Write(name, name);
  std::filesystem::create_directory(tree.At("a.d"));
  tree.Write("a.d/z", "");
  tree.Write("a.d/y", "");
  EXPECT_THAT(List(Pack(OfTree(tree))),
              ElementsAre("d ./", "- a", "d a.d/", "- a.d/y", "- a.d/z", "- b", "- c"));
}

TEST(PackTest, LayersSpeakOfWhiteouts) {
  TempTree upper;
  ASSERT_EQ(mknod(upper.At("gone").c_str(), S_IFCHR, makedev(0, 0)), 0);
  // The kernel links all whiteouts of a mount to one inode.
  ASSERT_EQ(link(upper.At("gone").c_str(), upper.At("gone2").c_str()), 0);
  for (const char* name : {"opaque", "opaque-by-user"}) {
    std::filesystem::create_directory(upper.At(name));
    upper.Write(absl::StrCat(name, "/file"), "");
  }
  ASSERT_EQ(setxattr(upper.At("opaque").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  ASSERT_EQ(setxattr(upper.At("opaque-by-user").c_str(), "user.overlay.opaque", "y", 1, 0), 0);
  ASSERT_EQ(setxattr(upper.At("opaque").c_str(), "trusted.overlay.origin", "o", 1, 0), 0);
  PackOptions options = OfTree(upper);
  options.as_layer = true;
  const std::string tar = Pack(options);
  EXPECT_THAT(List(tar), ElementsAre("d ./", "- .wh.gone", "- .wh.gone2", "d opaque/",
                                     "- opaque/.wh..wh..opq", "- opaque/file", "d opaque-by-user/",
                                     "- opaque-by-user/.wh..wh..opq", "- opaque-by-user/file"));
  EXPECT_THAT(tar, ::testing::Not(HasSubstr("overlay.origin")));
  TempTree again;
  ASSERT_TRUE(UnpackBytes(InTree(again), tar).ok());
  EXPECT_TRUE(again.IsWhiteoutAt("gone"));
  EXPECT_TRUE(again.IsWhiteoutAt("gone2"));
  EXPECT_EQ(again.Attribute("opaque-by-user", "trusted.overlay.opaque"), "y");
}

TEST(PackTest, APartUnderItsOwnName) {
  TempTree tree;
  std::filesystem::create_directories(tree.At("etc/ssl"));
  tree.Write("etc/ssl/ca", "CA");
  std::filesystem::create_symlink("/etc/ssl", tree.At("certs"));
  std::filesystem::create_symlink("../certs/./ca", tree.At("etc/ca"));
  PackOptions options = OfTree(tree);
  options.path = "/etc/ssl";
  EXPECT_THAT(List(Pack(options)), ElementsAre("d ssl/", "- ssl/ca"));
  options.path = "certs/ca";
  EXPECT_THAT(List(Pack(options)), ElementsAre("- ca"));
  options.path = "etc/ca";
  EXPECT_THAT(List(Pack(options)), ElementsAre("l ca -> ../certs/./ca"));
  options.follow_link = true;
  EXPECT_THAT(List(Pack(options)), ElementsAre("- ca"));
}

TEST(PackTest, TellsFirstWhatIsThere) {
  TempTree tree;
  tree.Write("file", "12345");
  std::filesystem::create_symlink("file", tree.At("link"));
  PackOptions options = OfTree(tree);
  options.path = "link";
  const auto link = Packing::Start(options);
  ASSERT_TRUE(link.ok());
  const auto stat = (*link)->Stat();
  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_EQ(stat->name, "link");
  EXPECT_TRUE(S_ISLNK(stat->mode));
  EXPECT_EQ(stat->link_target, "file");
  options.path = "file";
  const auto file = Packing::Start(options);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->Stat()->size_bytes, 5);
  EXPECT_EQ((*file)->Stat()->mtime, absl::TimeFromTimespec(tree.Stat("file").st_mtim));
  options.path = "no/such";
  const auto missing = Packing::Start(options);
  ASSERT_TRUE(missing.ok());
  EXPECT_TRUE(absl::IsNotFound((*missing)->Stat().status()));
  EXPECT_THAT(*(*missing)->Read(10), "");
  EXPECT_TRUE(absl::IsNotFound((*missing)->Finish().status()));
}

TEST(PackTest, TimesIdsAndExclusions) {
  TempTree tree;
  std::filesystem::create_directories(tree.At("proc/1"));
  std::filesystem::create_directories(tree.At("run"));
  tree.Write("new", "");
  tree.Write("run/pid", "");
  ASSERT_EQ(chown(tree.At("new").c_str(), 100007, 100008), 0);
  PackOptions options = OfTree(tree);
  options.exclude = {"proc/*", "run"};
  options.ids = {{.inside = 0, .outside = 100000, .count = 1000}};
  options.latest_mtime = absl::FromUnixSeconds(1'000'000);
  const std::string tar = Pack(options);
  EXPECT_THAT(List(tar), ElementsAre("d ./", "- new", "d proc/"));
  TempTree again;
  ASSERT_TRUE(UnpackBytes(InTree(again), tar).ok());
  EXPECT_EQ(again.Stat("new").st_uid, 7u);
  EXPECT_EQ(again.Stat("new").st_gid, 8u);
  EXPECT_EQ(again.Stat("new").st_mtim.tv_sec, 1'000'000);
}

TEST(PackTest, IntoADescriptor) {
  TempTree tree, out;
  tree.Write("a", "A");
  const UniqueFd file(open(out.At("tar").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  PackOptions options = OfTree(tree);
  options.output = file.get();
  const auto packing = Packing::Start(options);
  ASSERT_TRUE(packing.ok());
  const auto packed = (*packing)->Finish();
  ASSERT_TRUE(packed.ok()) << packed.status();
  EXPECT_EQ(oci::Sha256::Of(out.Content("tar")), packed->digest);
}

TEST(PackTest, CancelEndsIt) {
  TempTree tree;
  const UniqueFd file(open(tree.At("big").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_EQ(ftruncate(file.get(), int64_t{1} << 40), 0);
  PackOptions options = OfTree(tree);
  options.gzip = true;
  const auto packing = Packing::Start(options);
  ASSERT_TRUE(packing.ok());
  ASSERT_TRUE((*packing)->Stat().ok());
  (*packing)->Cancel();
  EXPECT_TRUE(absl::IsCancelled((*packing)->Finish().status()));
}

}  // namespace
}  // namespace noded::layer
