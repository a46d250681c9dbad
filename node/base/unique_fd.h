// UniqueFd owns one file descriptor and closes it. Move-only; thread-compatible.
#ifndef NODE_BASE_UNIQUE_FD_H_
#define NODE_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace noded {

// A bare `int fd` parameter elsewhere in the program is borrowed; ownership passes only as
// UniqueFd.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    Reset(other.Release());
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  explicit operator bool() const { return valid(); }

  // Gives up ownership; the caller must close the result.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1) {
    // Linux frees the number even when close() reports EINTR or EIO, so it is never retried.
    if (int old = std::exchange(fd_, fd); old >= 0) ::close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace noded

#endif  // NODE_BASE_UNIQUE_FD_H_
