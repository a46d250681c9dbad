#include "server/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/unique_fd.h"

namespace noded::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

UniqueFd Connect(const Listener& listener) {
  UniqueFd fd(::socket(listener.is_unix() ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un un = {.sun_family = AF_UNIX};
  listener.path.copy(un.sun_path, sizeof(un.sun_path) - 1);
  sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(listener.port))};
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connected = listener.is_unix()
                            ? ::connect(fd.get(), reinterpret_cast<sockaddr*>(&un), sizeof(un))
                            : ::connect(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof(in));
  EXPECT_EQ(connected, 0) << listener.Address();
  return fd;
}

std::string ReadAll(int fd) {
  std::string all;
  char bytes[65536];
  ssize_t count;
  while ((count = ::recv(fd, bytes, sizeof(bytes), 0)) > 0) {
    all.append(bytes, static_cast<size_t>(count));
  }
  return all;
}

std::string Fetch(const Listener& listener, const std::string& request) {
  const UniqueFd fd = Connect(listener);
  EXPECT_EQ(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  return ReadAll(fd.get());
}

constexpr char kScrape[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

class MetricsServerTest : public ::testing::Test {
 protected:
  MetricsServerTest() {
    std::string directory = ::testing::TempDir() + "noded-metrics-XXXXXX";
    directory_ = ::mkdtemp(directory.data());
  }
  ~MetricsServerTest() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }
  void Serve(const Listener& where) {
    auto socket = OpenMetricsSocket(where);
    ASSERT_TRUE(socket.ok()) << socket.status();
    listener_ = socket->listener;
    auto server = MetricsServer::Start(*std::move(socket), [this] { return text_; });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  std::string directory_;
  std::string text_ = "up 1\n";
  Listener listener_;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, ServesOnAPortThatWasChosen) {
  Serve({.host = "127.0.0.1", .port = 0});
  EXPECT_NE(listener_.port, 0);
  const std::string answer = Fetch(listener_, kScrape);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nup 1\n"));
  EXPECT_THAT(Fetch(listener_, "GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Fetch(listener_, "POST /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
}

TEST_F(MetricsServerTest, AUnixSocketIsRootsAloneAndGoesWithTheServer) {
  const std::string path = directory_ + "/m.sock";
  Serve({.path = path});
  struct stat info;
  ASSERT_EQ(::lstat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0660u);
  EXPECT_THAT(Fetch(listener_, kScrape), EndsWith("up 1\n"));
  const auto second = OpenMetricsSocket({.path = path});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another process listens there"));
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(MetricsServerTest, ATakenPortIsToldWithAddressAndFlag) {
  Serve({.host = "127.0.0.1", .port = 0});
  const auto second = OpenMetricsSocket(listener_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string message(second.status().message());
  EXPECT_THAT(message, HasSubstr("--metrics-listen: listen on " + listener_.Address()));
  EXPECT_THAT(message, HasSubstr("address already in use"));
  const auto foreign = OpenMetricsSocket({.host = "192.0.2.1", .port = 1});
  EXPECT_EQ(foreign.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(foreign.status().message()), HasSubstr("192.0.2.1:1"));
}

TEST_F(MetricsServerTest, ALargeTextArrivesWhole) {
  text_ = std::string(8 << 20, 'x');
  Serve({.host = "127.0.0.1", .port = 0});
  const std::string answer = Fetch(listener_, kScrape);
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, text_.size());
}

TEST_F(MetricsServerTest, ARequestMayComeInPieces) {
  Serve({.path = directory_ + "/m.sock"});
  const UniqueFd fd = Connect(listener_);
  for (const char byte : std::string(kScrape)) {
    ASSERT_EQ(::send(fd.get(), &byte, 1, MSG_NOSIGNAL), 1);
  }
  EXPECT_THAT(ReadAll(fd.get()), EndsWith("up 1\n"));
}

TEST_F(MetricsServerTest, MoreConnectionsThanItTakesWaitForOthersToEnd) {
  Serve({.path = directory_ + "/m.sock"});
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 16; ++i) idle.push_back(Connect(listener_));
  const UniqueFd waiting = Connect(listener_);
  ASSERT_EQ(::send(waiting.get(), kScrape, sizeof(kScrape) - 1, MSG_NOSIGNAL),
            static_cast<ssize_t>(sizeof(kScrape) - 1));
  idle.clear();
  EXPECT_THAT(ReadAll(waiting.get()), EndsWith("up 1\n"));
}

TEST_F(MetricsServerTest, EndsWithConnectionsOpen) {
  Serve({.path = directory_ + "/m.sock"});
  const UniqueFd idle = Connect(listener_);
  EXPECT_THAT(Fetch(listener_, kScrape), EndsWith("up 1\n"));
  server_.reset();
  EXPECT_EQ(ReadAll(idle.get()), "");
}

}  // namespace
}  // namespace noded::server
