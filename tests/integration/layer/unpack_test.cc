// What a layer's entries become, one rule a test, with layers written byte by byte.
#include <sys/sysmacros.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"
#include "tests/integration/layer/tar_bytes.h"
#include "tests/integration/layer/tree.h"

namespace noded::layer {
namespace {

using ::testing::HasSubstr;

TEST(UnpackTest, FilesAndDirectoriesWithOwnersModesAndTimes) {
  TempTree tree;
  const std::string tar = TarBytes(
      {{.name = "etc/", .type = '5', .mode = 0750, .uid = 1, .gid = 2},
       {.name = "etc/passwd", .content = "root:x:0:0", .mode = 04711, .uid = 1000, .gid = 2000}});
  const auto unpacked = UnpackBytes(InTree(tree), tar);
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_EQ(unpacked->diff_id, oci::Sha256::Of(tar));
  EXPECT_EQ(unpacked->tar_bytes, static_cast<int64_t>(tar.size()));
  EXPECT_EQ(unpacked->file_bytes, 10);
  EXPECT_EQ(unpacked->entries, 2);
  EXPECT_EQ(tree.Content("etc/passwd"), "root:x:0:0");
  const struct stat file = tree.Stat("etc/passwd");
  EXPECT_EQ(file.st_mode, S_IFREG | 04711u);
  EXPECT_EQ(file.st_uid, 1000u);
  EXPECT_EQ(file.st_gid, 2000u);
  EXPECT_EQ(file.st_mtim.tv_sec, 1'000'000'000);
  const struct stat directory = tree.Stat("etc");
  EXPECT_EQ(directory.st_mode, S_IFDIR | 0750u);
  EXPECT_EQ(directory.st_uid, 1u);
  EXPECT_EQ(directory.st_gid, 2u);
  EXPECT_EQ(directory.st_mtim.tv_sec, 1'000'000'000);
}

}  // namespace
}  // namespace noded::layer
