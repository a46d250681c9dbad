#include "node/shim/attachments.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "gtest/gtest.h"
#include "node/base/file.h"
#include "node/base/socket.h"

namespace noded::shim {
namespace {

using std::chrono::milliseconds;

// A loop, the container's input as a pipe, and clients as the other ends of sockets.
class AttachmentsTest : public testing::Test {
 protected:
  AttachmentsTest() : input_(loop_), attachments_(loop_, input_), buffer_(1 << 17) {
    attachments_.UseBuffer(buffer_);
  }
  UniqueFd Attach() {
    std::pair<UniqueFd, UniqueFd> pair = *SocketPair(SOCK_SEQPACKET);
    EXPECT_TRUE(attachments_.Add(std::move(pair.second)));
    EXPECT_TRUE(SetNonblocking(pair.first.get()).ok());
    return std::move(pair.first);
  }
  void StartInput() {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    pipe_.Reset(ends[0]);
    input_.Start(UniqueFd(ends[1]), false);
  }
  void RunFor(milliseconds time) {
    loop_.After(time, [this] { loop_.Stop(); });
    loop_.Run();
  }
  // "1:text" of the next frame, "" if there is none.
  static std::string Frame(const UniqueFd& socket) {
    absl::StatusOr<Packet> packet = ReceivePacket(socket.get());
    if (!packet.ok()) return "";
    if (packet->message.empty()) return "closed";
    return std::to_string(packet->message[0]) + ":" + packet->message.substr(1);
  }
  std::string Piped() {
    char buffer[1 << 17];
    ssize_t got = read(pipe_.get(), buffer, sizeof(buffer));
    if (got == 0) return "(end)";
    return got < 0 ? "" : std::string(buffer, static_cast<size_t>(got));
  }

