#include "rootfs/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/store/sample.h"

namespace noded::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() { Reopen(); }
  void Reopen() {
    store_.reset();
    auto opened = Store::Open(directory_.path(),
                              [this](const std::string& line) { warnings_.push_back(line); });
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }
  std::string Inside(const std::string& name) { return directory_.path() + "/" + name; }
  Collected Collect(const CollectOptions& options = {}) {
    absl::StatusOr<Collected> collected = store_->Collect(NoRoots, options);
    EXPECT_TRUE(collected.ok()) << collected.status();
    return collected.value_or(Collected());
  }
  // Overwrites a content without changing its size.
  void Damage(const oci::Digest& digest) {
    const std::string path = store_->contents().PathOf(digest);
    std::string bytes = *ReadFileAt(AT_FDCWD, path);
    bytes[bytes.size() / 2] ^= 1;
    ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, path, bytes).ok());
  }
  bool HasAll(const Sample& sample) {
    for (const auto& [digest, bytes] : sample.bytes) {
      if (!store_->contents().Has(digest)) return false;
    }
    for (const oci::Digest& chain_id : sample.chain_ids) {
      if (!store_->layers().Find(chain_id)) return false;
    }
    return true;
  }

  TemporaryDirectory directory_;
  std::vector<std::string> warnings_;
  std::unique_ptr<Store> store_;
  const Sample one_ = MakeSample({"base", "one"});
  const Sample two_ = MakeSample({"base", "two"});
};

TEST_F(StoreTest, DirectoryIsAnImageLayout) {
  EXPECT_EQ(*ReadFileAt(AT_FDCWD, Inside("oci-layout")), R"({"imageLayoutVersion":"1.0.0"})");
  EXPECT_THAT(*ReadFileAt(AT_FDCWD, Inside("index.json")), HasSubstr(R"("manifests":[])"));
  EXPECT_THAT(*ListDirAt(AT_FDCWD, directory_.path()),
              UnorderedElementsAre("oci-layout", "index.json", "blobs", "ingest", "layers", "trash",
                                   "lock"));
  EXPECT_THAT(warnings_, IsEmpty());
  const absl::StatusOr<DiskUse> disk = store_->Disk();
  ASSERT_TRUE(disk.ok());
  EXPECT_GT(disk->total_bytes, disk->free_bytes);
}

