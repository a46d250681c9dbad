// Unix seqpacket sockets that carry one message and up to kMaxFds descriptors a packet.
// Thread-safe.
#ifndef NODE_BASE_SOCKET_H_
#define NODE_BASE_SOCKET_H_

#include <sys/socket.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/base/unique_fd.h"

namespace noded {

// Largest packet: with the default wmem a seqpacket message over some 212 kB is EMSGSIZE, so larger
// payloads travel as a sealed memfd.
inline constexpr size_t kMaxPacketBytes = 128 << 10;
inline constexpr size_t kMaxFds = 32;

// `name` lies in the directory `dir`; the path given to the kernel is /proc/self/fd/<dir>/<name>,
// since sun_path holds 108 bytes only. Listen replaces a stale socket file. Both are non-blocking
// and close-on-exec. UNAVAILABLE: nobody listens.
absl::StatusOr<UniqueFd> ListenSeqpacket(int dir, const std::string& name);
absl::StatusOr<UniqueFd> ConnectSeqpacket(int dir, const std::string& name);
// Connected, close-on-exec; type is SOCK_SEQPACKET or SOCK_STREAM, flags may add SOCK_NONBLOCK.
absl::StatusOr<std::pair<UniqueFd, UniqueFd>> SocketPair(int type);

// Sends one packet. UNAVAILABLE: would block, or the peer is gone (MSG_NOSIGNAL).
absl::Status SendPacket(int socket, std::string_view message, const std::vector<int>& fds = {});

struct Packet {
  std::string message;
  std::vector<UniqueFd> fds;
};
// One packet of a seqpacket socket. An empty message without descriptors: end of file, also when
// the peer closed without reading what it was sent. UNAVAILABLE: would block.
absl::StatusOr<Packet> ReceivePacket(int socket);

}  // namespace noded

#endif  // NODE_BASE_SOCKET_H_
