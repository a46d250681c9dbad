#include "rootfs/store/layer_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "rootfs/store/layer_record.h"
#include "tests/unit/store/sample.h"

namespace noded::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LayerStoreTest : public ::testing::Test {
 protected:
  LayerStoreTest() { Reopen(); }
  void Reopen() {
    layers_.reset();
    trash_.reset();
    auto warn = [this](const std::string& line) { warnings_.push_back(line); };
    trash_ = *Trash::Open(directory_.path() + "/trash", warn);
    layers_ = *LayerStore::Open(directory_.path(), trash_.get(), warn);
  }
  std::string Inside(const std::string& name) { return directory_.path() + "/" + name; }
  std::vector<std::string> Names() { return *ListDirAt(AT_FDCWD, Inside("layers")); }

  TemporaryDirectory directory_;
  std::vector<std::string> warnings_;
  std::unique_ptr<Trash> trash_;
  std::unique_ptr<LayerStore> layers_;
  const oci::Digest chain_ = oci::Sha256::Of("chain");
  const oci::Digest diff_ = oci::Sha256::Of("diff");
};

TEST_F(LayerStoreTest, DraftBecomesALayer) {
  {
    LayerDraft draft = *layers_->Begin(chain_);
    ASSERT_TRUE(ReplaceFileAt(draft.directory(), "file", "12345").ok());
    ASSERT_TRUE(MakeDirs(draft.path() + "/usr/bin").ok());
    EXPECT_FALSE(layers_->Find(chain_).has_value());
    const absl::StatusOr<Layer> layer = draft.Commit(diff_);
    ASSERT_TRUE(layer.ok()) << layer.status();
    EXPECT_EQ(layer->size, (TreeSize{.entries = 3, .bytes = 5}));
  }
  Reopen();
  const std::optional<Layer> layer = layers_->Find(chain_);
  ASSERT_TRUE(layer.has_value());
  EXPECT_EQ(layer->diff_id, diff_);
  EXPECT_EQ(layer->path, Inside("layers/" + chain_.hex() + "/fs"));
  EXPECT_EQ(layer->size, (TreeSize{.entries = 3, .bytes = 5}));
  EXPECT_EQ(*ReadFileAt(AT_FDCWD, layer->path + "/file"), "12345");
  struct stat info;
  ASSERT_EQ(stat(layer->path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0755u);
  EXPECT_EQ(layers_->List().size(), 1u);
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(LayerStoreTest, DraftThatIsGivenUpIsDiscarded) {
  { LayerDraft draft = *layers_->Begin(chain_); }
  trash_->Drain();
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_THAT(*ListDirAt(AT_FDCWD, Inside("trash")), IsEmpty());
}

TEST_F(LayerStoreTest, SecondOfTheSameIsDropped) {
  LayerDraft first = *layers_->Begin(chain_);
  LayerDraft second = *layers_->Begin(chain_);
  ASSERT_TRUE(ReplaceFileAt(first.directory(), "first", "").ok());
  ASSERT_TRUE(ReplaceFileAt(second.directory(), "second", "").ok());
  ASSERT_TRUE(first.Commit(diff_).ok());
  const absl::StatusOr<Layer> layer = second.Commit(diff_);
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_THAT(*ListDirAt(AT_FDCWD, layer->path), ElementsAre("first"));
  EXPECT_THAT(Names(), ElementsAre(chain_.hex()));
}

TEST_F(LayerStoreTest, ManyThatWaitForTheDiskAtTheSameTime) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      LayerDraft draft = *layers_->Begin(oci::Sha256::Of(absl::StrCat(i)));
      EXPECT_TRUE(ReplaceFileAt(draft.directory(), "f", absl::StrCat(i)).ok());
      EXPECT_TRUE(draft.Commit(diff_).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(layers_->List().size(), 8u);
}

TEST_F(LayerStoreTest, RemovedAtOnceAndDeletedBehind) {
  { ASSERT_TRUE(layers_->Begin(chain_)->Commit(diff_).ok()); }
  const UniqueFd in_use = *OpenAt(AT_FDCWD, layers_->Find(chain_)->path, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(layers_->Remove(chain_).ok());
  EXPECT_FALSE(layers_->Find(chain_).has_value());
  EXPECT_THAT(Names(), IsEmpty());
  ASSERT_TRUE(layers_->Remove(chain_).ok()) << "again";
  trash_->Drain();
  EXPECT_THAT(*ListDirAt(AT_FDCWD, Inside("trash")), IsEmpty());
}

TEST_F(LayerStoreTest, WhatACrashLeftIsDiscarded) {
  const std::string hex = chain_.hex();
  ASSERT_TRUE(MakeDirs(Inside("layers/" + hex + ".draft-3/fs/deep")).ok());
  ASSERT_TRUE(MakeDirs(Inside("layers/" + oci::Sha256::Of("no record").hex() + "/fs")).ok());
  ASSERT_TRUE(MakeDirs(Inside("trash/17/half/deleted")).ok());
  ASSERT_TRUE(MakeDirs(Inside("layers/lost+found")).ok());
  Reopen();
  trash_->Drain();
  EXPECT_THAT(Names(), ElementsAre("lost+found"));
  EXPECT_THAT(*ListDirAt(AT_FDCWD, Inside("trash")), IsEmpty());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr(oci::Sha256::Of("no record").text())));
}

TEST_F(LayerStoreTest, TrashTakesFilesAndTreesOfOthers) {
  ASSERT_TRUE(MakeDirs(Inside("container/upper")).ok());
  ASSERT_TRUE(trash_->Discard(Inside("container")).ok());
  EXPECT_EQ(access(Inside("container").c_str(), F_OK), -1);
  EXPECT_TRUE(trash_->Discard(Inside("container")).ok()) << "a missing one";
  trash_->Drain();
  EXPECT_THAT(*ListDirAt(AT_FDCWD, Inside("trash")), IsEmpty());
  EXPECT_EQ(trash_->Discard("/proc/self").code(), absl::StatusCode::kFailedPrecondition)
      << "another file system";
}

TEST(LayerRecordTest, ReadBackOrRefused) {
  const LayerRecord record{oci::Sha256::Of("d"), {.entries = 3, .bytes = 5}};
  const std::string json = LayerRecordToJson(record);
  EXPECT_EQ(ParseLayerRecord(json)->diff_id, record.diff_id);
  EXPECT_EQ(ParseLayerRecord(json)->size, record.size);
  for (size_t length = 0; length < json.size(); ++length) {
    EXPECT_FALSE(ParseLayerRecord(json.substr(0, length)).ok()) << length;
  }
  EXPECT_FALSE(ParseLayerRecord(R"({"version":2})").ok());
}

TEST(MeasureTest, CountsNamesAndBytesOfFilesOnce) {
  TemporaryDirectory directory;
  const std::string& root = directory.path();
  ASSERT_TRUE(MakeDirs(root + "/a/b/c").ok());
  ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, root + "/a/file", "1234567").ok());
  ASSERT_EQ(link((root + "/a/file").c_str(), (root + "/a/b/same").c_str()), 0);
  ASSERT_EQ(symlink("/etc", (root + "/a/b/c/away").c_str()), 0);
  ASSERT_EQ(mkfifo((root + "/fifo").c_str(), 0600), 0);
  const UniqueFd dir = *OpenAt(AT_FDCWD, root, O_RDONLY | O_DIRECTORY);
  const TreeSize expected{.entries = 7, .bytes = 7};
  EXPECT_EQ(*MeasureTree(dir.get()), expected);
  EXPECT_EQ(*MeasureTree(dir.get()), expected) << "the descriptor is as it was";
}

// Deeper than a path may be long and descriptors may be many.
TEST(MeasureTest, AnyDepth) {
  TemporaryDirectory directory("/dev/shm");  // a disk would take seconds for as many directories
  const UniqueFd top = *OpenAt(AT_FDCWD, directory.path(), O_RDONLY | O_DIRECTORY);
  UniqueFd dir = *OpenAt(top.get(), ".", O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(mkdirat(dir.get(), "d", 0700), 0);
    dir = *OpenAt(dir.get(), "d", O_RDONLY | O_DIRECTORY);
  }
  EXPECT_EQ(*MeasureTree(top.get()), (TreeSize{.entries = 3000, .bytes = 0}));
}

}  // namespace
}  // namespace noded::store
