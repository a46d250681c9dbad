// One end of a byte stream between noded and a process: a non-blocking descriptor and its watch.
#ifndef NODE_STREAM_END_H_
#define NODE_STREAM_END_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "node/base/unique_fd.h"
#include "node/event_loop.h"

namespace noded {

// Thread-compatible. Its destructor waits for the loop's callback, so it must not run under a lock
// that the callback takes: move it out first.
class StreamEnd {
 public:
  StreamEnd() = default;
  // `loop` outlives this.
  StreamEnd(EventLoop* loop, UniqueFd fd) : loop_(loop), fd_(std::move(fd)) {}
  StreamEnd(StreamEnd&& other) noexcept { *this = std::move(other); }
  StreamEnd& operator=(StreamEnd&& other) noexcept {
    std::swap(loop_, other.loop_);
    std::swap(fd_, other.fd_);
    std::swap(watch_, other.watch_);
    return *this;
  }
  ~StreamEnd() {
    if (watch_ != 0) loop_->Unwatch(watch_);
  }

  bool open() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }

  // Calls `ready` once, on the loop's thread, when one of the events comes. `ready` is kept from
  // the first call; later ones only arm it again.
  absl::Status Await(uint32_t events, std::function<void()> ready);

 private:
  EventLoop* loop_ = nullptr;
  UniqueFd fd_;
  EventLoop::WatchId watch_ = 0;
};

enum class ReadResult { kData, kNothingYet, kEnd };
// Appends what there is, `most` bytes at most. An error is an end: EIO is how a terminal says that
// its last process has gone.
ReadResult ReadAvailable(int fd, size_t most, std::string& out);

enum class WriteResult { kAll, kSome, kClosed };
// Writes what fits and takes it off `data`. kClosed: nobody reads any more.
WriteResult WriteAvailable(int fd, std::string_view& data);

}  // namespace noded

#endif  // NODE_STREAM_END_H_
