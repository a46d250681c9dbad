#include "node/base/socket.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/stat.h>

#include "node/base/file.h"
#include "tests/unit/base/scratch.h"

namespace noded {
namespace {

class SocketTest : public ScratchTest {
 protected:
  SocketTest() { dir_fd_ = *OpenAt(AT_FDCWD, dir_, O_RDONLY | O_DIRECTORY); }

  static bool Readable(int fd) {
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&entry, 1, 5000) == 1;
  }
  static UniqueFd Accept(int listener) {
    EXPECT_TRUE(Readable(listener));
    return UniqueFd(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  }

  UniqueFd dir_fd_;
};

TEST_F(SocketTest, ListenConnectAndKeepPacketsApart) {
  auto listener = ListenSeqpacket(dir_fd_.get(), "socket");
  ASSERT_TRUE(listener.ok()) << listener.status();
  auto client = ConnectSeqpacket(dir_fd_.get(), "socket");
  ASSERT_TRUE(client.ok()) << client.status();
  UniqueFd server = Accept(listener->get());
  ASSERT_TRUE(SendPacket(client->get(), "one").ok());
  ASSERT_TRUE(SendPacket(client->get(), "two").ok());
  EXPECT_EQ(ReceivePacket(server.get())->message, "one");
  EXPECT_EQ(ReceivePacket(server.get())->message, "two");
  EXPECT_TRUE(absl::IsUnavailable(ReceivePacket(server.get()).status())) << "would block";
  EXPECT_EQ(fcntl(client->get(), F_GETFD), FD_CLOEXEC);
  EXPECT_TRUE(fcntl(client->get(), F_GETFL) & O_NONBLOCK);
}

TEST_F(SocketTest, FileIsForTheOwnerAloneWhateverTheUmask) {
  mode_t before = umask(0);
  auto listener = ListenSeqpacket(dir_fd_.get(), "socket");
  umask(before);
  struct stat info;
  ASSERT_EQ(stat(Path("socket").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(SocketTest, LongDirectoryNamesDoNotMatter) {
  std::string deep = Path(std::string(200, 'd') + "/" + std::string(200, 'e'));
  ASSERT_TRUE(MakeDirs(deep).ok());
  auto dir = OpenAt(AT_FDCWD, deep, O_RDONLY | O_DIRECTORY);
  auto listener = ListenSeqpacket(dir->get(), "socket");
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_TRUE(ConnectSeqpacket(dir->get(), "socket").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(ListenSeqpacket(dir->get(), std::string(120, 'n')).status()));
}

TEST_F(SocketTest, NobodyListeningIsUnavailableAndAStaleFileIsReplaced) {
  EXPECT_TRUE(absl::IsUnavailable(ConnectSeqpacket(dir_fd_.get(), "socket").status()));
  { auto ended = ListenSeqpacket(dir_fd_.get(), "socket"); }
  EXPECT_TRUE(Exists("socket"));
  EXPECT_TRUE(absl::IsUnavailable(ConnectSeqpacket(dir_fd_.get(), "socket").status()));
  auto listener = ListenSeqpacket(dir_fd_.get(), "socket");
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_TRUE(ConnectSeqpacket(dir_fd_.get(), "socket").ok());
}

TEST_F(SocketTest, DescriptorsTravelAndCloseOnExec) {
  auto pair = SocketPair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair.ok());
  auto first = SealedMemfd("first", "1st");
  auto second = SealedMemfd("second", "2nd");
  ASSERT_TRUE(SendPacket(pair->first.get(), "both", {first->get(), second->get()}).ok());
  auto packet = ReceivePacket(pair->second.get());
  ASSERT_TRUE(packet.ok()) << packet.status();
  EXPECT_EQ(packet->message, "both");
  ASSERT_EQ(packet->fds.size(), 2u);
  EXPECT_EQ(*ReadHeld(packet->fds[0].get()), "1st");
  EXPECT_EQ(*ReadHeld(packet->fds[1].get()), "2nd");
  EXPECT_EQ(fcntl(packet->fds[0].get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(SocketTest, MostDescriptorsAndLargestMessage) {
  auto pair = SocketPair(SOCK_SEQPACKET);
  std::string message(kMaxPacketBytes, 'x');
  std::vector<int> fds(kMaxFds, dir_fd_.get());
  ASSERT_TRUE(SendPacket(pair->first.get(), message, fds).ok());
  auto packet = ReceivePacket(pair->second.get());
  ASSERT_TRUE(packet.ok()) << packet.status();
  EXPECT_EQ(packet->message, message);
  EXPECT_EQ(packet->fds.size(), kMaxFds);
  EXPECT_TRUE(absl::IsResourceExhausted(SendPacket(pair->first.get(), message + "x")));
  fds.push_back(dir_fd_.get());
  EXPECT_TRUE(absl::IsResourceExhausted(SendPacket(pair->first.get(), "x", fds)));
}

TEST_F(SocketTest, EmptyMessageWithADescriptorIsNoEnd) {
  auto pair = SocketPair(SOCK_SEQPACKET);
  EXPECT_TRUE(absl::IsInvalidArgument(SendPacket(pair->first.get(), "")));
  ASSERT_TRUE(SendPacket(pair->first.get(), "", {dir_fd_.get()}).ok());
  EXPECT_EQ(ReceivePacket(pair->second.get())->fds.size(), 1u);
}

TEST_F(SocketTest, EndOfFileIsAnEmptyPacket) {
  auto pair = SocketPair(SOCK_SEQPACKET);
  ASSERT_TRUE(SendPacket(pair->second.get(), "never read").ok());
  pair->first.Reset();
  auto packet = ReceivePacket(pair->second.get());
  ASSERT_TRUE(packet.ok()) << packet.status();
  EXPECT_TRUE(packet->message.empty() && packet->fds.empty());
  EXPECT_TRUE(absl::IsUnavailable(SendPacket(pair->second.get(), "x"))) << "and no SIGPIPE";
}

TEST_F(SocketTest, FullQueueIsUnavailable) {
  auto pair = SocketPair(SOCK_SEQPACKET | SOCK_NONBLOCK);
  absl::Status sent;
  for (int i = 0; i < 10'000 && sent.ok(); ++i) sent = SendPacket(pair->first.get(), "x");
  EXPECT_TRUE(absl::IsUnavailable(sent)) << sent;
}

}  // namespace
}  // namespace noded
