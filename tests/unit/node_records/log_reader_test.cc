#include "node/log_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/unit/node_records/log_fixture.h"

namespace noded {
namespace {

namespace fs = std::filesystem;
using node::v1::LogEntry;
using node::v1::LogsRequest;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

class LogReaderTest : public LogTest {};

TEST_F(LogReaderTest, NoLogYetReadsAsEmptyAndThenFromItsBeginning) {
  auto reader = Open();
  EXPECT_THAT(Drain(*reader), IsEmpty());
  fs::create_directory(directory());
  EXPECT_THAT(Drain(*reader), IsEmpty());
  WriteFile(File(1), Line(1, "stdout F one"));
  EXPECT_THAT(Drain(*reader), ElementsAre("out one"));
  AppendFile(File(1), Line(2, "stderr F two"));
  EXPECT_THAT(Drain(*reader), ElementsAre("err two"));
  EXPECT_THAT(Drain(*reader), IsEmpty());
}

TEST_F(LogReaderTest, FilesAreReadInTheOrderOfTheirNumbers) {
  WriteFile(File(9), Line(1, "stdout F nine"));
  WriteFile(File(10), Line(2, "stdout F ten"));
  WriteFile(File(11), Line(3, "stdout F eleven"));
  WriteFile(directory() + "/0000000008.log.gz", Line(0, "stdout F other"));
  WriteFile(directory() + "/12.log", Line(0, "stdout F other"));
  WriteFile(directory() + "/000000001x.log", Line(0, "stdout F other"));
  EXPECT_THAT(Read(), ElementsAre("out nine", "out ten", "out eleven"));
}

TEST_F(LogReaderTest, ALineWithoutItsNewlineIsNotThereYet) {
  WriteFile(File(1), Line(1, "stdout F one") + Time(2) + " stdout F tw");
  auto reader = Open();
  EXPECT_THAT(Drain(*reader), ElementsAre("out one"));
  AppendFile(File(1), "o");
  EXPECT_THAT(Drain(*reader), IsEmpty());
  AppendFile(File(1), "\n");
  EXPECT_THAT(Drain(*reader), ElementsAre("out two"));
}

// A writer whose disk is full takes a half-written entry back and goes on with another.
TEST_F(LogReaderTest, AnUnfinishedLineMayBeTakenBack) {
  WriteFile(File(1), Line(1, "stdout F one"));
  const size_t whole = fs::file_size(File(1));
  AppendFile(File(1), Time(2) + " stdout F never finish");
  auto reader = Open();
  EXPECT_THAT(Drain(*reader), ElementsAre("out one"));
  fs::resize_file(File(1), whole);
  AppendFile(File(1), Line(3, "stderr F [noded: 1 line lost]"));
  EXPECT_THAT(Drain(*reader), ElementsAre("err [noded: 1 line lost]"));
}

TEST_F(LogReaderTest, TornAndForeignLinesAreSkipped) {
  WriteFile(File(1), Line(1, "stdout F one") + "2024-03-01T00:0\n" + "\n" + "garbage\n" +
                         std::string(1000, '\0') + "\n" + Line(2, "stdout F two") + Time(3) +
                         " stdout F torn without newline");
  WriteFile(File(2), Line(4, "stdout F three"));
  EXPECT_THAT(Read(), ElementsAre("out one", "out two", "out torn without newline", "out three"))
      << "the writer never comes back to a file that has a successor";
}

// A supervisor was killed in the middle of an entry. What its next one writes follows.
TEST_F(LogReaderTest, TornTailOfAnEndedContainerIsTakenOnceAsItIs) {
  WriteFile(File(1), Line(1, "stdout F one") + Time(2) + " stdout P la");
  auto reader = Open();
  EXPECT_THAT(Drain(*reader), ElementsAre("out one"));
  auto last = reader->Read(/*complete=*/true);
  ASSERT_TRUE(last.ok()) << last.status();
  ASSERT_EQ(last->entries_size(), 1);
  EXPECT_EQ(Text(last->entries(0)), "out la~");
  EXPECT_EQ(reader->Read(/*complete=*/true)->entries_size(), 0);
  LogsRequest request;
  request.set_cursor(last->entries(0).cursor());
  EXPECT_THAT(Read(request), IsEmpty());
  AppendFile(File(1), "\n" + Line(3, "stdout F again"));
  EXPECT_THAT(Drain(*reader), ElementsAre("out again"));
  EXPECT_THAT(Read(request), ElementsAre("out again"));

  AppendFile(File(1), "2024-03-01T0");  // its head is not whole
  EXPECT_EQ(reader->Read(/*complete=*/true)->entries_size(), 0);
  AppendFile(File(1), "\n" + Line(4, "stdout F more"));
  EXPECT_THAT(Drain(*reader), ElementsAre("out more"));
}

TEST_F(LogReaderTest, LongLinesBinaryBytesAndPartsAreKeptExactly) {
  std::string binary;
  for (int i = 0; i < 256; ++i) {
    if (i != '\n') binary.push_back(static_cast<char>(i));
  }
  const std::string long_line(1 << 20, 'x');
  std::string content = Line(1, "stdout F " + long_line) + Line(2, "stdout F " + binary);
  for (int i = 0; i < 64; ++i) content += Line(3, "stdout P " + std::string(16384, 'y'));
  content += Line(3, "stdout F ") + Line(4, "stderr P no newline at the end");
  WriteFile(File(1), content);
  auto entries = ReadEntries(*Open());
  ASSERT_EQ(entries.size(), 2u + 65u + 1u);
  EXPECT_EQ(entries[0].line(), long_line);
  EXPECT_EQ(entries[1].line(), binary);
  for (int i = 2; i < 66; ++i) EXPECT_TRUE(entries[i].partial());
  EXPECT_FALSE(entries[66].partial());
  EXPECT_EQ(entries[66].line(), "");
  EXPECT_EQ(Text(entries[67]), "err no newline at the end~");
}

TEST_F(LogReaderTest, AnEndlessLineIsSkippedWithBoundedMemory) {
  WriteFile(File(1), Line(1, "stdout F one") + Line(2, "stdout F " + std::string(9 << 20, 'z')) +
                         Line(3, "stdout F two"));
  EXPECT_THAT(Read(), ElementsAre("out one", "out two"));
  // Also when it is found unfinished, and finished later.
  WriteFile(File(2), Line(4, "stdout F three") + std::string(5 << 20, 'z'));
  auto reader = Open();
  EXPECT_THAT(Drain(*reader), ElementsAre("out one", "out two", "out three"));
  AppendFile(File(2), "zz\n" + Line(5, "stdout F four"));
  EXPECT_THAT(Drain(*reader), ElementsAre("out four"));
}

TEST_F(LogReaderTest, MessagesAreBounded) {
  std::string content;
  for (int i = 0; i < 20000; ++i) content += Line(i, absl::StrCat("stdout F ", i));
  for (int i = 0; i < 20000; ++i) content += Line(i, "stdout F ");
  WriteFile(File(1), content);
  auto reader = Open();
  int entries = 0, messages = 0;
  while (true) {
    auto response = reader->Read();
    ASSERT_TRUE(response.ok());
    if (response->entries_size() == 0) break;
    EXPECT_LE(response->ByteSizeLong(), 512u << 10);
    entries += response->entries_size();
    ++messages;
  }
  EXPECT_EQ(entries, 40000);
  EXPECT_GT(messages, 5);
}

TEST_F(LogReaderTest, FiltersByTimeAndStream) {
  WriteFile(File(1), Line(10, "stdout F a") + Line(20, "stderr F b") + Line(30, "stdout F c"));
  // The clock was set back in between: what matters is each line's own time.
  WriteFile(File(2), Line(15, "stdout F d") + Line(40, "stderr F e"));
  auto read = [&](int since, int until, node::v1::LogStream stream) {
    LogsRequest request;
    if (since >= 0) request.mutable_since()->set_seconds(Seconds(since));
    if (until >= 0) request.mutable_until()->set_seconds(Seconds(until));
    request.set_stream(stream);
    return Read(request);
  };
  constexpr auto kBoth = node::v1::LOG_STREAM_UNSPECIFIED;
  EXPECT_THAT(read(-1, -1, node::v1::LOG_STREAM_STDOUT), ElementsAre("out a", "out c", "out d"));
  EXPECT_THAT(read(-1, -1, node::v1::LOG_STREAM_STDERR), ElementsAre("err b", "err e"));
  EXPECT_THAT(read(20, -1, kBoth), ElementsAre("err b", "out c", "err e")) << "since includes";
  EXPECT_THAT(read(-1, 20, kBoth), ElementsAre("out a", "out d")) << "until excludes";
  EXPECT_THAT(read(15, 31, kBoth), ElementsAre("err b", "out c", "out d"));
  EXPECT_THAT(read(15, 31, node::v1::LOG_STREAM_STDERR), ElementsAre("err b"));
  EXPECT_THAT(read(50, -1, kBoth), IsEmpty());
}

TEST_F(LogReaderTest, BadRequestsNameEveryField) {
  LogsRequest request;
  request.set_cursor("1:x");
  request.set_tail(-1);
  request.mutable_since()->set_nanos(-1);
  request.mutable_until()->set_seconds(999999999999999);
  request.set_stream(static_cast<node::v1::LogStream>(7));
  absl::Status status = OpenLogReader(directory(), request).status();
  EXPECT_THAT(status, AllOf(HasCode(absl::StatusCode::kInvalidArgument), NamesField("cursor"),
                            NamesField("tail"), NamesField("since"), NamesField("until"),
                            NamesField("stream")));
}

// --- cursors
// --------------------------------------------------------------------------------------

// The promise itself: from the cursor of every entry of a log of several files, exactly the rest.
TEST_F(LogReaderTest, CursorOfEveryEntryResumesExactly) {
  int line = 0;
  for (int file = 3; file <= 6; ++file) {
    std::string content = file == 5 ? "torn line of a crash\n" : "";
    for (int i = 0; i < 25; ++i, ++line) {
      content += Line(line, absl::StrCat(line % 3 ? "stdout" : "stderr", line % 4 ? " F " : " P ",
                                         "line ", line, std::string(line % 7 * 10, '.')));
    }
    WriteFile(File(file), content);
  }
  const auto all = ReadEntries(*Open());
  ASSERT_EQ(all.size(), 100u);
  for (size_t i = 0; i < all.size(); ++i) {
    LogsRequest request;
    request.set_cursor(all[i].cursor());
    auto rest = ReadEntries(*Open(request));
    ASSERT_EQ(rest.size(), all.size() - i - 1) << "after entry " << i;
    for (size_t j = 0; j < rest.size(); ++j) {
      ASSERT_EQ(rest[j].SerializeAsString(), all[i + 1 + j].SerializeAsString());
    }
  }
}

TEST_F(LogReaderTest, CursorOfAFileThatIsGoneGoesOnAtTheOldestWithAGap) {
  for (int file = 1; file <= 3; ++file) {
    WriteFile(File(file), Line(file, absl::StrCat("stdout F a", file)) +
                              Line(file, absl::StrCat("stdout F b", file)));
  }
  LogsRequest request;
  request.set_cursor(ReadEntries(*Open())[0].cursor());
  EXPECT_THAT(Read(request), ElementsAre("out b1", "out a2", "out b2", "out a3", "out b3"));
  fs::remove(File(1));
  EXPECT_THAT(Read(request), ElementsAre("!out a2", "out b2", "out a3", "out b3"));
}

TEST_F(LogReaderTest, CursorThatIsNotOfThisLogIsRefused) {
  WriteFile(File(2), Line(1, "stdout F one"));
  const size_t size = fs::file_size(File(2));
  for (const std::string& cursor :
       {std::string("2:1"), absl::StrCat("2:", size - 2), absl::StrCat("2:", size + 1),
        std::string("3:0"), std::string("9999999999:0")}) {
    LogsRequest request;
    request.set_cursor(cursor);
    EXPECT_THAT(OpenLogReader(directory(), request).status(),
                AllOf(HasCode(absl::StatusCode::kInvalidArgument), NamesField("cursor")))
        << cursor;
  }
  LogsRequest end;
  end.set_cursor(absl::StrCat("2:", size));
  EXPECT_THAT(Read(end), IsEmpty());
  fs::remove_all(directory());
  EXPECT_THAT(OpenLogReader(directory(), end).status(), NamesField("cursor"));
}

TEST_F(LogReaderTest, CursorExcludesSinceAndTail) {
  LogsRequest request;
  request.set_cursor("1:0");
  request.set_tail(1);
  request.mutable_since()->set_seconds(1);
  EXPECT_THAT(OpenLogReader(directory(), request).status(),
              AllOf(NamesField("tail"), NamesField("since")));
}

// --- rotation while reading
// -----------------------------------------------------------------------

TEST_F(LogReaderTest, ReadsAFileToItsEndBeforeTheNext) {
  WriteFile(File(1), Line(1, "stdout F one"));
  auto reader = Open();
  EXPECT_THAT(Drain(*reader), ElementsAre("out one"));
  // Written between the reader's last look and the rotation.
  AppendFile(File(1), Line(2, "stdout F two"));
  WriteFile(File(2), Line(3, "stdout F three"));
  EXPECT_THAT(Drain(*reader), ElementsAre("out two", "out three"));
}

TEST_F(LogReaderTest, AFileThatIsRemovedWhileItIsReadIsReadToItsEnd) {
  WriteFile(File(1), Line(1, "stdout F one"));
  auto reader = Open();
  EXPECT_THAT(Drain(*reader), ElementsAre("out one"));
  AppendFile(File(1), Line(2, "stdout F two"));
  fs::remove(File(1));
  WriteFile(File(2), Line(3, "stdout F three"));
  EXPECT_THAT(Drain(*reader), ElementsAre("out two", "out three")) << "no gap: nothing was lost";
}

TEST_F(LogReaderTest, AReaderThatWasOvertakenByRotationSeesAGap) {
  WriteFile(File(1), Line(1, "stdout F one"));
  auto reader = Open();
  EXPECT_THAT(Drain(*reader), ElementsAre("out one"));
  fs::remove(File(1));
  EXPECT_THAT(Drain(*reader), IsEmpty());
  WriteFile(File(4), Line(4, "stdout F four") + Line(5, "stdout F five"));
  EXPECT_THAT(Drain(*reader), ElementsAre("!out four", "out five"));
}

// A writer that rotates all the time and keeps enough: a reader beside it sees every line once, in
// order, wherever it resumes.
TEST_F(LogReaderTest, NothingIsLostOrRepeatedBesideARotatingWriter) {
  constexpr int kLines = 20000;
  fs::create_directory(directory());
  std::thread writer([&] {
    int file = 1;
    int fd = open(File(1).c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    for (int i = 0; i < kLines; ++i) {
      const std::string line = Line(i % 86400, absl::StrCat("stdout F ", i));
      const size_t half = i % line.size();  // writes are torn for the reader
      ASSERT_EQ(write(fd, line.data(), half), static_cast<ssize_t>(half));
      ASSERT_EQ(write(fd, line.data() + half, line.size() - half),
                static_cast<ssize_t>(line.size() - half));
      if (i % 97 == 96) {
        close(fd);
        fd = open(File(++file).c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
      }
    }
    close(fd);
  });
  int next = 0;
  auto reader = Open();
  while (next < kLines) {
    auto response = reader->Read();
    ASSERT_TRUE(response.ok()) << response.status();
    for (const LogEntry& entry : response->entries()) {
      ASSERT_EQ(entry.line(), absl::StrCat(next++));
      ASSERT_FALSE(entry.gap());
    }
    if (response->entries_size() > 0 && next % 3 == 0) {
      LogsRequest request;
      request.set_cursor(response->entries().rbegin()->cursor());
      reader = Open(request);
    }
  }
  writer.join();
  EXPECT_THAT(Drain(*reader), IsEmpty());
}

}  // namespace
}  // namespace noded
