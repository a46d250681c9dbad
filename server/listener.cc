#include "server/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"

namespace noded::server {
namespace {

constexpr char kUnixScheme[] = "unix://";

absl::Status Refuse(const std::string& text, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("listen address \"", text, "\": ", why));
}

// gRPC takes the address for a URI, where '%', '?' and '#' have a meaning of their own.
bool IsPlainPath(const std::string& path) {
  for (const unsigned char c : path) {
    if (c <= ' ' || c == '%' || c == '?' || c == '#' || c >= 0x7f) return false;
  }
  return true;
}

bool IsHost(const std::string& host) {
  if (host.empty()) return false;
  for (const char c : host) {
    if (!absl::ascii_isalnum(c) && c != '.' && c != '-' && c != '_') return false;
  }
  return true;
}

bool IsIpv6(const std::string& host) {
  in6_addr address;
  return ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

absl::StatusOr<Listener> ParseUnix(const std::string& text) {
  Listener listener;
  listener.path = text.substr(sizeof(kUnixScheme) - 1);
  if (listener.path.empty() || listener.path[0] != '/' || listener.path.back() == '/') {
    return Refuse(text, "must be unix:// and the absolute path of a socket");
  }
  if (listener.path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Refuse(text, absl::StrCat("the path must be shorter than ",
                                     sizeof(sockaddr_un::sun_path), " bytes"));
  }
  if (!IsPlainPath(listener.path)) {
    return Refuse(text, "the path must be printable ASCII without blanks, '%', '?' and '#'");
  }
  return listener;
}

// Whether somebody accepts connections on the socket file. A full queue is somebody, too.
absl::StatusOr<bool> IsListenedOn(const std::string& path) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoStatus(errno, "make a socket");
  sockaddr_un address = {.sun_family = AF_UNIX};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno == EAGAIN) {
    return true;
  }
  if (errno == ECONNREFUSED || errno == ENOENT) return false;
  return StatusWithErrno(absl::StatusCode::kFailedPrecondition, errno,
                         absl::StrCat("look who listens on ", path));
}

}  // namespace

std::string Listener::Address() const {
  if (is_unix()) return absl::StrCat(kUnixScheme, path);
  return IsIpv6(host) ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<Listener> ParseListener(const std::string& text) {
  if (absl::StartsWith(text, "unix:")) {
    if (!absl::StartsWith(text, kUnixScheme)) {
      return Refuse(text, "must be unix:// and the absolute path of a socket");
    }
    return ParseUnix(text);
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return Refuse(text, "must be unix:///path or host:port");
  Listener listener;
  listener.host = text.substr(0, colon);
  if (!absl::SimpleAtoi(text.substr(colon + 1), &listener.port) || listener.port < 0 ||
      listener.port > 65535) {
    return Refuse(text, "the port must be a number from 0 to 65535");
  }
  const bool bracketed =
      listener.host.size() > 2 && listener.host.front() == '[' && listener.host.back() == ']';
  if (bracketed) listener.host = listener.host.substr(1, listener.host.size() - 2);
  if (bracketed ? !IsIpv6(listener.host) : !IsHost(listener.host)) {
    return Refuse(text, "the host must be a name, an IPv4 address or an IPv6 address in brackets");
  }
  if (listener.host == "localhost") listener.host = "127.0.0.1";
  return listener;
}

bool IsIpAddress(const std::string& host) {
  in_addr v4;
  return ::inet_pton(AF_INET, host.c_str(), &v4) == 1 || IsIpv6(host);
}

bool IsLoopback(const std::string& host) {
  in_addr v4;
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

absl::Status CheckTransport(const Listener& listener, bool tls, bool insecure) {
  if (listener.is_unix() || tls) return absl::OkStatus();
  if (!insecure) {
    return Refuse(listener.Address(),
                  "TCP needs --tls-cert, --tls-key and --tls-ca (or, on loopback, --insecure)");
  }
  if (!IsLoopback(listener.host)) {
    return Refuse(listener.Address(),
                  "--insecure is for loopback addresses only, since who connects is root here");
  }
  return absl::OkStatus();
}

absl::Status MakeSocketDirectory(const std::string& path) {
  return MakeDirs(path.substr(0, std::max<size_t>(path.rfind('/'), 1)), 0711);
}

absl::Status PrepareUnixSocket(const std::string& path) {
  RETURN_IF_ERROR(MakeSocketDirectory(path));
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return StatusWithErrno(absl::StatusCode::kFailedPrecondition, errno,
                           absl::StrCat("look at ", path));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("listen on ", path, ": it exists and is not a socket"));
  }
  ASSIGN_OR_RETURN(const bool taken, IsListenedOn(path));
  if (taken) {
    return absl::FailedPreconditionError(
        absl::StrCat("listen on ", path, ": another process listens there"));
  }
  return absl::OkStatus();
}

absl::Status RestrictUnixSocket(const std::string& path) {
  if (::chmod(path.c_str(), 0660) != 0) {
    return ErrnoStatus(errno, absl::StrCat("set the mode of ", path));
  }
  if (::geteuid() == 0 && ::lchown(path.c_str(), 0, 0) != 0) {
    return ErrnoStatus(errno, absl::StrCat("give ", path, " to root"));
  }
  return absl::OkStatus();
}

}  // namespace noded::server
