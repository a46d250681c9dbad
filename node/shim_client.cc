#include "node/shim_client.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "node/base/socket.h"
#include "node/base/status.h"
#include "node/record_changes.h"

namespace noded {
namespace {

using node::shim::v1::Message;
using node::shim::v1::Reply;
using node::shim::v1::Request;

constexpr uint32_t kProtocolVersion = 1;
// Requests that a supervisor has not read yet, beyond what its socket holds.
constexpr size_t kMaxUnsent = 1024;
constexpr int kPacketsAtOnce = 32;

class SocketShimClient : public ShimClient, public std::enable_shared_from_this<SocketShimClient> {
 public:
  SocketShimClient(EventLoop* loop, UniqueFd socket, Events events)
      : loop_(loop), socket_(std::move(socket)), events_(std::move(events)) {}
  ~SocketShimClient() override;

  absl::Status Listen();
  void Call(Request request, const std::vector<int>& fds, absl::Duration timeout,
            Answered answered) override;
  void Tell(Request request, const std::vector<int>& fds) override;

 private:
  struct Pending {
    Answered answered;
    EventLoop::TimerId timer;
  };
  struct Unsent {
    std::string message;
    std::vector<UniqueFd> fds;
  };

  void Ready(uint32_t events);
  void Receive(Packet packet);
  void ReceiveReply(Reply reply, std::vector<UniqueFd> fds);
  std::optional<Pending> Take(uint64_t id);
  void TimedOut(uint64_t id, absl::Duration timeout);
  bool SendOrKeep(std::string message, const std::vector<int>& fds)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendUnsent();
  void Disconnect();

