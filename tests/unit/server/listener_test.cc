#include "server/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "node/base/unique_fd.h"
#include "server/notify.h"

namespace noded::server {
namespace {

using ::testing::HasSubstr;

TEST(ParseListener, TakesUnixAndTcp) {
  const struct {
    const char* text;
    Listener want;
    const char* address;
  } kCases[] = {
      {"unix:///run/n.sock", {.path = "/run/n.sock"}, "unix:///run/n.sock"},
      {"10.1.2.3:7000", {.host = "10.1.2.3", .port = 7000}, "10.1.2.3:7000"},
      {"[::1]:7000", {.host = "::1", .port = 7000}, "[::1]:7000"},
      {"node-1.lab:65535", {.host = "node-1.lab", .port = 65535}, "node-1.lab:65535"},
      {"localhost:0", {.host = "127.0.0.1", .port = 0}, "127.0.0.1:0"},
  };
  for (const auto& c : kCases) {
    const auto listener = ParseListener(c.text);
    ASSERT_TRUE(listener.ok()) << listener.status();
    EXPECT_EQ(*listener, c.want);
    EXPECT_EQ(listener->Address(), c.address);
  }
}

TEST(ParseListener, RefusesTheRest) {
  for (const std::string text : {"",
                                 "unix:",
                                 "unix://",
                                 "unix:///",
                                 "unix://relative",
                                 "unix:/run/n.sock",
                                 "unix:///dir/",
                                 "unix:///a%20b",
                                 "unix:///a b",
                                 "unix:///a?b",
                                 "unix-abstract:name",
                                 "host",
                                 ":7000",
                                 "host:",
                                 "host:65536",
                                 "host:-1",
                                 "host:7x",
                                 "::1:7000",
                                 "[::1]",
                                 "[::g]:1",
                                 "[host]:1",
                                 "dns:///host:1",
                                 "a b:1",
                                 "ipv4:127.0.0.1:80"}) {
    const auto listener = ParseListener(text);
    EXPECT_EQ(listener.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(listener.status().message()), HasSubstr("\"" + text + "\""));
  }
  EXPECT_FALSE(ParseListener("unix:///" + std::string(107, 'x')).ok()) << "sun_path has 108 bytes";
  EXPECT_TRUE(ParseListener("unix:///" + std::string(106, 'x')).ok());
}

TEST(CheckTransport, PlainTcpIsForLoopbackAlone) {
  const struct {
    const char* address;
    bool tls, insecure, allowed;
  } kCases[] = {
      {"unix:///a", false, false, true},   {"10.0.0.1:1", true, false, true},
      {"127.0.0.1:1", true, false, true},  {"127.0.0.1:1", false, false, false},
      {"127.0.0.1:1", false, true, true},  {"127.9.9.9:1", false, true, true},
      {"[::1]:1", false, true, true},      {"localhost:1", false, true, true},
      {"10.0.0.1:1", false, true, false},  {"0.0.0.0:1", false, true, false},
      {"[::]:1", false, true, false},      {"localhost.evil:1", false, true, false},
      {"128.0.0.1:1", false, true, false}, {"[::ffff:10.0.0.1]:1", false, true, false},
  };
  for (const auto& c : kCases) {
    const auto listener = ParseListener(c.address);
    ASSERT_TRUE(listener.ok()) << listener.status();
    EXPECT_EQ(CheckTransport(*listener, c.tls, c.insecure).ok(), c.allowed) << c.address;
  }
}

class UnixSocketTest : public ::testing::Test {
 protected:
  UnixSocketTest() {
    std::string directory = ::testing::TempDir() + "noded-listener-XXXXXX";
    directory_ = ::mkdtemp(directory.data());
    path_ = directory_ + "/a/b/n.sock";
  }
  ~UnixSocketTest() override { std::filesystem::remove_all(directory_); }

  static UniqueFd Bind(const std::string& path, int type, bool listen) {
    UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    sockaddr_un address = {.sun_family = AF_UNIX};
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    if (listen) {
      EXPECT_EQ(::listen(fd.get(), 0), 0);
    }
    return fd;
  }
  static mode_t Mode(const std::string& path) {
    struct stat info = {};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0);
    return info.st_mode & 07777;
  }

  std::string directory_, path_;
};

TEST_F(UnixSocketTest, MakesItsDirectoryForPassingThrough) {
  ASSERT_TRUE(PrepareUnixSocket(path_).ok());
  EXPECT_EQ(Mode(directory_ + "/a/b"), 0711u);
  EXPECT_TRUE(PrepareUnixSocket(path_).ok()) << "again";
}

TEST_F(UnixSocketTest, LeavesAnExistingDirectoryAsItIs) {
  std::filesystem::create_directories(directory_ + "/a/b");
  ASSERT_EQ(::chmod((directory_ + "/a/b").c_str(), 0750), 0);
  ASSERT_TRUE(PrepareUnixSocket(path_).ok());
  EXPECT_EQ(Mode(directory_ + "/a/b"), 0750u);
}

TEST_F(UnixSocketTest, TakesAStaleSocketButNoLiveOne) {
  ASSERT_TRUE(PrepareUnixSocket(path_).ok());
  UniqueFd socket = Bind(path_, SOCK_STREAM, true);
  const absl::Status taken = PrepareUnixSocket(path_);
  EXPECT_EQ(taken.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(taken.message(), "listen on " + path_ + ": another process listens there");
  socket.Reset();
  EXPECT_TRUE(PrepareUnixSocket(path_).ok()) << "nobody listens any more";
}

TEST_F(UnixSocketTest, ASocketWithAFullQueueIsLive) {
  ASSERT_TRUE(PrepareUnixSocket(path_).ok());
  const UniqueFd socket = Bind(path_, SOCK_STREAM, true);
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(PrepareUnixSocket(path_).ok()) << "connection " << i;
  }
}

TEST_F(UnixSocketTest, NeverReplacesAFile) {
  std::filesystem::create_directories(directory_ + "/a/b");
  std::ofstream(path_) << "precious";
  const absl::Status refused = PrepareUnixSocket(path_);
  EXPECT_EQ(refused.message(), "listen on " + path_ + ": it exists and is not a socket");
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("/dev/log", path_);
  EXPECT_FALSE(PrepareUnixSocket(path_).ok()) << "a symlink";
}

TEST_F(UnixSocketTest, RestrictsToOwnerAndGroup) {
  ASSERT_TRUE(PrepareUnixSocket(path_).ok());
  const UniqueFd socket = Bind(path_, SOCK_STREAM, true);
  ASSERT_TRUE(RestrictUnixSocket(path_).ok());
  EXPECT_EQ(Mode(path_), 0660u);
  EXPECT_FALSE(RestrictUnixSocket(path_ + ".missing").ok());
}

TEST_F(UnixSocketTest, TellsTheServiceManager) {
  const std::string path = directory_ + "/notify";
  const UniqueFd socket = Bind(path, SOCK_DGRAM, false);
  ASSERT_TRUE(NotifyServiceManager(path, "READY=1").ok());
  char buffer[64];
  const ssize_t size = ::recv(socket.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(buffer, size), "READY=1");
  EXPECT_TRUE(NotifyServiceManager("", "READY=1").ok()) << "no manager";
  EXPECT_FALSE(NotifyServiceManager("relative", "READY=1").ok());
  EXPECT_FALSE(NotifyServiceManager(directory_ + "/nobody", "READY=1").ok());
  EXPECT_FALSE(NotifyServiceManager("/" + std::string(200, 'x'), "READY=1").ok());
}

}  // namespace
}  // namespace noded::server
