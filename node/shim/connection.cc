#include "node/shim/connection.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "node/base/socket.h"

namespace noded::shim {

Connection::Connection(EventLoop& loop, UniqueFd socket, Callbacks callbacks)
    : loop_(loop), socket_(std::move(socket)), callbacks_(std::move(callbacks)) {
  broken_ = !loop_.Watch(socket_.get(), EPOLLIN, [this](uint32_t events) { OnEvents(events); });
}

Connection::~Connection() { loop_.Forget(socket_.get()); }

void Connection::Send(const pb::Message& message, int fd) {
  if (broken_) return;
  if (queue_.size() >= kMaxQueued) {
    // It will be told by the end of the connection, and asks for the state when it comes back.
    broken_ = true;
    loop_.Change(socket_.get(), EPOLLIN | EPOLLOUT);
    return;
  }
  queue_.push_back(
      {message.SerializeAsString(), UniqueFd(fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0))});
  if (queue_.size() == 1 && WriteQueued()) return;
  loop_.Change(socket_.get(), EPOLLIN | EPOLLOUT);
}

// True: all has gone.
bool Connection::WriteQueued() {
  while (!queue_.empty() && !broken_) {
    const Queued& next = queue_.front();
    std::vector<int> fds;
    if (next.fd) fds.push_back(next.fd.get());
    absl::Status sent = SendPacket(socket_.get(), next.bytes, fds);
    if (absl::IsUnavailable(sent)) return false;  // full, or gone, which reading tells
    if (!sent.ok()) broken_ = true;
    queue_.pop_front();
  }
  return !broken_;
}

// Destroys this, and the callback with it if it were not moved away.
void Connection::Close() {
  auto closed = std::move(callbacks_.on_closed);
  closed();
}

void Connection::OnEvents(uint32_t events) {
  if ((events & EPOLLOUT) && !broken_ && !queue_.empty() && WriteQueued()) {
    loop_.Change(socket_.get(), EPOLLIN);
    callbacks_.on_flushed();
  }
  if (broken_) {
    Close();
    return;
  }
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  absl::StatusOr<Packet> packet = ReceivePacket(socket_.get());
  if (!packet.ok() && absl::IsUnavailable(packet.status())) return;
  pb::Request request;
  if (!packet.ok() || (packet->message.empty() && packet->fds.empty()) ||
      !request.ParseFromString(packet->message)) {
    Close();
    return;
  }
  callbacks_.on_request(request, std::move(packet->fds));
}

}  // namespace noded::shim
