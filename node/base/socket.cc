#include "node/base/socket.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"

namespace noded {
namespace {

constexpr int kBacklog = 64;

absl::StatusOr<sockaddr_un> AddressOf(int dir, const std::string& name) {
  std::string path = dir == AT_FDCWD ? name : absl::StrCat("/proc/self/fd/", dir, "/", name);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("socket name \"", name, "\" is too long"));
  }
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::StatusOr<UniqueFd> NewSocket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoStatus(errno, "make socket");
  return fd;
}

const sockaddr* Generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Takes over every descriptor that came with the message, also when the message is refused after.
std::vector<UniqueFd> TakeFds(msghdr& header) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

absl::StatusOr<UniqueFd> ListenSeqpacket(int dir, const std::string& name) {
  ASSIGN_OR_RETURN(sockaddr_un address, AddressOf(dir, name));
  ASSIGN_OR_RETURN(UniqueFd fd, NewSocket());
  std::string what = absl::StrCat("listen on \"", name, "\"");
  // bind(2) takes the file's mode from the socket's inode, so there is no moment when it is open to
  // others, whatever the umask.
  if (fchmod(fd.get(), 0600) != 0) return ErrnoStatus(errno, what);
  // A socket file outlives its listener, and bind to an existing one is EADDRINUSE.
  if (unlinkat(dir, name.c_str(), 0) != 0 && errno != ENOENT) return ErrnoStatus(errno, what);
  if (bind(fd.get(), Generic(address), sizeof(address)) != 0) return ErrnoStatus(errno, what);
  if (listen(fd.get(), kBacklog) != 0) return ErrnoStatus(errno, what);
  return fd;
}

absl::StatusOr<UniqueFd> ConnectSeqpacket(int dir, const std::string& name) {
  ASSIGN_OR_RETURN(sockaddr_un address, AddressOf(dir, name));
  ASSIGN_OR_RETURN(UniqueFd fd, NewSocket());
  int result;
  do {
    result = connect(fd.get(), Generic(address), sizeof(address));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return fd;
  std::string what = absl::StrCat("connect to \"", name, "\"");
  // EAGAIN: the listener's backlog is full.
  if (errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN) {
    return StatusWithErrno(absl::StatusCode::kUnavailable, errno, what);
  }
  return ErrnoStatus(errno, what);
}

absl::StatusOr<std::pair<UniqueFd, UniqueFd>> SocketPair(int type) {
  int ends[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "make socket pair");
  }
  return std::make_pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

absl::Status SendPacket(int socket, std::string_view message, const std::vector<int>& fds) {
  if (message.size() > kMaxPacketBytes || fds.size() > kMaxFds) {
    return absl::ResourceExhaustedError(absl::StrCat("send packet: ", message.size(), " bytes and ",
                                                     fds.size(), " descriptors are too many"));
  }
  if (message.empty() && fds.empty()) {
    return absl::InvalidArgumentError("send packet: an empty one would read as end of file");
  }
  iovec data{.iov_base = const_cast<char*>(message.data()), .iov_len = message.size()};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(part), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return absl::OkStatus();
  if (errno == EAGAIN || errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) {
    return StatusWithErrno(absl::StatusCode::kUnavailable, errno, "send packet");
  }
  return ErrnoStatus(errno, "send packet");
}

absl::StatusOr<Packet> ReceivePacket(int socket) {
  // On the stack and not cleared, because pages that a short message does not reach then cost
  // nothing.
  char buffer[kMaxPacketBytes];
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))];
  iovec data{.iov_base = buffer, .iov_len = sizeof(buffer)};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t received;
  do {
    received = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) {
    // The peer closed without reading what we sent: for the reader that is an end like any other.
    if (errno == ECONNRESET) return Packet{};
    return ErrnoStatus(errno, "receive packet");
  }
  Packet packet;
  packet.fds = TakeFds(header);
  if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
    return absl::ResourceExhaustedError("receive packet: it was truncated");
  }
  packet.message.assign(buffer, static_cast<size_t>(received));
  return packet;
}

}  // namespace noded