TEST_F(StoreTest, OneProcessAtATimeAndOneVersion) {
  EXPECT_EQ(Store::Open(directory_.path(), [](const std::string&) {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  store_.reset();
  ASSERT_TRUE(
      ReplaceFileAt(AT_FDCWD, Inside("oci-layout"), R"({"imageLayoutVersion":"2.0.0"})").ok());
  EXPECT_THAT(
      std::string(Store::Open(directory_.path(), [](const std::string&) {}).status().message()),
      HasSubstr("version 2.0.0, not 1.0.0"));
}

TEST_F(StoreTest, PulledImageIsThereAfterReopening) {
  ASSERT_TRUE(Pull(*store_, one_, "host/one:1").ok());
  Reopen();
  EXPECT_TRUE(HasAll(one_));
  EXPECT_EQ(store_->table().Find("host/one:1"), one_.EntryAs("host/one:1"));
  const auto details = store_->Details(one_.manifest.digest);
  ASSERT_TRUE(details.ok()) << details.status();
  EXPECT_EQ((*details)->image_id(), one_.config.digest);
  EXPECT_EQ((*details)->chain_ids, one_.chain_ids);
  EXPECT_EQ((*details)->compressed_bytes, one_.layers[0].size + one_.layers[1].size);
  EXPECT_EQ(*details, *store_->Details(one_.manifest.digest)) << "read once";
}

TEST_F(StoreTest, DetailsSayWhatIsWrong) {
  EXPECT_EQ(store_->Details(one_.manifest.digest).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Pull(*store_, one_, "a").ok());
  ASSERT_TRUE(store_->Details(one_.manifest.digest).ok());
  ASSERT_TRUE(store_->contents().Remove(one_.config.digest).ok());
  EXPECT_EQ(store_->Details(one_.manifest.digest).status().code(), absl::StatusCode::kNotFound);

  oci::Manifest wrong{std::string(oci::kOciManifest), one_.config, {one_.layers[0]}};
  ASSERT_TRUE(store_->contents().Put(one_.bytes.at(one_.config.digest), one_.config).ok());
  const std::string json = oci::ToJson(wrong);
  const oci::Descriptor descriptor = DescriptorOf(json, oci::kOciManifest);
  ASSERT_TRUE(store_->contents().Put(json, descriptor).ok());
  EXPECT_THAT(std::string(store_->Details(descriptor.digest).status().message()),
              HasSubstr("has 1 layers, its configuration"));
  wrong.config.media_type = "application/vnd.cncf.helm.config.v1+json";
  const std::string chart = oci::ToJson(wrong);
  ASSERT_TRUE(store_->contents().Put(chart, DescriptorOf(chart, oci::kOciManifest)).ok());
  EXPECT_EQ(store_->Details(oci::Sha256::Of(chart)).status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST_F(StoreTest, CollectTakesWhatNothingNeeds) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  ASSERT_TRUE(Pull(*store_, two_, "two").ok());
  EXPECT_THAT(Collect().contents, IsEmpty());
  ASSERT_TRUE(store_->table().Erase("one").ok());

  const Collected told = Collect({.dry_run = true});
  EXPECT_THAT(told.contents, UnorderedElementsAre(one_.manifest.digest, one_.config.digest,
                                                  one_.layers[1].digest));
  EXPECT_THAT(told.chain_ids, ElementsAre(one_.chain_ids[1]));
  EXPECT_TRUE(HasAll(one_)) << "only told";

  const Collected done = Collect();
  EXPECT_EQ(done.contents, told.contents);
  EXPECT_EQ(done.bytes, told.bytes);
  EXPECT_EQ(done.bytes, one_.manifest.size + one_.config.size + 2 * one_.layers[1].size);
  EXPECT_TRUE(HasAll(two_)) << "the shared base stays";
  EXPECT_FALSE(store_->contents().Has(one_.manifest.digest));
  store_->trash().Drain();
  EXPECT_THAT(*ListDirAt(AT_FDCWD, Inside("trash")), IsEmpty());
}

TEST_F(StoreTest, CollectTellsWhatAnErasureWouldFree) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  const Collected told = Collect({.dry_run = true, .without = {"one"}});
  EXPECT_THAT(told.contents, SizeIs(4));
  EXPECT_THAT(told.chain_ids, SizeIs(2));
  EXPECT_TRUE(store_->table().Find("one").has_value());
}

TEST_F(StoreTest, ContainersKeepTheirLayers) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  ASSERT_TRUE(store_->table().Erase("one").ok());
  const auto collected = store_->Collect([&] { return Roots{{}, one_.chain_ids}; });
  ASSERT_TRUE(collected.ok());
  EXPECT_THAT(collected->chain_ids, IsEmpty());
  EXPECT_THAT(collected->contents, SizeIs(4));
}

TEST_F(StoreTest, ManifestOfAContainerKeepsAllThatItNames) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  ASSERT_TRUE(store_->table().Erase("one").ok());
  const auto collected = store_->Collect([&] { return Roots{{one_.manifest.digest}, {}}; });
  ASSERT_TRUE(collected.ok());
  EXPECT_TRUE(HasAll(one_));
}

TEST_F(StoreTest, LeaseKeepsAndEnds) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  ASSERT_TRUE(store_->table().Erase("one").ok());
  {
    Lease lease = store_->NewLease();
    lease.Hold(one_.manifest.digest);
    Lease moved = std::move(lease);
    Collect();
    EXPECT_TRUE(HasAll(one_)) << "what a held manifest names is held";
  }
  {
    Lease lease = store_->NewLease();
    lease.HoldLayer(one_.chain_ids[0]);
    lease.Hold(one_.layers[0].digest);
    Collect();
    EXPECT_TRUE(store_->layers().Find(one_.chain_ids[0]).has_value());
    EXPECT_TRUE(store_->contents().Has(one_.layers[0].digest));
    EXPECT_FALSE(store_->layers().Find(one_.chain_ids[1]).has_value());
  }
  Collect();
  EXPECT_THAT(*store_->contents().List(), IsEmpty());
  EXPECT_THAT(store_->layers().List(), IsEmpty());
}

// The roots are read when marking has begun: whoever holds then is just in time.
TEST_F(StoreTest, HoldInTheMiddleOfACollectionCounts) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  ASSERT_TRUE(store_->table().Erase("one").ok());
  const auto collected = store_->Collect([&] {
    Lease lease = store_->NewLease();
    lease.Hold(one_.manifest.digest);
    return Roots();  // the lease ends here, and nothing has been removed yet
  });
  ASSERT_TRUE(collected.ok());
  EXPECT_THAT(collected->contents, IsEmpty());
  EXPECT_TRUE(HasAll(one_));
}

TEST_F(StoreTest, WhatAppearsWhileItMarksStays) {
  const auto collected = store_->Collect([&] {
    EXPECT_TRUE(Pull(*store_, one_, "one").ok());
    EXPECT_TRUE(store_->table().Erase("one").ok());
    return Roots();
  });
  ASSERT_TRUE(collected.ok());
  EXPECT_TRUE(HasAll(one_));
}

