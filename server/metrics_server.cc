#include "server/metrics_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/event_loop.h"
#include "server/metrics_text.h"
#include "server/scrape_request.h"

namespace noded::server {
namespace {

constexpr int kBacklog = 16;
// One Prometheus, a second one, and people who look. More wait in the backlog. A slow one holds the
// text that it reads, some megabytes with 500 containers.
constexpr size_t kMostConnections = 16;
// From accept to the end of the answer: the usual scrape_timeout.
constexpr absl::Duration kMostTime = absl::Seconds(10);
// When there is no descriptor or memory for a connection.
constexpr absl::Duration kAcceptPause = absl::Seconds(1);
constexpr size_t kReadBytes = 4 << 10;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Address AddressOf(const Listener& listener) {
  Address address;
  if (listener.is_unix()) {
    auto* un = reinterpret_cast<sockaddr_un*>(&address.storage);
    un->sun_family = AF_UNIX;
    listener.path.copy(un->sun_path, sizeof(un->sun_path) - 1);
    address.size = sizeof(*un);
    return address;
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET, listener.host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(listener.port));
    address.size = sizeof(*v4);
  } else if (::inet_pton(AF_INET6, listener.host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(listener.port));
    address.size = sizeof(*v6);
  }
  return address;
}

// What the flag was given comes first, because two addresses may be taken.
absl::Status CannotListen(const Listener& listener, int error) {
  return StatusWithErrno(absl::StatusCode::kFailedPrecondition, error,
                         absl::StrCat("--metrics-listen: listen on ", listener.Address()));
}

int PortOf(int fd) {
  Address bound;
  bound.size = sizeof(bound.storage);
  if (::getsockname(fd, bound.get(), &bound.size) != 0) return 0;
  // The port is at the same place in both kinds of address.
  return ntohs(reinterpret_cast<sockaddr_in*>(&bound.storage)->sin_port);
}

}  // namespace

MetricsSocket::~MetricsSocket() {
  if (fd && listener.is_unix()) ::unlink(listener.path.c_str());
}

