// The rules of cp.
#include "clients/cli/copy_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace noded::cli {
namespace {

using testing::HasSubstr;

TEST(SideOfTest, TellsContainersFromPaths) {
  auto side = [](const char* word) {
    CopySide result = SideOf(word);
    return result.container + "|" + result.path;
  };
  EXPECT_EQ(side("web:/etc"), "web|/etc");
  EXPECT_EQ(side("web:etc/x:y"), "web|/etc/x:y");
  EXPECT_EQ(side("web:"), "web|/");
  EXPECT_EQ(side("/a:b"), "|/a:b");
  EXPECT_EQ(side("./a:b"), "|./a:b");
  EXPECT_EQ(side("file"), "|file");
  EXPECT_EQ(side("-"), "|-");
  EXPECT_EQ(side(":x"), "|:x");
}

TEST(CopyPathTest, TakesTheEndApart) {
  auto path = [](const char* text) {
    CopyPath result = CopyPathOf(text);
    return result.path + (result.is_directory ? " dir" : "") +
           (result.only_contents ? " contents" : "");
  };
  EXPECT_EQ(path("/a/b"), "/a/b");
  EXPECT_EQ(path("/a/b/"), "/a/b dir");
  EXPECT_EQ(path("/a/b//"), "/a/b dir");
  EXPECT_EQ(path("/a/."), "/a dir contents");
  EXPECT_EQ(path("/a/./"), "/a dir");
  EXPECT_EQ(path("."), ". dir contents");
  EXPECT_EQ(path("./"), ". dir");
  EXPECT_EQ(path(".."), ".. dir");
  EXPECT_EQ(path("/"), "/ dir");
  EXPECT_EQ(path("/."), "/ dir contents");
  EXPECT_EQ(path("a.b"), "a.b");
  EXPECT_EQ(ParentOf("/a/b"), "/a");
  EXPECT_EQ(ParentOf("/a"), "/");
  EXPECT_EQ(ParentOf("a"), ".");
  EXPECT_EQ(LastPartOf("/a/b"), "b");
  EXPECT_EQ(LastPartOf("b"), "b");
}

// "directory|name", or the error.
std::string Place(const char* source, FileKind source_kind, const char* destination,
                  FileKind destination_kind) {
  CopyPath from = CopyPathOf(source);
  auto placed = PlaceCopy(from, source_kind, LastPartOf(from.path), CopyPathOf(destination),
                          destination_kind);
  if (!placed.ok()) return std::string(placed.status().message());
  return placed->directory + "|" + placed->name;
}

TEST(PlaceCopyTest, OfAFile) {
  constexpr FileKind kFrom = FileKind::kFile;
  EXPECT_EQ(Place("/a/f", kFrom, "/b/g", FileKind::kMissing), "/b|g");
  EXPECT_EQ(Place("/a/f", kFrom, "g", FileKind::kMissing), ".|g");
  EXPECT_EQ(Place("/a/f", kFrom, "/b/", FileKind::kMissing), "there is no directory /b");
  EXPECT_EQ(Place("/a/f", kFrom, "/b/g", FileKind::kFile), "/b|g");
  EXPECT_EQ(Place("/a/f", kFrom, "/b/g/", FileKind::kFile), "/b/g is not a directory");
  EXPECT_EQ(Place("/a/f", kFrom, "/b", FileKind::kDirectory), "/b|f");
  EXPECT_EQ(Place("/a/f", kFrom, ".", FileKind::kDirectory), ".|f");
  EXPECT_EQ(Place("/a/f/", kFrom, "/b", FileKind::kDirectory), "/a/f is not a directory");
  EXPECT_EQ(Place("/a/f/.", kFrom, "/b", FileKind::kMissing), "/a/f is not a directory");
}

TEST(PlaceCopyTest, OfADirectory) {
  constexpr FileKind kFrom = FileKind::kDirectory;
  EXPECT_EQ(Place("/a/d", kFrom, "/b/e", FileKind::kMissing), "/b|e");
  EXPECT_EQ(Place("/a/d/.", kFrom, "/b/e", FileKind::kMissing), "/b|e");
  EXPECT_EQ(Place("/a/d", kFrom, "/b/e/", FileKind::kMissing), "/b|e");
  EXPECT_EQ(Place("/a/d", kFrom, "/b/e", FileKind::kDirectory), "/b/e|d");
  EXPECT_EQ(Place("/a/d/", kFrom, "/b/e", FileKind::kDirectory), "/b/e|d");
  EXPECT_EQ(Place("/a/d/.", kFrom, "/b/e", FileKind::kDirectory), "/b/e|");
  EXPECT_THAT(Place("/a/d", kFrom, "/b/f", FileKind::kFile),
              HasSubstr("is a directory, and /b/f is a file"));
}

}  // namespace
}  // namespace noded::cli