TEST_F(StoreTest, ImagesWithoutNames) {
  ASSERT_TRUE(Pull(*store_, one_, "a").ok());
  ASSERT_TRUE(Pull(*store_, two_, "a").ok());
  EXPECT_THAT(Collect().contents, IsEmpty()) << "it lost its name, and stays until asked for";
  EXPECT_TRUE(HasAll(one_));
  EXPECT_THAT(Collect({.unnamed = true, .dry_run = true}).images, SizeIs(1));
  EXPECT_THAT(store_->table().List(), SizeIs(2));
  EXPECT_THAT(Collect({.unnamed = true}).images, SizeIs(1));
  EXPECT_THAT(store_->table().List(), ElementsAre(two_.EntryAs("a")));
  EXPECT_FALSE(HasAll(one_));

  Entry pinned = one_.EntryAs("");
  pinned.pinned = true;
  ASSERT_TRUE(Pull(*store_, one_, "b").ok());
  ASSERT_TRUE(store_->table().Erase("b").ok());
  ASSERT_TRUE(store_->table().Set(pinned).ok());
  EXPECT_THAT(Collect({.unnamed = true}).images, IsEmpty());
  EXPECT_TRUE(HasAll(one_));
}

TEST_F(StoreTest, ImageWithoutNameThatAContainerUsesStays) {
  ASSERT_TRUE(Pull(*store_, one_, "a").ok());
  ASSERT_TRUE(Pull(*store_, two_, "a").ok());
  const auto collected = store_->Collect(
      [&] {
        return Roots{{one_.manifest.digest}, {}};
      },
      {.unnamed = true});
  ASSERT_TRUE(collected.ok());
  EXPECT_THAT(collected->images, IsEmpty());
  EXPECT_TRUE(HasAll(one_));
}

TEST_F(StoreTest, CollectRemovesNothingWhenItCannotKnow) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  Reopen();
  Damage(one_.manifest.digest);
  const absl::Status collected = store_->Collect(NoRoots).status();
  EXPECT_EQ(collected.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(collected.message()), HasSubstr("image one"));
  EXPECT_TRUE(HasAll(one_));
  ASSERT_TRUE(store_->table().Erase("one").ok());
  EXPECT_THAT(Collect().contents, SizeIs(4));
}

TEST_F(StoreTest, VerifyFindsNothingInACleanStore) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  ASSERT_TRUE(Pull(*store_, two_, "two").ok());
  const absl::StatusOr<Verified> verified = store_->Verify();
  ASSERT_TRUE(verified.ok());
  EXPECT_EQ(verified->contents, 7);
  EXPECT_EQ(verified->layers, 3);
  EXPECT_GT(verified->bytes, one_.config.size);
  EXPECT_THAT(verified->damages, IsEmpty());
  EXPECT_EQ(store_->Verify({.manifest = one_.manifest.digest})->contents, 4);
  EXPECT_EQ(store_->Verify({.manifest = oci::Sha256::Of("x")}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->Verify({.cancelled = [] { return true; }}).status().code(),
            absl::StatusCode::kCancelled);
}

TEST_F(StoreTest, DamageIsNamedRepairedAndPulledAgain) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  ASSERT_TRUE(Pull(*store_, two_, "two").ok());
  Damage(one_.layers[0].digest);
  const std::string file = store_->layers().Find(one_.chain_ids[1])->path + "/etc/file";
  ASSERT_EQ(truncate(file.c_str(), 0), 0);  // as a power cut leaves it

  const absl::StatusOr<Verified> told = store_->Verify();
  ASSERT_TRUE(told.ok());
  ASSERT_THAT(told->damages, SizeIs(2));
  EXPECT_EQ(told->damages[0].kind, Damage::Kind::kContent);
  EXPECT_EQ(told->damages[0].digest, one_.layers[0].digest);
  EXPECT_THAT(told->damages[0].problem, HasSubstr("bytes have digest"));
  EXPECT_THAT(told->damages[0].references, ElementsAre("one", "two"));
  EXPECT_FALSE(told->damages[0].repaired);
  EXPECT_EQ(told->damages[1].kind, Damage::Kind::kLayer);
  EXPECT_EQ(told->damages[1].digest, one_.chain_ids[1]);
  EXPECT_THAT(told->damages[1].problem, HasSubstr("has 2 entries and 0 bytes of files, not 2"));
  EXPECT_THAT(told->damages[1].references, ElementsAre("one"));

  ASSERT_THAT(store_->Verify({.repair = true})->damages, SizeIs(2));
  EXPECT_FALSE(store_->contents().Has(one_.layers[0].digest));
  EXPECT_FALSE(store_->layers().Find(one_.chain_ids[1]).has_value());
  EXPECT_TRUE(store_->contents().Has(one_.layers[1].digest)) << "only what is damaged";
  const absl::StatusOr<Verified> missing = store_->Verify();
  ASSERT_THAT(missing->damages, SizeIs(2));
  EXPECT_EQ(missing->damages[0].problem, "is missing");
  EXPECT_EQ(missing->damages[1].problem, "is not unpacked");

  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  EXPECT_THAT(store_->Verify()->damages, IsEmpty());
}

