#include "node/shim/handshake.h"

#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "node/base/file.h"
#include "node/base/socket.h"

namespace noded::shim {
namespace {

// First byte of a packet.
constexpr char kGo = 'g';
constexpr char kTerminal = 't';
constexpr char kMainProcess = 'm';
constexpr char kExecBegins = 'x';
constexpr char kFailure = 'f';

// A child that cannot report ends in a way that cannot be taken for an answer of the program's.
constexpr int kExitUnreported = 125;

}  // namespace

bool Reporter::WaitForGo() {
  char byte = 0;
  ssize_t got;
  do {
    got = recv(socket_.get(), &byte, 1, 0);
  } while (got < 0 && errno == EINTR);
  return got == 1 && byte == kGo;
}

bool Reporter::SupervisorLives() const {
  char byte;
  // 0 is end of file: the other end is held by the supervisor alone.
  return recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

void Reporter::SendTerminal(int master, int slave) {
  (void)SendPacket(socket_.get(), std::string(1, kTerminal), {master, slave});
}

void Reporter::SendMainProcess(int pidfd) {
  (void)SendPacket(socket_.get(), std::string(1, kMainProcess), {pidfd});
}

void Reporter::ExecBegins() { (void)SendPacket(socket_.get(), std::string(1, kExecBegins)); }

void Reporter::FailAndExit(const pb::Failure& failure) {
  (void)SendPacket(socket_.get(), kFailure + failure.SerializeAsString());
  _exit(kExitUnreported);
}

MaybeFailure Handshake::Make(Handshake* ours, UniqueFd* childs) {
  absl::StatusOr<std::pair<UniqueFd, UniqueFd>> pair = SocketPair(SOCK_SEQPACKET);
  if (!pair.ok()) return Fail(pb::FAILURE_STEP_NAMESPACE, errno, "handshake socket");
  // Ours alone: the flag belongs to an end, not to the pair.
  if (!SetNonblocking(pair->first.get()).ok()) {
    return Fail(pb::FAILURE_STEP_NAMESPACE, errno, "handshake socket");
  }
  ours->socket_ = std::move(pair->first);
  *childs = std::move(pair->second);
  return std::nullopt;
}

bool Handshake::SendGo() { return SendPacket(socket_.get(), std::string(1, kGo)).ok(); }

void Handshake::Receive() {
  while (!ended_) {
    absl::StatusOr<Packet> packet = ReceivePacket(socket_.get());
    if (!packet.ok()) {
      if (absl::IsUnavailable(packet.status())) return;
      ended_ = true;
      return;
    }
    if (packet->message.empty()) {
      ended_ = true;
      return;
    }
    switch (packet->message.front()) {
      case kTerminal:
        if (packet->fds.size() == 2) {
          terminal = std::move(packet->fds[0]);
          terminal_slave = std::move(packet->fds[1]);
        }
        break;
      case kMainProcess:
        if (packet->fds.size() == 1) main_process = std::move(packet->fds[0]);
        break;
      case kExecBegins:
        exec_begun_ = true;
        break;
      case kFailure:
        failure_.emplace();
        // What cannot be parsed stays a failure, of an unknown step.
        (void)failure_->ParseFromString(packet->message.substr(1));
        break;
      default:
        break;
    }
  }
}

}  // namespace noded::shim
