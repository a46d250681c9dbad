// The container's standard input: what attached clients send, written to a pipe or a terminal
// without ever blocking the supervisor. Single-threaded.
#ifndef NODE_SHIM_INPUT_H_
#define NODE_SHIM_INPUT_H_

#include <functional>
#include <string>
#include <string_view>

#include "node/base/unique_fd.h"
#include "node/shim/event_loop.h"

namespace noded::shim {

class Input {
 public:
  explicit Input(EventLoop& loop) : loop_(loop) {}
  ~Input() { Close(); }

  // Called whenever ready() has become true.
  void OnReady(std::function<void()> callback) { on_ready_ = std::move(callback); }
  // Takes over the writing end; an invalid one means that input is thrown away. Before Start
  // nothing is ready, so that what clients send to a container that is yet to be started waits in
  // their sockets.
  void Start(UniqueFd end, bool terminal);
  // Whether Write may be called: not while what was written before waits for room.
  bool ready() const { return started_ && pending_.empty(); }
  // REQUIRES: ready(). Takes all of it.
  void Write(std::string_view data);
  // End of file for the container, after what is pending: a pipe is closed, a terminal gets its
  // end-of-file character.
  void End();
  void Close();
  // As before Start.
  void Reset();

 private:
  void WritePending();

  EventLoop& loop_;
  std::function<void()> on_ready_;
  UniqueFd end_;
  bool started_ = false;
  bool terminal_ = false;
  bool ending_ = false;
  bool watched_ = false;
  std::string pending_;  // at most one frame
};

}  // namespace noded::shim

#endif  // NODE_SHIM_INPUT_H_