TEST_F(StoreTest, RepairTakesNothingAwayFromItsUsers) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  Damage(one_.layers[0].digest);
  const std::string path = store_->layers().Find(one_.chain_ids[1])->path;
  ASSERT_EQ(unlink((path + "/etc/file").c_str()), 0);
  Lease lease = store_->NewLease();
  lease.Hold(one_.layers[0].digest);
  const absl::StatusOr<Verified> verified =
      store_->Verify({.repair = true, .chain_ids_in_use = {one_.chain_ids[1]}});
  ASSERT_THAT(verified->damages, SizeIs(2));
  EXPECT_FALSE(verified->damages[0].repaired);
  EXPECT_FALSE(verified->damages[1].repaired);
  EXPECT_TRUE(HasAll(one_));
}

TEST_F(StoreTest, DamagedLayerRecordIsFound) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  const std::string layer = Inside("layers/" + one_.chain_ids[0].hex());
  ASSERT_EQ(truncate((layer + "/layer.json").c_str(), 3), 0);
  Reopen();
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr(one_.chain_ids[0].text())));
  const absl::StatusOr<Verified> verified = store_->Verify();
  ASSERT_THAT(verified->damages, SizeIs(1));
  EXPECT_EQ(verified->damages[0].problem, "is not unpacked");
}

TEST_F(StoreTest, DamagedIndexIsSetAsideAndRebuilt) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  ASSERT_TRUE(Pull(*store_, two_, "two").ok());
  ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, Inside("index.json"), R"({"schemaVersion":2,"mani)").ok());
  Reopen();
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("begins anew with the 2 images")));
  EXPECT_THAT(*ReadFileAt(AT_FDCWD, Inside("index.json.damaged")), HasSubstr("mani"));
  std::vector<Entry> entries = store_->table().List();
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_TRUE(entries[0].pinned);
  EXPECT_EQ(store_->table().EntriesOf(one_.config.digest).size(), 1u);
  EXPECT_THAT(Collect({.unnamed = true}).contents, IsEmpty());
  EXPECT_TRUE(HasAll(one_));
  EXPECT_TRUE(HasAll(two_));
  Reopen();
  EXPECT_EQ(store_->table().List(), entries);
}

TEST_F(StoreTest, IndexesOfOtherToolsAreGoneThrough) {
  ASSERT_TRUE(Pull(*store_, one_, "one").ok());
  oci::Index index{std::string(oci::kOciIndex),
                   {one_.manifest, DescriptorOf("of another platform", oci::kOciManifest)}};
  const std::string json = oci::ToJson(index);
  const oci::Descriptor descriptor = DescriptorOf(json, oci::kOciIndex);
  ASSERT_TRUE(store_->contents().Put(json, descriptor).ok());
  ASSERT_TRUE(store_->table().Set({.reference = "index", .manifest = descriptor}).ok());
  ASSERT_TRUE(store_->table().Erase("one").ok());
  EXPECT_THAT(Collect().contents, IsEmpty());
  EXPECT_TRUE(HasAll(one_));
}

TEST(LeasesTest, HoldsWhileACollectionRunsStick) {
  Leases leases;
  using Kind = Leases::Kind;
  using Removal = Leases::Removal;
  const oci::Digest a = oci::Sha256::Of("a"), b = oci::Sha256::Of("b");
  int removed = 0;
  auto remove = [&] { ++removed; };
  Lease early = leases.New();
  early.Hold(a);
  leases.BeginCollection();
  EXPECT_THAT(leases.TakeNew(), ElementsAre(Leases::Item{Kind::kContent, a}));
  { leases.New().HoldLayer(b); }
  EXPECT_EQ(leases.RemoveUnlessHeld({Kind::kContent, b}, remove), Removal::kNewHolds);
  EXPECT_THAT(leases.TakeNew(), ElementsAre(Leases::Item{Kind::kLayer, b}));
  EXPECT_EQ(leases.RemoveUnlessHeld({Kind::kLayer, b}, remove), Removal::kHeld) << "it has ended";
  EXPECT_EQ(leases.RemoveUnlessHeld({Kind::kContent, b}, remove), Removal::kDone) << "not the same";
  EXPECT_EQ(removed, 1);
  leases.EndCollection();
  leases.BeginCollection();
  EXPECT_THAT(leases.TakeNew(), ElementsAre(Leases::Item{Kind::kContent, a}));
  EXPECT_EQ(leases.RemoveUnlessHeld({Kind::kLayer, b}, remove), Removal::kDone);
  leases.EndCollection();
}

}  // namespace
}  // namespace noded::store
