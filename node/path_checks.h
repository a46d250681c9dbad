// Looks at users' host paths on threads of its own: a file system that does not answer (a network
// mount whose server is gone) keeps whoever touches it for as long as it likes, and must keep
// nobody else.
#ifndef NODE_PATH_CHECKS_H_
#define NODE_PATH_CHECKS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "node/event_loop.h"

namespace noded {

// Thread-safe. Its destructor does not wait for a thread that is being kept.
class PathChecks {
 public:
  using Done = std::function<void(absl::Status)>;
  // Told each path before it is touched.
  using AtPath = std::function<void(const std::string&)>;
  using Check = std::function<absl::Status(const AtPath&)>;

  // `loop` outlives this.
  PathChecks(EventLoop* loop, int threads, absl::Duration bound);
  ~PathChecks();
  PathChecks(const PathChecks&) = delete;
  PathChecks& operator=(const PathChecks&) = delete;

  // Calls `done` once, on any thread: with what `check` returned, or DEADLINE_EXCEEDED that names
  // the path when it has not answered within the bound. At once when one of `paths` is being waited
  // for that long already, so that a path takes one thread however often it is tried; UNAVAILABLE
  // when all threads are kept.
  void Run(const std::vector<std::string>& paths, Check check, Done done);

 private:
  struct State;
  const std::shared_ptr<State> state_;
  EventLoop* const loop_;
  const absl::Duration bound_;
};

}  // namespace noded

#endif  // NODE_PATH_CHECKS_H_
