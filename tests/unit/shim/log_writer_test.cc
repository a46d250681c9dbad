#include "node/shim/log_writer.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "gtest/gtest.h"
#include "node/base/file.h"

namespace noded::shim {
namespace {

// 2026-05-01T12:00:00.000000007Z
constexpr timespec kNoon{.tv_sec = 1777636800, .tv_nsec = 7};
constexpr char kNoonText[] = "2026-05-01T12:00:00.000000007Z ";

class LogWriterTest : public testing::Test {
 protected:
  LogWriterTest() {
    char base[] = "/tmp/noded-log-test-XXXXXX";
    base_ = mkdtemp(base);
    plan_.set_max_file_bytes(1 << 20);
    plan_.set_max_files(3);
  }
  ~LogWriterTest() override {
    writer_.reset();
    directory_.Reset();
    if (mounted_) {
      EXPECT_EQ(umount(base_.c_str()), 0);
    }
    EXPECT_TRUE(RemoveTreeAt(AT_FDCWD, base_).ok());
  }

  void Open() {
    writer_.reset();
    directory_ = *OpenAt(AT_FDCWD, base_, O_RDONLY | O_DIRECTORY);
    writer_ = std::make_unique<LogWriter>();
    MaybeFailure failure = writer_->Open(directory_.get(), plan_);
    ASSERT_FALSE(failure) << failure->object() << failure->error();
  }
  size_t Write(const std::string& data, Stream stream = Stream::kOutput) {
    return writer_->Append(stream, data, kNoon);
  }
  // A file system of this size, which only root may make.
  bool MountSmallDisk(const std::string& size) {
    mounted_ = ::mount("tmpfs", base_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
    return mounted_;
  }
  void FillDisk() {
    UniqueFd file = *OpenAt(AT_FDCWD, base_ + "/filler", O_WRONLY | O_CREAT | O_APPEND, 0600);
    const std::string block(4096, 'f');
    while (write(file.get(), block.data(), block.size()) > 0) {
    }
  }
  void MakeRoom() { ASSERT_EQ(unlink((base_ + "/filler").c_str()), 0); }

  std::vector<std::string> Files() {
    std::vector<std::string> names = *ListDirAt(AT_FDCWD, base_ + "/log");
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string Content(const std::string& file = "0000000001.log") {
    return *ReadFileAt(AT_FDCWD, base_ + "/log/" + file);
  }
  void SetContent(const std::string& content) {
    ASSERT_TRUE(MakeDirs(base_ + "/log").ok());
    ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, base_ + "/log/0000000001.log", content).ok());
  }
  // What a stream's entries say, put together as LOG_FORMAT.md says; marker lines are kept apart.
  std::string Text(const std::string& stream = "stdout") {
    std::string text;
    for (const std::string& file : Files()) {
      const std::string content = Content(file);
      for (size_t start = 0; start < content.size();) {
        const size_t end = content.find('\n', start);
        const std::string entry = content.substr(start, end - start);
        start = end + 1;
        if (entry.compare(31, stream.size() + 1, stream + " ") != 0) continue;
        text += entry.substr(31 + stream.size() + 3);
        if (entry[31 + stream.size() + 1] == 'F') text += '\n';
      }
    }
    return text;
  }

  // What all markers tell together.
  size_t LostLines() {
    const std::string text = Text("stderr");
    size_t lost = 0;
    for (size_t at = 0; (at = text.find("[noded: ", at)) != std::string::npos; ++at) {
      lost += std::strtoul(text.c_str() + at + 8, nullptr, 10);
    }
    return lost;
  }

