// One connection of a noded: requests in, answers and events out, in their order and without
// blocking. Single-threaded.
#ifndef NODE_SHIM_CONNECTION_H_
#define NODE_SHIM_CONNECTION_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "node/base/unique_fd.h"
#include "node/shim/event_loop.h"
#include "node/shim/failure.h"

namespace noded::shim {

class Connection {
 public:
  struct Callbacks {
    std::function<void(const pb::Request&, std::vector<UniqueFd>)> on_request;
    // The peer has gone, or does not read: at most kMaxQueued messages wait for it. The connection
    // is to be destroyed.
    std::function<void()> on_closed;
    std::function<void()> on_flushed;
  };
  static constexpr size_t kMaxQueued = 1024;

  Connection(EventLoop& loop, UniqueFd socket, Callbacks callbacks);
  Connection(const Connection&) = delete;
  ~Connection();

  // `fd` is borrowed, -1 for none. Never destroys the connection.
  void Send(const pb::Message& message, int fd = -1);
  bool flushed() const { return queue_.empty(); }

 private:
  struct Queued {
    std::string bytes;
    UniqueFd fd;
  };
  void OnEvents(uint32_t events);
  bool WriteQueued();
  void Close();

  EventLoop& loop_;
  UniqueFd socket_;
  Callbacks callbacks_;
  std::deque<Queued> queue_;
  bool broken_ = false;
};

}  // namespace noded::shim

#endif  // NODE_SHIM_CONNECTION_H_
