#include "node/stream_end.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

#include "node/base/status.h"

namespace noded {

absl::Status StreamEnd::Await(uint32_t events, std::function<void()> ready) {
  // One shot: whoever waits says so again, so a slow reader costs the loop nothing.
  events |= EPOLLONESHOT;
  if (watch_ != 0) {
    loop_->Rearm(watch_, events);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(
      watch_, loop_->Watch(fd_.get(), events, [ready = std::move(ready)](uint32_t) { ready(); }));
  return absl::OkStatus();
}

ReadResult ReadAvailable(int fd, size_t most, std::string& out) {
  const size_t before = out.size();
  out.resize(before + most);
  size_t filled = before;
  ReadResult result = ReadResult::kData;
  while (filled < out.size()) {
    ssize_t count = read(fd, out.data() + filled, out.size() - filled);
    if (count > 0) {
      filled += static_cast<size_t>(count);
      continue;
    }
    if (count < 0 && errno == EINTR) continue;
    result = count < 0 && errno == EAGAIN ? ReadResult::kNothingYet : ReadResult::kEnd;
    break;
  }
  out.resize(filled);
  // What was read first is told first; the end or the pause is met again at the next call.
  return filled > before ? ReadResult::kData : result;
}

WriteResult WriteAvailable(int fd, std::string_view& data) {
  while (!data.empty()) {
    ssize_t count = write(fd, data.data(), data.size());
    if (count >= 0) {
      data.remove_prefix(static_cast<size_t>(count));
      continue;
    }
    if (errno == EINTR) continue;
    return errno == EAGAIN ? WriteResult::kSome : WriteResult::kClosed;
  }
  return WriteResult::kAll;
}

}  // namespace noded
