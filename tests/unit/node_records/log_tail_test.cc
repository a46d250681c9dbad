#include "node/log_tail.h"

#include <sys/resource.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/unit/node_records/log_fixture.h"

namespace noded {
namespace {

using node::v1::LogsRequest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LogTailTest : public LogTest {
 protected:
  std::vector<std::string> Tail(int64_t lines, LogsRequest request = {}) {
    request.set_tail(lines);
    return Read(request);
  }
};

TEST_F(LogTailTest, LastLinesAcrossFiles) {
  EXPECT_THAT(Tail(5), IsEmpty()) << "no log yet";
  WriteFile(File(1), Line(1, "stdout F a") + Line(2, "stderr F b"));
  WriteFile(File(2), Line(3, "stdout F c"));
  WriteFile(File(3), "");
  EXPECT_THAT(Tail(0), IsEmpty());
  EXPECT_THAT(Tail(1), ElementsAre("out c"));
  EXPECT_THAT(Tail(2), ElementsAre("err b", "out c"));
  EXPECT_THAT(Tail(3), ElementsAre("out a", "err b", "out c"));
  EXPECT_THAT(Tail(4), ElementsAre("out a", "err b", "out c"));
  EXPECT_THAT(Tail(std::numeric_limits<int64_t>::max()), ElementsAre("out a", "err b", "out c"));
}

TEST_F(LogTailTest, ALongLineCountsOnce) {
  WriteFile(File(1),
            Line(1, "stdout F before") + Line(2, "stdout P x1 ") + Line(2, "stdout P x2 "));
  WriteFile(File(2), Line(2, "stdout F x3") + Line(3, "stdout F after"));
  EXPECT_THAT(Tail(1), ElementsAre("out after"));
  EXPECT_THAT(Tail(2), ElementsAre("out x1 ~", "out x2 ~", "out x3", "out after"));
  EXPECT_THAT(Tail(3), ElementsAre("out before", "out x1 ~", "out x2 ~", "out x3", "out after"));
}

TEST_F(LogTailTest, PartsBetweenLinesOfTheOtherStream) {
  WriteFile(File(1), Line(1, "stderr F e0") + Line(1, "stdout P o1 ") + Line(2, "stderr F e1") +
                         Line(2, "stdout P o2 ") + Line(3, "stderr F e2") + Line(3, "stdout F o3"));
  EXPECT_THAT(Tail(1), ElementsAre("out o1 ~", "out o2 ~", "out o3"));
  EXPECT_THAT(Tail(2), ElementsAre("out o1 ~", "out o2 ~", "err e2", "out o3"));
  EXPECT_THAT(Tail(3), ElementsAre("out o1 ~", "err e1", "out o2 ~", "err e2", "out o3"));
}

TEST_F(LogTailTest, AnUnfinishedLineAtTheEndCounts) {
  WriteFile(File(1), Line(1, "stdout F a") + Line(2, "stdout P b1 ") + Line(2, "stdout P b2") +
                         Time(3) + " stdout F torn");
  EXPECT_THAT(Tail(1), ElementsAre("out b1 ~", "out b2~"));
  EXPECT_THAT(Tail(2), ElementsAre("out a", "out b1 ~", "out b2~"));

  // Of a container that has ended the torn entry ends that line.
  LogsRequest request;
  request.set_tail(1);
  auto reader = OpenLogReader(directory(), request, /*complete=*/true);
  ASSERT_TRUE(reader.ok()) << reader.status();
  auto last = (*reader)->Read(/*complete=*/true);
  EXPECT_THAT(Texts({last->entries().begin(), last->entries().end()}),
              ElementsAre("out b1 ~", "out b2~", "out torn"));
  WriteFile(File(2), Line(4, "stdout F next"));
  EXPECT_THAT(Tail(2), ElementsAre("out b1 ~", "out b2~", "out torn", "out next"));
}

TEST_F(LogTailTest, CountsAfterTheOtherFilters) {
  WriteFile(File(1), Line(1, "stdout F a") + Line(2, "stdout F b") + Line(3, "stderr F c") +
                         "garbage\n" + Line(4, "stderr F d") + Line(5, "stdout F e"));
  LogsRequest out;
  out.set_stream(node::v1::LOG_STREAM_STDOUT);
  EXPECT_THAT(Tail(2, out), ElementsAre("out b", "out e"));
  LogsRequest until;
  until.mutable_until()->set_seconds(Seconds(4));
  EXPECT_THAT(Tail(2, until), ElementsAre("out b", "err c"));
  LogsRequest since;
  since.mutable_since()->set_seconds(Seconds(4));
  EXPECT_THAT(Tail(5, since), ElementsAre("err d", "out e"));
}

TEST_F(LogTailTest, WhatComesLaterFollows) {
  WriteFile(File(1), Line(1, "stdout F a") + Line(2, "stdout F b"));
  LogsRequest request;
  request.set_tail(0);
  auto none = Open(request);
  request.set_tail(1);
  auto one = Open(request);
  AppendFile(File(1), Line(3, "stdout F c"));
  WriteFile(File(2), Line(4, "stderr F d"));
  EXPECT_THAT(Drain(*none), ElementsAre("out c", "err d"));
  EXPECT_THAT(Drain(*one), ElementsAre("out b", "out c", "err d"));
}

TEST_F(LogTailTest, LongLinesAreFoundBackwards) {
  WriteFile(File(1), Line(1, "stdout F " + std::string(300'000, 'a')) +
                         Line(2, "stdout F " + std::string(1 << 20, 'b')) +
                         std::string(5 << 20, 'z') + "\n" + Line(3, "stdout F c"));
  auto tail = Tail(2);
  ASSERT_EQ(tail.size(), 2u);
  EXPECT_EQ(tail[0], "out " + std::string(1 << 20, 'b'));
  EXPECT_EQ(Tail(3).size(), 3u);
}

// By the bytes that this thread reads from the page cache or disk.
TEST_F(LogTailTest, ReadsNotTheWholeLog) {
  std::string chunk;
  for (int i = 0; i < 10000; ++i) chunk += Line(i, "stdout F some line of a big log");
  for (int file = 1; file <= 4; ++file) {
    std::string content;
    for (int i = 0; i < 10; ++i) content += chunk;
    WriteFile(File(file), content);
  }
  auto bytes_read = [] {
    std::ifstream io("/proc/thread-self/io");
    std::string key;
    int64_t value = -1;
    io >> key >> value;
    return value;
  };
  const int64_t before = bytes_read();
  if (before < 0) GTEST_SKIP() << "the kernel does not account reads";
  EXPECT_EQ(Tail(100).size(), 100u);
  EXPECT_LT(bytes_read() - before, 1 << 20);
}

}  // namespace
}  // namespace noded
