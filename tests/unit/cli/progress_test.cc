// How transfers are shown.
#include "clients/cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using node::v1::TransferProgress;
using testing::ElementsAre;
using testing::HasSubstr;

TransferChanges Change(const std::string& digest, node::v1::TransferState state, int64_t current,
                       int64_t total) {
  TransferChanges changes;
  TransferProgress& change = *changes.Add();
  change.set_digest(digest);
  change.set_state(state);
  change.set_current_bytes(current);
  change.set_total_bytes(total);
  return changes;
}

constexpr char kA[] = "sha256:aaaaaaaaaaaaaaaaaaaa";
constexpr char kB[] = "sha256:bbbbbbbbbbbbbbbbbbbb";
constexpr char kC[] = "sha256:cccccccccccccccccccc";

TEST(TransferBoardTest, NewsAreChangesOfState) {
  TransferBoard board;
  EXPECT_EQ(board.Take(Change(kA, node::v1::TRANSFER_STATE_WAITING, 0, 0)),
            "aaaaaaaaaaaa: Waiting\n");
  EXPECT_EQ(board.Take(Change(kA, node::v1::TRANSFER_STATE_DOWNLOADING, 0, 2'500'000)),
            "aaaaaaaaaaaa: Downloading 2.5MB\n");
  EXPECT_EQ(board.Take(Change(kA, node::v1::TRANSFER_STATE_DOWNLOADING, 9, 2'500'000)), "");
  EXPECT_EQ(board.Take(Change(kA, node::v1::TRANSFER_STATE_DONE, 0, 0)), "aaaaaaaaaaaa: Done\n");
}

TEST(TransferBoardTest, LinesHaveBarsAndStayWithinTheTerminal) {
  TransferBoard board;
  board.Take(Change(kA, node::v1::TRANSFER_STATE_DOWNLOADING, 500'000, 1'000'000));
  board.Take(Change(kB, node::v1::TRANSFER_STATE_UNPACKING, 7, 0));
  board.Take(Change(kC, node::v1::TRANSFER_STATE_PRESENT, 0, 0));
  EXPECT_THAT(board.Lines(66, 10),
              ElementsAre("aaaaaaaaaaaa: Downloading [==========>         ] 500kB/1MB",
                          "bbbbbbbbbbbb: Unpacking   7B", "cccccccccccc: Present"));
  EXPECT_THAT(board.Lines(40, 10)[0], "aaaaaaaaaaaa: Downloading 500kB/1MB");
  for (size_t columns : {1, 2, 10, 20, 50, 80, 300}) {
    for (const std::string& line : board.Lines(columns, 10)) {
      EXPECT_LT(line.size(), std::max<size_t>(2, columns)) << line;
    }
  }
}

TEST(TransferBoardTest, WhatIsDoneGivesWay) {
  TransferBoard board;
  board.Take(Change(kA, node::v1::TRANSFER_STATE_DONE, 0, 0));
  board.Take(Change(kB, node::v1::TRANSFER_STATE_WAITING, 0, 0));
  board.Take(Change(kC, node::v1::TRANSFER_STATE_PRESENT, 0, 0));
  EXPECT_THAT(board.Lines(80, 2), ElementsAre("2 more: Done", "bbbbbbbbbbbb: Waiting"));
  EXPECT_THAT(board.Lines(80, 1), ElementsAre("2 more: Done"));
}

TEST(TransferBoardTest, ForeignBytesDoNotReachTheTerminal) {
  TransferBoard board;
  EXPECT_EQ(board.Take(Change("\x1b[2J", node::v1::TRANSFER_STATE_DONE, -5, -5)), "?[2J: Done\n");
}

TEST(TransferViewTest, DrawsOverItselfAndNotTooOften) {
  ScopedFd out(memfd_create("out", MFD_CLOEXEC));
  absl::Time now = FakeNow();
  Io io;
  io.out = out.get();
  io.now = [&] { return now; };
  TransferView view(io, io.out, true);
  auto size = [&] { return lseek(out.get(), 0, SEEK_END); };
  EXPECT_TRUE(view.Take(Change(kA, node::v1::TRANSFER_STATE_DOWNLOADING, 1, 100)));
  const off_t first = size();
  EXPECT_TRUE(view.Take(Change(kA, node::v1::TRANSFER_STATE_DOWNLOADING, 2, 100)));
  EXPECT_EQ(size(), first) << "too soon";
  now += absl::Seconds(1);
  view.Take(Change(kA, node::v1::TRANSFER_STATE_DOWNLOADING, 50, 100));
  EXPECT_GT(size(), first);
  view.Take(Change(kA, node::v1::TRANSFER_STATE_DONE, 0, 100));
  view.Finish();
  std::string text(static_cast<size_t>(size()), '\0');
  ASSERT_EQ(pread(out.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  EXPECT_THAT(text, HasSubstr("1B/100B\x1b[K\n\x1b[J\r\x1b[1A"));
  EXPECT_THAT(text, testing::EndsWith("\r\x1b[1Aaaaaaaaaaaaa: Done        100B\x1b[K\n\x1b[J"));
}

}  // namespace
}  // namespace noded::cli
