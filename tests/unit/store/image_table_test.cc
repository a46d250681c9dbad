#include "rootfs/store/image_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/store/sample.h"

namespace noded::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Entry Of(std::string reference, const std::string& image) {
  return {.reference = std::move(reference),
          .manifest = DescriptorOf(image, oci::kOciManifest),
          .image_id = oci::Sha256::Of("config of " + image)};
}

class ImageTableTest : public ::testing::Test {
 protected:
  ImageTableTest() { table_ = *ImageTable::Create(directory_.path(), {}); }

  // "reference=image" of each entry, an asterisk for a pinned one; from memory and from disk alike.
  std::vector<std::string> Pictured(const std::vector<std::string>& images) {
    const std::vector<Entry> entries = table_->List();
    EXPECT_EQ((*ImageTable::Open(directory_.path()))->List(), entries);
    std::vector<std::string> picture;
    for (const Entry& entry : entries) {
      for (const std::string& image : images) {
        if (entry.manifest.digest != oci::Sha256::Of(image)) continue;
        picture.push_back(entry.reference + "=" + image + (entry.pinned ? "*" : ""));
      }
    }
    return picture;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<ImageTable> table_;
};

TEST_F(ImageTableTest, NamesAreSetMovedAndErased) {
  ASSERT_TRUE(table_->Set(Of("host/b:1", "one")).ok());
  ASSERT_TRUE(table_->Set(Of("host/a:1", "one")).ok());
  EXPECT_THAT(Pictured({"one"}), ElementsAre("host/a:1=one", "host/b:1=one"));
  EXPECT_EQ(table_->Find("host/a:1"), Of("host/a:1", "one"));
  EXPECT_FALSE(table_->Find("host/c:1").has_value());
  EXPECT_FALSE(table_->Find("").has_value());
  EXPECT_EQ(table_->EntriesOf(oci::Sha256::Of("config of one")).size(), 2u);

  ASSERT_TRUE(table_->Set(Of("host/a:1", "two")).ok());
  EXPECT_THAT(Pictured({"one", "two"}), ElementsAre("host/a:1=two", "host/b:1=one"));

  EXPECT_EQ(*table_->Erase("host/b:1"), Of("host/b:1", "one"));
  EXPECT_EQ(*table_->Erase("host/b:1"), std::nullopt);
  EXPECT_THAT(Pictured({"one", "two"}), ElementsAre("host/a:1=two"));
}

TEST_F(ImageTableTest, AnImageThatLosesItsLastNameStaysWithoutOne) {
  ASSERT_TRUE(table_->Set(Of("a", "one")).ok());
  ASSERT_TRUE(table_->Set(Of("a", "two")).ok());
  EXPECT_THAT(Pictured({"one", "two"}), ElementsAre("a=two", "=one"));
  ASSERT_TRUE(table_->Set(Of("b", "one")).ok());
  EXPECT_THAT(Pictured({"one", "two"}), ElementsAre("a=two", "b=one")) << "it has one again";
}

TEST_F(ImageTableTest, OneWithoutANameMayBePinned) {
  Entry imported = Of("", "one");
  imported.pinned = true;
  ASSERT_TRUE(table_->Set(imported).ok());
  ASSERT_TRUE(table_->Set(Of("", "two")).ok());
  ASSERT_TRUE(table_->Set(Of("a", "three")).ok());
  EXPECT_THAT(Pictured({"one", "two", "three"}),
              ::testing::UnorderedElementsAre("a=three", "=one*", "=two"));
  EXPECT_EQ(table_->EraseIf([](const Entry& e) { return e.reference.empty(); })->size(), 2u);
  EXPECT_THAT(Pictured({"one", "two", "three"}), ElementsAre("a=three"));
}

TEST_F(ImageTableTest, SeveralAtOnce) {
  ASSERT_TRUE(table_->SetAll({Of("a", "one"), Of("b", "one"), Of("a", "two")}).ok());
  EXPECT_THAT(Pictured({"one", "two"}), ElementsAre("a=two", "b=one"));
}

TEST_F(ImageTableTest, WhatIsAsItWasIsNotWritten) {
  ASSERT_TRUE(table_->Set(Of("a", "one")).ok());
  struct stat before, after;
  const std::string path = directory_.path() + "/index.json";
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  ASSERT_TRUE(table_->Set(Of("a", "one")).ok());
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST_F(ImageTableTest, FileIsAsOtherToolsReadIt) {
  Entry entry = Of("docker.io/library/busybox:1.36", "one");
  entry.repository_digest = "docker.io/library/busybox@" + oci::Sha256::Of("i").text();
  entry.manifest.platform = oci::Platform{"linux", "amd64", ""};
  entry.manifest.annotations["org.example"] = "kept";
  ASSERT_TRUE(table_->Set(entry).ok());
  const std::string json = *ReadFileAt(AT_FDCWD, directory_.path() + "/index.json");
  EXPECT_THAT(json, HasSubstr(R"("org.opencontainers.image.ref.name":"docker.io/library/busybox)"));
  EXPECT_THAT(json, HasSubstr(R"("io.containerd.image.name":"docker.io/library/busybox:1.36")"));
  EXPECT_THAT(json, HasSubstr(R"("org.example":"kept")"));
  EXPECT_EQ((*ImageTable::Open(directory_.path()))->Find(entry.reference), entry);
}

TEST_F(ImageTableTest, EntriesOfOtherToolsAreKept) {
  const std::string digest = oci::Sha256::Of("x").text();
  const std::string json =
      absl::StrCat(R"({"schemaVersion":2,"manifests":[{"mediaType":")", AsAbsl(oci::kOciIndex),
                   R"(","digest":")", digest, R"(","size":5,"annotations":{)",
                   R"("org.opencontainers.image.ref.name":"x","note":"y"}}]})");
  const std::vector<Entry> entries = *ParseEntries(json);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].reference, "x");
  EXPECT_TRUE(entries[0].image_id.empty());
  EXPECT_EQ(*ParseEntries(EntriesToJson(entries)), entries);
}

TEST_F(ImageTableTest, DamageIsToldApartFromAbsence) {
  const std::string path = directory_.path() + "/index.json";
  for (const char* damaged : {"", "{", R"({"manifests":[{"digest":"x"}]})", "\0\0\0"}) {
    ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, path, damaged).ok());
    EXPECT_EQ(ImageTable::Open(directory_.path()).status().code(), absl::StatusCode::kDataLoss);
  }
  ASSERT_EQ(unlink(path.c_str()), 0);
  EXPECT_EQ(ImageTable::Open(directory_.path()).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ImageTableTest, HowManyIsBounded) {
  std::vector<Entry> entries;
  for (size_t i = 0; i <= kMaxEntries; ++i) entries.push_back(Of(absl::StrCat("n", i), "one"));
  const absl::Status created = ImageTable::Create(directory_.path(), entries).status();
  EXPECT_EQ(created.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(created), reason::kLimitReached);
}

}  // namespace
}  // namespace noded::store
