#include "rootfs/layer/job.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/status.h"

namespace noded::layer {
namespace {

using ::testing::ElementsAre;

// As the child gets it.
template <typename Options>
Options Sent(const Options& options) {
  std::string line = ToMessage(options).ToLine();
  EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line a message";
  line.pop_back();
  const auto job = ParseJob(*Message::Parse(line));
  EXPECT_TRUE(job.ok()) << job.status();
  return std::get<Options>(*job);
}

TEST(JobTest, UnpackOptionsArriveWhole) {
  UnpackOptions options;
  options.tree = {.lowers = {30, 31}, .upper = 40, .work = 41};
  options.mode = UnpackMode::kCopy;
  options.compression = oci::Compression::kZstd;
  options.detect_compression = true;
  options.limits = {123, 456};
  options.path = "da\tta/\xff\n=";
  options.owner = Owner{7, 4294967294};
  options.overwrite_type = true;
  options.ids = {{1, 2, 3}, {4, 5, 6}};
  const UnpackOptions sent = Sent(options);
  EXPECT_EQ(sent.mode, UnpackMode::kCopy);
  EXPECT_EQ(sent.compression, oci::Compression::kZstd);
  EXPECT_TRUE(sent.detect_compression);
  EXPECT_EQ(sent.limits.max_bytes, 123);
  EXPECT_EQ(sent.limits.max_entries, 456);
  EXPECT_EQ(sent.path, options.path);
  ASSERT_TRUE(sent.owner.has_value());
  EXPECT_EQ(sent.owner->gid, 4294967294u);
  EXPECT_TRUE(sent.overwrite_type);
  ASSERT_EQ(sent.ids.size(), 2u);
  EXPECT_EQ(sent.ids[1].outside, 5u);
  EXPECT_EQ(sent.stream, kStreamFd);
}

TEST(JobTest, DescriptorsHaveTheirPlaces) {
  const Tree overlay{.lowers = {30, 31}, .upper = 40, .work = 41};
  EXPECT_THAT(DescriptorsOf(overlay), ElementsAre(40, 41, 30, 31));
  UnpackOptions options;
  options.tree = overlay;
  const Tree sent = Sent(options).tree;
  EXPECT_EQ(sent.directory, -1);
  EXPECT_EQ(sent.upper, kFirstTreeFd);
  EXPECT_EQ(sent.work, kFirstTreeFd + 1);
  EXPECT_THAT(sent.lowers, ElementsAre(kFirstTreeFd + 2, kFirstTreeFd + 3));
  options.tree = {.directory = 9};
  EXPECT_EQ(Sent(options).tree.directory, kFirstTreeFd);
}

TEST(JobTest, PackOptionsArriveWhole) {
  PackOptions options;
  options.tree.directory = 3;
  options.path = "etc/ssl";
  options.follow_link = options.as_layer = options.without_mounts = options.gzip = true;
  options.latest_mtime = absl::FromUnixSeconds(99);
  options.exclude = {"proc/*", "a\nb"};
  const PackOptions sent = Sent(options);
  EXPECT_EQ(sent.path, "etc/ssl");
  EXPECT_TRUE(sent.follow_link && sent.as_layer && sent.without_mounts && sent.gzip);
  EXPECT_EQ(sent.latest_mtime, options.latest_mtime);
  EXPECT_EQ(sent.exclude, options.exclude);
}

TEST(JobTest, NoJob) {
  Message message;
  message.Add("job", "dance");
  EXPECT_FALSE(ParseJob(message).ok());
  EXPECT_FALSE(Message::Parse("key without value").ok());
  EXPECT_FALSE(Message::Parse("key\t\\x").ok());
}

TEST(JobTest, ErrorsKeepCodeTextAndReason) {
  const absl::Status status =
      WithReason(absl::ResourceExhaustedError("write: no\tspace"), reason::kNoSpace);
  std::string line = Message::OfError(status).ToLine();
  line.pop_back();
  const absl::Status sent = Message::Parse(line)->Error();
  EXPECT_EQ(sent.code(), status.code());
  EXPECT_EQ(sent.message(), status.message());
  EXPECT_EQ(ReasonOf(sent), reason::kNoSpace);
  EXPECT_TRUE(Message().Error().ok());
}

TEST(JobTest, ResultsArriveWhole) {
  const oci::Digest digest = oci::Sha256::Of("x");
  const Unpacked unpacked = ParseUnpacked(ToMessage(Unpacked{digest, 1, 2, 3}));
  EXPECT_EQ(unpacked.diff_id, digest);
  EXPECT_EQ(unpacked.tar_bytes, 1);
  EXPECT_EQ(unpacked.file_bytes, 2);
  EXPECT_EQ(unpacked.entries, 3);
  EXPECT_TRUE(ParseUnpacked(Message()).diff_id.empty()) << "a child that tells no digest";
  const Packed packed = ParsePacked(ToMessage(Packed{digest, oci::Sha256::Of("y"), 1, 2, 3}));
  EXPECT_EQ(packed.digest, oci::Sha256::Of("y"));
  EXPECT_EQ(packed.size, 2);
  const absl::Time before_1970 = absl::FromUnixSeconds(-2) + absl::Milliseconds(750);
  const PackedStat stat = ParsePackedStat(ToMessage(PackedStat{"n", 0100644, 5, before_1970, "t"}));
  EXPECT_EQ(stat.name, "n");
  EXPECT_EQ(stat.mode, 0100644u);
  EXPECT_EQ(stat.mtime, before_1970);
  EXPECT_EQ(stat.link_target, "t");
}

}  // namespace
}  // namespace noded::layer