absl::StatusOr<MetricsSocket> OpenMetricsSocket(const Listener& listener) {
  if (listener.is_unix()) {
    RETURN_IF_ERROR(Annotate(PrepareUnixSocket(listener.path), "--metrics-listen"));
    ::unlink(listener.path.c_str());  // bind replaces nothing
  }
  Address address = AddressOf(listener);
  if (address.size == 0) return CannotListen(listener, EADDRNOTAVAIL);
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return CannotListen(listener, errno);
  const int on = 1;
  if (!listener.is_unix()) {
    // Or a restart would wait for connections of the last run to be forgotten. It does not share
    // the port with a living listener, as SO_REUSEPORT would.
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  }
  if (address.storage.ss_family == AF_INET6) {
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  if (::bind(fd.get(), address.get(), address.size) != 0) return CannotListen(listener, errno);
  MetricsSocket opened;
  opened.fd = std::move(fd);
  opened.listener = listener;
  if (::listen(opened.fd.get(), kBacklog) != 0) return CannotListen(listener, errno);
  if (listener.is_unix()) {
    RETURN_IF_ERROR(RestrictUnixSocket(listener.path));
  } else {
    opened.listener.port = PortOf(opened.fd.get());
  }
  return opened;
}

class MetricsServer::Loop {
 public:
  Loop(MetricsSocket socket, std::function<std::string()> render)
      : socket_(std::move(socket)), render_(std::move(render)) {}
  ~Loop();
  absl::Status Start();

 private:
  struct Connection {
    UniqueFd fd;
    EventLoop::WatchId watch = 0;
    EventLoop::TimerId timer = 0;
    std::string received;
    std::string answer;  // empty before it is made and after it was sent
    size_t sent = 0;     // of it
    bool answered = false;
  };

  // All on the loop's thread.
  void Accept();
  void Add(UniqueFd fd);
  void Ready(uint64_t id);
  void Close(uint64_t id);
  // Whether the connection goes on; `waits_for` is then what for.
  bool Read(Connection& connection, uint32_t* waits_for);
  bool Write(Connection& connection, uint32_t* waits_for);
  void Answer(Connection& connection, const ScrapeVerdict& verdict);

  MetricsSocket socket_;
  const std::function<std::string()> render_;
  EventLoop::WatchId accepting_ = 0;
  std::map<uint64_t, Connection> connections_;
  uint64_t last_id_ = 0;
  std::unique_ptr<EventLoop> events_;
};

MetricsServer::Loop::~Loop() {
  // Before what its callbacks use; not by reset(), which empties the pointer first, and they use
  // that until the loop's thread has ended.
  delete events_.get();
  (void)events_.release();
}

absl::Status MetricsServer::Loop::Start() {
  ASSIGN_OR_RETURN(events_, EventLoop::Create());
  // For nothing at first, or a connection could come before the watch's number is written.
  ASSIGN_OR_RETURN(accepting_,
                   events_->Watch(socket_.fd.get(), EPOLLONESHOT, [this](uint32_t) { Accept(); }));
  events_->Rearm(accepting_, EPOLLIN | EPOLLONESHOT);
  return absl::OkStatus();
}

void MetricsServer::Loop::Accept() {
  while (connections_.size() < kMostConnections) {
    UniqueFd fd(::accept4(socket_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      Add(std::move(fd));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return events_->Rearm(accepting_, EPOLLIN | EPOLLONESHOT);
    } else if (errno != EINTR && errno != ECONNABORTED) {
      // No descriptor or memory: it stays in the backlog, so waiting for it would spin.
      events_->RunAfter(kAcceptPause, [this] { Accept(); });
      return;
    }
  }
  // Full: Close goes on.
}

void MetricsServer::Loop::Add(UniqueFd fd) {
  const uint64_t id = ++last_id_;
  const auto watch =
      events_->Watch(fd.get(), EPOLLIN | EPOLLONESHOT, [this, id](uint32_t) { Ready(id); });
  if (!watch.ok()) return;
  Connection& connection = connections_[id];
  connection.fd = std::move(fd);
  connection.watch = *watch;
  connection.timer = events_->RunAfter(kMostTime, [this, id] { Close(id); });
}

void MetricsServer::Loop::Close(uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  events_->Unwatch(found->second.watch);
  events_->Cancel(found->second.timer);
  const bool full = connections_.size() >= kMostConnections;
  connections_.erase(found);
  if (full) events_->Rearm(accepting_, EPOLLIN | EPOLLONESHOT);
}

void MetricsServer::Loop::Ready(uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  uint32_t waits_for = 0;
  const bool writing = !connection.answer.empty();
  bool goes_on = writing || Read(connection, &waits_for);
  if (goes_on && !connection.answer.empty()) goes_on = Write(connection, &waits_for);
  if (!goes_on) return Close(id);
  events_->Rearm(connection.watch, waits_for | EPOLLONESHOT);
}

bool MetricsServer::Loop::Read(Connection& connection, uint32_t* waits_for) {
  *waits_for = EPOLLIN;
  char bytes[kReadBytes];
  const ssize_t count = ::recv(connection.fd.get(), bytes, sizeof(bytes), 0);
  if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  if (count == 0) return false;
  if (connection.answered) return true;  // dropped
  connection.received.append(bytes, static_cast<size_t>(count));
  if (const std::optional<ScrapeVerdict> verdict = JudgeScrape(connection.received)) {
    Answer(connection, *verdict);
  }
  return true;
}

void MetricsServer::Loop::Answer(Connection& connection, const ScrapeVerdict& verdict) {
  connection.answered = true;
  connection.received = {};
  connection.answer = verdict.code == 200 ? ScrapeAnswer(verdict, kMetricsContentType, render_())
                                          : ScrapeAnswer(verdict, "text/plain; charset=utf-8",
                                                         "metrics are at GET /metrics\n");
}

bool MetricsServer::Loop::Write(Connection& connection, uint32_t* waits_for) {
  *waits_for = EPOLLOUT;
  const std::string_view left = std::string_view(connection.answer).substr(connection.sent);
  const ssize_t count = ::send(connection.fd.get(), left.data(), left.size(), MSG_NOSIGNAL);
  if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  connection.sent += static_cast<size_t>(count);
  if (connection.sent < connection.answer.size()) return true;
  connection.answer = {};
  // Not closed yet, because bytes that the client sent and nobody read would make it a reset, which
  // throws away what of the answer it has not read.
  *waits_for = EPOLLIN;
  return ::shutdown(connection.fd.get(), SHUT_WR) == 0;
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    MetricsSocket socket, std::function<std::string()> render) {
  auto loop = std::make_unique<Loop>(std::move(socket), std::move(render));
  RETURN_IF_ERROR(Annotate(loop->Start(), "--metrics-listen"));
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(loop)));
}

MetricsServer::MetricsServer(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

MetricsServer::~MetricsServer() = default;

}  // namespace noded::server
