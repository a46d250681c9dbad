// The ways of bytes through decoders and readers, without a process: pieces of any size, and ends
// in any place.
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "gtest/gtest.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"
#include "rootfs/layer/decoder.h"
#include "rootfs/layer/inflate.h"
#include "rootfs/layer/tar_reader.h"
#include "rootfs/layer/tar_sink.h"
#include "rootfs/layer/tar_writer.h"

namespace noded::layer {
namespace {

std::string Text(size_t size) {
  std::string text;
  for (unsigned i = 0; text.size() < size; ++i) text += std::to_string(i * 2654435761u);
  text.resize(size);
  return text;
}

ReadBytes InPieces(std::string_view bytes, size_t piece) {
  return [bytes, piece](char* out, size_t capacity) mutable -> absl::StatusOr<size_t> {
    const size_t size = std::min({piece, capacity, bytes.size()});
    bytes.copy(out, size);
    bytes.remove_prefix(size);
    return size;
  };
}

// A tar of one file, as the sink writes it.
std::string Packed(const TarEntry& entry, const std::string& content, bool gzip) {
  const UniqueFd out(memfd_create("tar", MFD_CLOEXEC));
  TarSink sink(out.get(), -1, gzip);
  TarWriter writer(&sink);
  EXPECT_TRUE(writer.Begin(entry).ok());
  EXPECT_TRUE(writer.Write(content).ok());
  EXPECT_TRUE(writer.Finish().ok());
  const auto bytes = ReadHeld(out.get(), 16 << 20);
  EXPECT_TRUE(bytes.ok());
  EXPECT_EQ(oci::Sha256::Of(*bytes), sink.digest());
  return *bytes;
}

TEST(DecoderTest, PiecesOfAnySize) {
  const std::string content = Text(300'000);
  const std::string gzip = Packed({.name = "f", .type = S_IFREG, .size = 300'000}, content, true);
  std::string whole;
  for (const size_t piece : {size_t{1} << 20, size_t{4096}, size_t{1}}) {
    auto decoder = Decoder::Make(oci::Compression::kNone, true, InPieces(gzip, piece));
    ASSERT_TRUE(decoder.ok());
    std::string out(1 << 20, '\0');
    const auto size = (*decoder)->Fill(out.data(), out.size());
    ASSERT_TRUE(size.ok()) << size.status();
    out.resize(*size);
    if (whole.empty()) whole = out;
    EXPECT_EQ(out, whole) << "pieces of " << piece;
    EXPECT_NE(out.find(content), std::string::npos);
  }
}

TEST(DecoderTest, EveryEndThatIsTooEarlyIsNoticed) {
  const std::string gzip = Packed({.name = "f", .type = S_IFREG, .size = 3}, "abc", true);
  for (size_t end = 0; end < gzip.size(); ++end) {
    auto decoder = Decoder::Make(oci::Compression::kGzip, false,
                                 InPieces(std::string_view(gzip).substr(0, end), 1 << 20));
    std::string out(1 << 20, '\0');
    EXPECT_EQ(ReasonOf((*decoder)->Fill(out.data(), out.size()).status()), reason::kLayerRefused)
        << "cut at " << end << " of " << gzip.size();
  }
}

TEST(InflatedStreamTest, MoreThanItsBlocks) {
  const std::string content = Text(5 << 20);
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  std::thread writer([&pipe, &content] {
    EXPECT_TRUE(WriteAll(pipe->writer.get(), content).ok());
    pipe->writer.Reset();
  });
  InflatedStream stream({.stream = pipe->reader.get(), .max_bytes = 6 << 20});
  std::string all;
  std::string_view before;
  std::string before_copy;
  while (true) {
    const auto block = stream.Next();
    ASSERT_TRUE(block.ok()) << block.status();
    EXPECT_EQ(before, before_copy) << "the block before stays valid";
    if (block->empty()) break;
    all += *block;
    before = *block;
    before_copy = std::string(*block);
  }
  writer.join();
  EXPECT_EQ(all, content);
  EXPECT_EQ(stream.digest(), oci::Sha256::Of(content));
  EXPECT_EQ(stream.bytes(), 5 << 20);
  EXPECT_TRUE(stream.Next()->empty()) << "also when asked again";
}

TEST(InflatedStreamTest, IsLeftWhileItWaits) {
  const auto pipe = MakePipe();
  ASSERT_TRUE(pipe.ok());
  // Nothing comes, and its thread ends all the same.
  const InflatedStream stream({.stream = pipe->reader.get(), .max_bytes = 1});
  EXPECT_EQ(stream.bytes(), 0);
}

TEST(TarReaderTest, BlocksOfAnySize) {
  const std::string content = Text(3000);
  TarEntry packed{.name = "a/file",
                  .type = S_IFREG,
                  .permissions = 0640,
                  .uid = 3,
                  .gid = 4,
                  .size = 3000,
                  .mtime = {-2, 750'000'000}};
  packed.attributes = {{"user.k", std::string("\0v", 2)}};
  const std::string tar = Packed(packed, content, false);
  for (const size_t piece : {size_t{1}, size_t{100}, size_t{512}, size_t{1} << 20}) {
    std::string_view rest = tar;
    TarReader reader([&rest, piece]() -> absl::StatusOr<std::string_view> {
      const std::string_view block = rest.substr(0, piece);
      rest.remove_prefix(block.size());
      return block;
    });
    const auto entry = reader.NextEntry();
    ASSERT_TRUE(entry.ok()) << entry.status();
    EXPECT_EQ((*entry)->name, "a/file");
    EXPECT_EQ((*entry)->permissions, 0640u);
    EXPECT_EQ((*entry)->mtime.tv_sec, -2);
    EXPECT_EQ((*entry)->mtime.tv_nsec, 750'000'000);
    EXPECT_EQ((*entry)->attributes, packed.attributes);
    std::string read;
    while (true) {
      const auto data = reader.NextData();
      ASSERT_TRUE(data.ok()) << data.status();
      if (!*data) break;
      EXPECT_EQ((*data)->offset, static_cast<int64_t>(read.size()));
      read += (*data)->bytes;
    }
    EXPECT_EQ(read, content);
    const auto end = reader.NextEntry();
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_EQ(*end, nullptr);
  }
}

TEST(NegativeMtimeTest, TheLastRecordDecides) {
  std::string header(512, '\0');
  header[156] = 'x';
  const auto with = [&header](const std::string& records) {
    std::string bytes = header;
    char size[12];
    snprintf(size, sizeof size, "%011zo", records.size());
    bytes.replace(124, 11, size);
    bytes += records;
    bytes.resize(1024);
    return bytes + std::string(512, '\0');
  };
  EXPECT_TRUE(HasNegativeMtime(with("14 mtime=-0.5\n")));
  EXPECT_FALSE(HasNegativeMtime(with("13 mtime=0.5\n")));
  EXPECT_TRUE(HasNegativeMtime(with("9 path=a\n14 mtime=-0.5\n")));
  EXPECT_FALSE(HasNegativeMtime(with("14 mtime=-0.5\n13 mtime=0.5\n")));
  EXPECT_FALSE(HasNegativeMtime(with("99 mtime=-0.5\n"))) << "a record longer than all";
  EXPECT_FALSE(HasNegativeMtime(with("x mtime=-0.5\n")));
  EXPECT_FALSE(HasNegativeMtime(""));
}

}  // namespace
}  // namespace noded::layer