  EventLoop loop_;
  Input input_;
  Attachments attachments_;
  Scratch buffer_;
  UniqueFd pipe_;
};

TEST_F(AttachmentsTest, AllGetWhatIsSentAndTheEnd) {
  UniqueFd first = Attach(), second = Attach();
  attachments_.Send(Stream::kOutput, "out");
  attachments_.Send(Stream::kError, "err");
  attachments_.End();
  for (const UniqueFd* client : {&first, &second}) {
    EXPECT_EQ(Frame(*client), "1:out");
    EXPECT_EQ(Frame(*client), "2:err");
    EXPECT_EQ(Frame(*client), "4:");
    EXPECT_EQ(Frame(*client), "");
  }
  EXPECT_TRUE(attachments_.flushed());
}

TEST_F(AttachmentsTest, WhoComesAfterTheEndIsToldAtOnce) {
  attachments_.End();
  UniqueFd late = Attach();
  EXPECT_EQ(Frame(late), "4:");
}

TEST_F(AttachmentsTest, ASlowClientIsWaitedForOnceAndThenToldWhatItMissed) {
  UniqueFd slow = Attach();
  const std::string frame(Attachments::kMaxPayload, 'x');
  size_t sent = 0;
  while (!attachments_.waiting()) {
    attachments_.Send(Stream::kOutput, frame);
    sent += frame.size();
    ASSERT_LT(sent, 100u << 20) << "its socket has no bound";
  }
  RunFor(milliseconds(700));
  EXPECT_FALSE(attachments_.waiting());
  attachments_.Send(Stream::kOutput, frame);
  EXPECT_FALSE(attachments_.waiting()) << "waited for a second time";
  sent += frame.size();
  attachments_.End();
  EXPECT_TRUE(attachments_.flushed()) << "who never reads would hold up the supervisor's end";
  size_t got = 0;
  uint64_t missed = 0;
  for (std::string next; (next = Frame(slow)) != "4:"; RunFor(milliseconds(1))) {
    if (next.starts_with("1:")) got += next.size() - 2;
    if (next.starts_with("3:")) {
      for (int i = 7; i >= 0; --i) missed = missed << 8 | static_cast<uint8_t>(next[2 + i]);
    }
  }
  EXPECT_EQ(missed, 2 * frame.size());
  EXPECT_EQ(got + missed, sent);
  EXPECT_TRUE(attachments_.flushed());
}

TEST_F(AttachmentsTest, OneThatReadsNoMoreIsLeftTheCountAndTheEnd) {
  UniqueFd stuck = Attach();
  const std::string frame(Attachments::kMaxPayload, 'x');
  size_t sent = 0;
  while (!attachments_.waiting()) {
    attachments_.Send(Stream::kOutput, frame);
    sent += frame.size();
  }
  attachments_.Send(Stream::kOutput, "missed");
  sent += strlen("missed");
  // While a frame is held for it.
  attachments_.End();
  EXPECT_TRUE(attachments_.flushed());
  EXPECT_FALSE(attachments_.waiting());
  size_t got = 0;
  std::string next;
  while ((next = Frame(stuck)).starts_with("1:")) got += next.size() - 2;
  EXPECT_EQ(next, std::string("3:\6\0\0\0\0\0\0\0", 10));
  EXPECT_EQ(got + strlen("missed"), sent);
  EXPECT_EQ(Frame(stuck), "4:");
}

TEST_F(AttachmentsTest, OneThatGoesDoesNotStopTheOthers) {
  UniqueFd gone = Attach(), stays = Attach();
  gone.Reset();
  attachments_.Send(Stream::kOutput, "on");
  EXPECT_EQ(Frame(stays), "1:on");
}

TEST_F(AttachmentsTest, InputWaitsForTheStart) {
  UniqueFd client = Attach();
  ASSERT_TRUE(SendPacket(client.get(), "\5early").ok());
  RunFor(milliseconds(10));
  StartInput();
  RunFor(milliseconds(10));
  EXPECT_EQ(Piped(), "early");
}

TEST_F(AttachmentsTest, InputOfAClientThatHasGoneStillArrives) {
  {
    UniqueFd client = Attach();
    ASSERT_TRUE(SendPacket(client.get(), "\5one").ok());
    ASSERT_TRUE(SendPacket(client.get(), "\5two").ok());
  }
  RunFor(milliseconds(10));
  StartInput();
  RunFor(milliseconds(10));
  EXPECT_EQ(Piped(), "onetwo");
}

TEST_F(AttachmentsTest, AFullPipeHoldsTheSenderAndLosesNothing) {
  StartInput();
  UniqueFd client = Attach();
  size_t sent = 0, got = 0;
  const std::string frame = "\5" + std::string(50000, 'i');
  for (int round = 0; round < 1000 && got < 3000000; ++round) {
    while (sent < 3000000 && SendPacket(client.get(), frame).ok()) sent += frame.size() - 1;
    RunFor(milliseconds(1));
    got += Piped().size();
  }
  EXPECT_EQ(sent, 3000000u);
  EXPECT_EQ(got, sent);
}

TEST_F(AttachmentsTest, ClosedInputIsTheEnd) {
  StartInput();
  UniqueFd client = Attach();
  ASSERT_TRUE(SendPacket(client.get(), "\5last").ok());
  ASSERT_TRUE(SendPacket(client.get(), "\6").ok());
  RunFor(milliseconds(10));
  EXPECT_EQ(Piped(), "last");
  EXPECT_EQ(Piped(), "(end)");
  // What comes after it is thrown away.
  ASSERT_TRUE(SendPacket(client.get(), "\5more").ok());
  RunFor(milliseconds(10));
}

TEST_F(AttachmentsTest, InputOnceEndsWithTheFirstSenderOnly) {
  attachments_.EndInputWithFirst(true);
  StartInput();
  UniqueFd watcher = Attach(), sender = Attach();
  ASSERT_TRUE(SendPacket(sender.get(), "\5x").ok());
  RunFor(milliseconds(10));
  EXPECT_EQ(Piped(), "x");
  watcher.Reset();
  RunFor(milliseconds(10));
  EXPECT_EQ(Piped(), "");
  sender.Reset();
  RunFor(milliseconds(10));
  EXPECT_EQ(Piped(), "(end)");
}

TEST_F(AttachmentsTest, UnknownFramesAreIgnored) {
  StartInput();
  UniqueFd client = Attach();
  ASSERT_TRUE(SendPacket(client.get(), "\x7f of a later version").ok());
  ASSERT_TRUE(SendPacket(client.get(), "\5fine").ok());
  RunFor(milliseconds(10));
  EXPECT_EQ(Piped(), "fine");
}

TEST_F(AttachmentsTest, AreBounded) {
  std::vector<UniqueFd> clients;
  for (size_t i = 0; i < Attachments::kMaxAttachments; ++i) clients.push_back(Attach());
  std::pair<UniqueFd, UniqueFd> pair = *SocketPair(SOCK_SEQPACKET);
  EXPECT_FALSE(attachments_.Add(std::move(pair.second)));
}

}  // namespace
}  // namespace noded::shim