  EventLoop* const loop_;
  const UniqueFd socket_;
  const Events events_;
  absl::Mutex mutex_;
  EventLoop::WatchId watch_ ABSL_GUARDED_BY(mutex_) = 0;
  bool connected_ ABSL_GUARDED_BY(mutex_) = true;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Pending> pending_ ABSL_GUARDED_BY(mutex_);
  std::deque<Unsent> unsent_ ABSL_GUARDED_BY(mutex_);
};

SocketShimClient::~SocketShimClient() {
  EventLoop::WatchId watch;
  {
    absl::MutexLock lock(&mutex_);
    watch = watch_;
  }
  // Without the lock, because it waits for a callback that may want it.
  loop_->Unwatch(watch);
  absl::MutexLock lock(&mutex_);
  for (auto& [id, one] : pending_) {
    loop_->Cancel(one.timer);
    loop_->Run([answered = std::move(one.answered)] { answered(SupervisorLost()); });
  }
}

absl::Status SocketShimClient::Listen() {
  // Under the lock, because the first event may come before the number is written.
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(watch_,
                   loop_->Watch(socket_.get(), EPOLLIN, [weak = weak_from_this()](uint32_t events) {
                     if (auto self = weak.lock()) self->Ready(events);
                   }));
  return absl::OkStatus();
}

void SocketShimClient::Call(Request request, const std::vector<int>& fds, absl::Duration timeout,
                            Answered answered) {
  absl::Status refused;
  {
    absl::MutexLock lock(&mutex_);
    request.set_version(kProtocolVersion);
    request.set_id(++last_id_);
    if (!connected_) {
      refused = SupervisorLost();
    } else if (!SendOrKeep(request.SerializeAsString(), fds)) {
      refused = WithReason(
          absl::UnavailableError("the container's supervisor does not take any more requests"),
          reason::kSupervisorLost);
    } else {
      uint64_t id = request.id();
      EventLoop::TimerId timer = loop_->RunAfter(timeout, [weak = weak_from_this(), id, timeout] {
        if (auto self = weak.lock()) self->TimedOut(id, timeout);
      });
      pending_.emplace(id, Pending{std::move(answered), timer});
      return;
    }
  }
  // On the loop's thread as promised, so that no caller is called back while it holds a lock.
  loop_->Run([answered = std::move(answered), refused] { answered(refused); });
}

void SocketShimClient::Tell(Request request, const std::vector<int>& fds) {
  absl::MutexLock lock(&mutex_);
  request.set_version(kProtocolVersion);
  request.set_id(++last_id_);
  if (connected_) SendOrKeep(request.SerializeAsString(), fds);
}

bool SocketShimClient::SendOrKeep(std::string message, const std::vector<int>& fds) {
  if (unsent_.empty()) {
    absl::Status sent = SendPacket(socket_.get(), message, fds);
    if (sent.ok()) return true;
    if (!absl::IsUnavailable(sent)) return false;
  }
  // Full for now, or gone: in either case the loop tells, by EPOLLOUT or by EPOLLHUP.
  if (unsent_.size() >= kMaxUnsent) return false;
  Unsent kept{std::move(message), {}};
  for (int fd : fds) {
    UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!copy) return false;
    kept.fds.push_back(std::move(copy));
  }
  unsent_.push_back(std::move(kept));
  loop_->Rearm(watch_, EPOLLIN | EPOLLOUT);
  return true;
}

void SocketShimClient::SendUnsent() {
  absl::MutexLock lock(&mutex_);
  while (!unsent_.empty()) {
    std::vector<int> fds;
    for (const UniqueFd& fd : unsent_.front().fds) fds.push_back(fd.get());
    if (!SendPacket(socket_.get(), unsent_.front().message, fds).ok()) return;
    unsent_.pop_front();
  }
  loop_->Rearm(watch_, EPOLLIN);
}

void SocketShimClient::Ready(uint32_t events) {
  if (events & EPOLLOUT) SendUnsent();
  for (int i = 0; i < kPacketsAtOnce; ++i) {
    absl::StatusOr<Packet> packet = ReceivePacket(socket_.get());
    if (absl::IsUnavailable(packet.status())) break;
    if (!packet.ok() || (packet->message.empty() && packet->fds.empty())) return Disconnect();
    Receive(*std::move(packet));
  }
}

void SocketShimClient::Receive(Packet packet) {
  Message message;
  // What cannot be read is of a later version: it is no answer that we wait for.
  if (!message.ParseFromString(packet.message)) return;
  switch (message.kind_case()) {
    case Message::kReply:
      return ReceiveReply(std::move(*message.mutable_reply()), std::move(packet.fds));
    case Message::kExited:
      return events_.exited(message.exited());
    case Message::kExecExited:
      return events_.exec_exited(message.exec_exited());
    case Message::KIND_NOT_SET:
      return;
  }
}

void SocketShimClient::ReceiveReply(Reply reply, std::vector<UniqueFd> fds) {
  std::optional<Pending> pending = Take(reply.id());
  if (!pending) return;
  if (reply.has_failure()) {
    pending->answered(DecodeFailure(reply.failure()));
  } else {
    pending->answered(Answer{std::move(reply), std::move(fds)});
  }
}

std::optional<SocketShimClient::Pending> SocketShimClient::Take(uint64_t id) {
  absl::MutexLock lock(&mutex_);
  auto found = pending_.find(id);
  if (found == pending_.end()) return std::nullopt;
  Pending pending = std::move(found->second);
  pending_.erase(found);
  loop_->Cancel(pending.timer);
  return pending;
}

void SocketShimClient::TimedOut(uint64_t id, absl::Duration timeout) {
  std::optional<Pending> pending = Take(id);
  if (!pending) return;
  pending->answered(absl::DeadlineExceededError(absl::StrCat(
      "the container's supervisor did not answer within ", absl::FormatDuration(timeout))));
}

void SocketShimClient::Disconnect() {
  std::map<uint64_t, Pending> pending;
  EventLoop::WatchId watch;
  {
    absl::MutexLock lock(&mutex_);
    if (!connected_) return;
    connected_ = false;
    watch = watch_;
    pending.swap(pending_);
    unsent_.clear();
  }
  loop_->Unwatch(watch);
  for (auto& [id, one] : pending) {
    loop_->Cancel(one.timer);
    one.answered(SupervisorLost());
  }
  events_.disconnected();
}

}  // namespace

absl::StatusOr<std::shared_ptr<ShimClient>> UseConnection(EventLoop* loop, UniqueFd connection,
                                                          ShimClient::Events events) {
  auto client = std::make_shared<SocketShimClient>(loop, std::move(connection), std::move(events));
  RETURN_IF_ERROR(client->Listen());
  return client;
}

absl::StatusOr<std::shared_ptr<ShimClient>> ConnectShim(EventLoop* loop, int sockets_dir,
                                                        const std::string& id,
                                                        ShimClient::Events events) {
  ASSIGN_OR_RETURN(UniqueFd socket, ConnectSeqpacket(sockets_dir, ShimSocketName(id)));
  return UseConnection(loop, std::move(socket), std::move(events));
}

}  // namespace noded
