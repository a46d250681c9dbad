#include "rootfs/store/content.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/store/sample.h"

namespace noded::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ContentTest : public ::testing::Test {
 protected:
  ContentTest() { Reopen(); }
  void Reopen() {
    contents_.reset();
    trash_.reset();
    trash_ = *Trash::Open(directory_.path() + "/trash",
                          [](const std::string& line) { ADD_FAILURE() << line; });
    contents_ = *ContentStore::Open(directory_.path(), trash_.get());
  }
  std::vector<std::string> Partials() {
    return *ListDirAt(AT_FDCWD, directory_.path() + "/ingest");
  }
  oci::Descriptor Layer(std::string_view bytes) { return DescriptorOf(bytes, oci::kOciLayerGzip); }

  TemporaryDirectory directory_;
  std::unique_ptr<Trash> trash_;
  std::unique_ptr<ContentStore> contents_;
};

TEST_F(ContentTest, ArrivesInPiecesAndIsReadWhileItDoes) {
  const oci::Descriptor wanted = Layer("hello, world");
  Ingest ingest = *contents_->Begin(wanted);
  EXPECT_EQ(ingest.offset(), 0);
  ASSERT_TRUE(ingest.Write("hello, ").ok());
  char seen[20] = {};
  EXPECT_EQ(pread(ingest.file(), seen, sizeof(seen), 0), 7);
  EXPECT_STREQ(seen, "hello, ");
  EXPECT_FALSE(contents_->Has(wanted.digest)) << "not before it is whole";
  ASSERT_TRUE(ingest.Write("world").ok());
  EXPECT_EQ(*ingest.Commit(), wanted);
  EXPECT_TRUE(contents_->Has(wanted.digest));
  EXPECT_EQ(*contents_->Size(wanted.digest), 12);
  EXPECT_EQ(*contents_->Read(wanted.digest, 100), "hello, world");
  EXPECT_EQ(*ReadFileAt(AT_FDCWD, contents_->PathOf(wanted.digest)), "hello, world");
  EXPECT_THAT(*contents_->List(), ElementsAre(wanted.digest));
  EXPECT_THAT(Partials(), IsEmpty());
  EXPECT_EQ(contents_->Begin(wanted).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(ContentTest, NextAttemptContinues) {
  const oci::Descriptor wanted = Layer("hello, world");
  {
    Ingest ingest = *contents_->Begin(wanted);
    ASSERT_TRUE(ingest.Write("hello").ok());
    EXPECT_EQ(contents_->Begin(wanted).status().code(), absl::StatusCode::kAborted)
        << "one at a time";
  }
  Reopen();
  Ingest ingest = *contents_->Begin(wanted);
  EXPECT_EQ(ingest.offset(), 5);
  ASSERT_TRUE(ingest.Write(", world").ok());
  EXPECT_TRUE(ingest.Commit().ok());
  EXPECT_EQ(*contents_->Read(wanted.digest, 100), "hello, world");
}

TEST_F(ContentTest, TooManyBytesAreRefusedAndTooFewAreToBeContinued) {
  const oci::Descriptor wanted = Layer("12345");
  Ingest ingest = *contents_->Begin(wanted);
  EXPECT_EQ(ingest.Write("123456").code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ingest.offset(), 0);
  ASSERT_TRUE(ingest.Write("123").ok());
  EXPECT_EQ(ingest.Commit().status().code(), absl::StatusCode::kOutOfRange);
  ASSERT_TRUE(ingest.Write("45").ok());
  EXPECT_TRUE(ingest.Commit().ok());
}

TEST_F(ContentTest, WrongDigestLeavesNothing) {
  const oci::Descriptor wanted = Layer("right");
  {
    Ingest ingest = *contents_->Begin(wanted);
    ASSERT_TRUE(ingest.Write("wrong").ok());
    const absl::Status status = ingest.Commit().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(ReasonOf(status), reason::kContentDamaged);
    EXPECT_THAT(std::string(status.message()), HasSubstr(wanted.digest.text()));
    EXPECT_THAT(std::string(status.message()), HasSubstr(oci::Sha256::Of("wrong").text()));
  }
  EXPECT_FALSE(contents_->Has(wanted.digest));
  EXPECT_THAT(Partials(), IsEmpty());
  EXPECT_EQ(contents_->Begin(wanted)->offset(), 0);
}

TEST_F(ContentTest, PartialThatIsTooLongBeginsAnew) {
  const oci::Descriptor wanted = Layer("12345");
  ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, directory_.path() + "/ingest/" + wanted.digest.hex(),
                            "something else")
                  .ok());
  Ingest ingest = *contents_->Begin(wanted);
  EXPECT_EQ(ingest.offset(), 0);
  ASSERT_TRUE(ingest.Write("12345").ok());
  EXPECT_TRUE(ingest.Commit().ok());
}

TEST_F(ContentTest, UnknownBecomesWhatItIs) {
  {
    Ingest given_up = *contents_->BeginUnknown(std::string(oci::kOciLayer));
    ASSERT_TRUE(given_up.Write("x").ok());
    EXPECT_EQ(Partials().size(), 1u);
  }
  EXPECT_THAT(Partials(), IsEmpty()) << "nobody could continue it";
  Ingest ingest = *contents_->BeginUnknown(std::string(oci::kOciLayer));
  ASSERT_TRUE(ingest.Write("made ").ok());
  ASSERT_TRUE(ingest.Write("here").ok());
  EXPECT_EQ(*ingest.Commit(), DescriptorOf("made here", oci::kOciLayer));
  EXPECT_EQ(*contents_->Read(oci::Sha256::Of("made here"), 100), "made here");
}

TEST_F(ContentTest, SmallDocuments) {
  const oci::Descriptor config = DescriptorOf("{}", oci::kOciConfig);
  ASSERT_TRUE(contents_->Put("{}", config).ok());
  ASSERT_TRUE(contents_->Put("{}", config).ok()) << "again";
  EXPECT_EQ(contents_->Put("{ }", config).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(contents_->Read(config.digest, 1).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(ContentTest, AbsentAndDamaged) {
  const oci::Digest digest = oci::Sha256::Of("x");
  EXPECT_EQ(contents_->Open(digest).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(contents_->Read(digest, 9).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(contents_->Size(digest).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, contents_->PathOf(digest), "y").ok());
  EXPECT_EQ(ReasonOf(contents_->Read(digest, 9).status()), reason::kContentDamaged);
  EXPECT_TRUE(contents_->Remove(digest).ok());
  EXPECT_TRUE(contents_->Remove(digest).ok()) << "again";
  EXPECT_FALSE(contents_->Has(digest));
}

TEST_F(ContentTest, StalePartialsGoWhenItIsOpened) {
  const std::string old_one = directory_.path() + "/ingest/" + oci::Sha256::Of("old").hex();
  const std::string new_one = directory_.path() + "/ingest/" + oci::Sha256::Of("new").hex();
  const std::string unknown = directory_.path() + "/ingest/new-7";
  for (const std::string& path : {old_one, new_one, unknown}) {
    ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, path, "x").ok());
  }
  const timespec two_days_ago[2] = {{time(nullptr) - 2 * 86400, 0}, {time(nullptr) - 2 * 86400, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, old_one.c_str(), two_days_ago, 0), 0);
  Reopen();
  EXPECT_THAT(Partials(), ElementsAre(oci::Sha256::Of("new").hex()));
}

}  // namespace
}  // namespace noded::store