  std::string base_;
  UniqueFd directory_;
  pb::LogPlan plan_;
  std::unique_ptr<LogWriter> writer_;
  bool mounted_ = false;
};

TEST_F(LogWriterTest, WholeLines) {
  Open();
  EXPECT_EQ(Write("one\ntwo\n\n"), 9u);
  Write("oops\n", Stream::kError);
  EXPECT_EQ(Content(), std::string(kNoonText) + "stdout F one\n" + kNoonText + "stdout F two\n" +
                           kNoonText + "stdout F \n" + kNoonText + "stderr F oops\n");
}

TEST_F(LogWriterTest, Times) {
  Open();
  const struct {
    timespec time;
    const char* text;
  } kTimes[] = {
      {{0, 0}, "1970-01-01T00:00:00.000000000Z"},
      {{951782399, 999999999}, "2000-02-28T23:59:59.999999999Z"},
      {{951782400, 1}, "2000-02-29T00:00:00.000000001Z"},
      {{1709251199, 500}, "2024-02-29T23:59:59.000000500Z"},
      {{4102444800, 0}, "2100-01-01T00:00:00.000000000Z"},
  };
  std::string expected;
  for (const auto& each : kTimes) {
    writer_->Append(Stream::kOutput, "x\n", each.time);
    expected += std::string(each.text) + " stdout F x\n";
  }
  EXPECT_EQ(Content(), expected);
}

TEST_F(LogWriterTest, ALineInPiecesIsOneEntry) {
  Open();
  Write("a");
  Write("b");
  EXPECT_EQ(Content(), "");
  EXPECT_TRUE(writer_->has_partial());
  Write("c\nd");
  EXPECT_EQ(Content(), std::string(kNoonText) + "stdout F abc\n");
  writer_->FlushPartial(kNoon);
  EXPECT_EQ(Content(), std::string(kNoonText) + "stdout F abc\n" + kNoonText + "stdout P d\n");
  EXPECT_FALSE(writer_->has_partial());
}

TEST_F(LogWriterTest, StreamsDoNotMix) {
  Open();
  Write("out-");
  Write("err\n", Stream::kError);
  Write("put\n");
  EXPECT_EQ(Text("stdout"), "out-put\n");
  EXPECT_EQ(Text("stderr"), "err\n");
}

TEST_F(LogWriterTest, LongLinesAreSplit) {
  Open();
  const size_t kMax = LogWriter::kMaxText;
  Write(std::string(20000, 'x') + "\n");
  EXPECT_EQ(Content(), std::string(kNoonText) + "stdout P " + std::string(kMax, 'x') + "\n" +
                           kNoonText + "stdout F " + std::string(20000 - kMax, 'x') + "\n");
}

TEST_F(LogWriterTest, ALineOfExactlyTheLimit) {
  Open();
  const std::string line(LogWriter::kMaxText, 'x');
  Write(line + "\n");
  EXPECT_EQ(Content(),
            std::string(kNoonText) + "stdout P " + line + "\n" + kNoonText + "stdout F \n");
}

// Any bytes in reads of any size come out as they went in.
TEST_F(LogWriterTest, EveryByteIsKept) {
  plan_.set_max_file_bytes(100000);
  plan_.set_max_files(1000);
  Open();
  std::string all;
  unsigned seed = 1;
  for (int read = 0; read < 200; ++read) {
    std::string data(static_cast<size_t>(rand_r(&seed)) % 30000 + 1, '\0');
    for (char& byte : data)
      byte = static_cast<char>(rand_r(&seed) % 400 == 0 ? '\n' : rand_r(&seed));
    ASSERT_EQ(Write(data), data.size());
    all += data;
  }
  writer_->FlushPartial(kNoon);
  EXPECT_TRUE(Text() == all);
  EXPECT_GT(Files().size(), 10u);
}

// A read of the shortest lines is forty times as large in the log, more than is buffered at once.
TEST_F(LogWriterTest, ManyShortLinesOfOneRead) {
  plan_.set_max_file_bytes(100 << 20);
  Open();
  const std::string lines(65536, '\n');
  EXPECT_EQ(Write(lines), lines.size());
  EXPECT_EQ(Text(), lines);
}

TEST_F(LogWriterTest, RotatesBySizeAndKeepsSoMany) {
  plan_.set_max_file_bytes(100);
  Open();
  for (int i = 0; i < 10; ++i) Write("line " + std::to_string(i) + "\n");
  // An entry is 47 bytes: two fit.
  EXPECT_EQ(Files(),
            (std::vector<std::string>{"0000000003.log", "0000000004.log", "0000000005.log"}));
  EXPECT_EQ(Text(), "line 4\nline 5\nline 6\nline 7\nline 8\nline 9\n");
  EXPECT_EQ(Content("0000000005.log").size(), 94u);
}

TEST_F(LogWriterTest, AnEntryLargerThanAFileHasOneToItself) {
  plan_.set_max_file_bytes(100);
  plan_.set_max_files(100);
  Open();
  Write("a\n" + std::string(1000, 'b') + "\nc\n");
  EXPECT_EQ(Files().size(), 3u);
  EXPECT_EQ(Text(), "a\n" + std::string(1000, 'b') + "\nc\n");
}

TEST_F(LogWriterTest, GoesOnInTheNewestFile) {
  plan_.set_max_file_bytes(100);
  Open();
  for (int i = 0; i < 5; ++i) Write("line " + std::to_string(i) + "\n");
  Open();
  Write("line 5\n");
  EXPECT_EQ(Text(), "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\n");
  EXPECT_EQ(Files().back(), "0000000003.log");
}

TEST_F(LogWriterTest, FewerFilesThanAnEarlierRunKept) {
  plan_.set_max_file_bytes(50);
  plan_.set_max_files(5);
  Open();
  for (int i = 0; i < 5; ++i) Write("line " + std::to_string(i) + "\n");
  plan_.set_max_files(1);
  Open();
  Write("line 5\n");
  EXPECT_EQ(Files(), std::vector<std::string>{"0000000006.log"});
}

TEST_F(LogWriterTest, ATornTailIsEnded) {
  SetContent(std::string(kNoonText) + "stdout F whole\n2026-05-01T12:00:00.0000");
  Open();
  Write("next\n");
  EXPECT_EQ(Content(), std::string(kNoonText) + "stdout F whole\n2026-05-01T12:00:00.0000\n" +
                           kNoonText + "stdout F next\n");
}

TEST_F(LogWriterTest, ForeignFilesAreLeftAlone) {
  SetContent("");
  for (const char* name : {"/log/notes.txt", "/log/12.log", "/log/000000000x.log"}) {
    ASSERT_TRUE(ReplaceFileAt(AT_FDCWD, base_ + name, "mine").ok());
  }
  plan_.set_max_file_bytes(50);
  plan_.set_max_files(1);
  Open();
  for (int i = 0; i < 3; ++i) Write("line\n");
  EXPECT_EQ(Files(),
            (std::vector<std::string>{"0000000003.log", "000000000x.log", "12.log", "notes.txt"}));
}

TEST_F(LogWriterTest, ASymlinkIsNotFollowed) {
  ASSERT_TRUE(MakeDirs(base_ + "/log").ok());
  ASSERT_EQ(symlink("/tmp/noded-log-test-elsewhere", (base_ + "/log/0000000001.log").c_str()), 0);
  directory_ = *OpenAt(AT_FDCWD, base_, O_RDONLY | O_DIRECTORY);
  LogWriter writer;
  EXPECT_TRUE(writer.Open(directory_.get(), plan_));
  EXPECT_NE(access("/tmp/noded-log-test-elsewhere", F_OK), 0);
}

TEST_F(LogWriterTest, AFullDiskDropsCountsAndTells) {
  if (!MountSmallDisk("64k")) GTEST_SKIP() << "mounting takes root";
  Open();
  Write("before\n");
  FillDisk();
  std::string line(99, 'x');
  line += '\n';
  // The page that the log has is filled first; then entries are lost, of which none is torn.
  for (int i = 0; i < 200; ++i) ASSERT_EQ(Write(line), line.size());
  const std::string full = Content();
  EXPECT_EQ(full.back(), '\n');
  MakeRoom();
  Write("after\n");
  const std::string text = Text();
  const auto kept = static_cast<size_t>(std::count(text.begin(), text.end(), 'x')) / 99;
  EXPECT_LT(kept, 200u);
  EXPECT_EQ(kept + LostLines(), 200u);
  EXPECT_TRUE(Content().ends_with(" lines lost: no space left on device]\n" +
                                  std::string(kNoonText) + "stdout F after\n"))
      << Content();
}

TEST_F(LogWriterTest, AFullDiskBlocksWhenAsked) {
  if (!MountSmallDisk("512k")) GTEST_SKIP() << "mounting takes root";
  plan_.set_block_when_full(true);
  Open();
  FillDisk();
  std::string data;
  for (int i = 0; i < 5000; ++i) data += "line " + std::to_string(i) + "\n";
  size_t taken = Write(data);
  EXPECT_LT(taken, data.size());
  EXPECT_TRUE(writer_->blocked());
  EXPECT_FALSE(writer_->Retry());
  EXPECT_EQ(Write(data.substr(taken)), 0u);
  MakeRoom();
  ASSERT_TRUE(writer_->Retry());
  taken += Write(data.substr(taken));
  EXPECT_EQ(taken, data.size());
  EXPECT_EQ(Text(), data);
}

TEST_F(LogWriterTest, AnEndedContainerIsNotWaitedForWithAFullDisk) {
  if (!MountSmallDisk("64k")) GTEST_SKIP() << "mounting takes root";
  plan_.set_block_when_full(true);
  Open();
  FillDisk();
  Write(std::string(30000, 'x') + "\n");
  EXPECT_TRUE(writer_->blocked());
  writer_->StopBlocking();
  EXPECT_FALSE(writer_->blocked());
  MakeRoom();
  Write("after\n");
  EXPECT_NE(Text("stderr").find("lost: no space left on device]"), std::string::npos);
}

}  // namespace
}  // namespace noded::shim
