#include "rootfs/volume/volumes.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "node/base/file.h"
#include "node/base/status.h"
#include "tests/unit/base/scratch.h"

namespace noded::volume {
namespace {

using testing::ElementsAre;

class VolumesTest : public ScratchTest {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    VolumesOptions options;
    options.directory = directory_ + "/volumes";
    options.uses = [this] { return uses_; };
    options.random_name = [this]() -> absl::StatusOr<std::string> {
      return std::string(63, 'a') + std::to_string(next_++);
    };
    options.discard = [](const std::string& path) { return RemoveTreeAt(AT_FDCWD, path); };
    absl::StatusOr<std::unique_ptr<Volumes>> opened = Volumes::Open(std::move(options));
    ASSERT_TRUE(opened.ok()) << opened.status();
    volumes_ = *std::move(opened);
  }
  std::vector<std::string> Names(const node::v1::ListVolumesRequest& request = {}) {
    std::vector<std::string> names;
    absl::StatusOr<node::v1::ListVolumesResponse> page = volumes_->List(request);
    EXPECT_TRUE(page.ok()) << page.status();
    for (const node::v1::Volume& volume : page->volumes()) names.push_back(volume.name());
    return names;
  }
  absl::Status Create(const std::string& name) {
    node::v1::CreateVolumeRequest request;
    request.set_name(name);
    return volumes_->Create(request).status();
  }
  absl::Status Remove(const std::string& name) {
    node::v1::RemoveVolumeRequest request;
    request.set_name(name);
    return volumes_->Remove(request).status();
  }

  const std::string directory_ = Path("root");
  std::map<std::string, std::vector<std::string>> uses_;
  int next_ = 0;
  std::unique_ptr<Volumes> volumes_;
};

TEST_F(VolumesTest, LiveOverARestart) {
  node::v1::CreateVolumeRequest request;
  request.set_name("db");
  (*request.mutable_labels())["a"] = "b";
  ASSERT_TRUE(volumes_->Create(request).ok());
  Open();
  node::v1::GetVolumeRequest get;
  get.set_name("db");
  absl::StatusOr<node::v1::GetVolumeResponse> found = volumes_->Get(get);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->volume().labels().at("a"), "b");
  EXPECT_EQ(found->volume().directory(), directory_ + "/volumes/db/data");
}

TEST_F(VolumesTest, ANameIsTakenOnlyWithTheSameLabels) {
  ASSERT_TRUE(Create("db").ok());
  EXPECT_TRUE(Create("db").ok()) << "the same again";
  node::v1::CreateVolumeRequest other;
  other.set_name("db");
  (*other.mutable_labels())["a"] = "b";
  EXPECT_TRUE(absl::IsAlreadyExists(volumes_->Create(other).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Create("../x")));
}

TEST_F(VolumesTest, WhatIsUsedStays) {
  ASSERT_TRUE(Create("db").ok());
  uses_["container"] = {"db"};
  absl::Status status = Remove("db");
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(ReasonOf(status), reason::kVolumeInUse);
  uses_.clear();
  EXPECT_TRUE(Remove("db").ok());
  EXPECT_EQ(ReasonOf(Remove("db")), reason::kVolumeNotFound);
}

TEST_F(VolumesTest, OneThatCannotBeFilledIsNotThere) {
  absl::StatusOr<node::v1::Volume> volume = volumes_->Acquire(
      "db", [](const std::string&) { return absl::ResourceExhaustedError("the disk is full"); });
  EXPECT_TRUE(absl::IsResourceExhausted(volume.status())) << volume.status();
  EXPECT_TRUE(Names().empty());
  Open();
  EXPECT_TRUE(Names().empty());
}

TEST_F(VolumesTest, PruneTakesTheAnonymousUnlessAllAreAskedFor) {
  ASSERT_TRUE(Create("named").ok());
  ASSERT_TRUE(Create("").ok());
  absl::StatusOr<node::v1::Volume> held = volumes_->Acquire("", nullptr);
  ASSERT_TRUE(held.ok()) << held.status();
  absl::StatusOr<node::v1::PruneVolumesResponse> pruned = volumes_->Prune({});
  ASSERT_TRUE(pruned.ok()) << pruned.status();
  EXPECT_EQ(pruned->removed_size(), 1);
  volumes_->Release(held->name());
  node::v1::PruneVolumesRequest all;
  all.set_all(true);
  EXPECT_EQ(volumes_->Prune(all)->removed_size(), 2);
  EXPECT_TRUE(Names().empty());
}

TEST_F(VolumesTest, PagesGoByName) {
  for (const char* name : {"c", "a", "b"}) ASSERT_TRUE(Create(name).ok());
  node::v1::ListVolumesRequest request;
  request.set_page_size(2);
  absl::StatusOr<node::v1::ListVolumesResponse> page = volumes_->List(request);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->volumes_size(), 2);
  request.set_page_token(page->next_page_token());
  EXPECT_THAT(Names(request), ElementsAre("c"));
}

}  // namespace
}  // namespace noded::volume
