// The three standard streams of nodectl as a command sees them. Descriptors are borrowed.
#ifndef CLIENTS_CLI_IO_H_
#define CLIENTS_CLI_IO_H_

#include <unistd.h>

#include <functional>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace noded::cli {

// Owns a descriptor. Move-only.
class ScopedFd {
 public:
  explicit ScopedFd(int fd = -1) : fd_(fd) {}
  ScopedFd(ScopedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ScopedFd& operator=(ScopedFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~ScopedFd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Io {
  int in = 0;
  int out = 1;
  int err = 2;
  bool in_is_tty = false;
  bool out_is_tty = false;
  bool err_is_tty = false;
  std::function<absl::Time()> now;

  // All of `text`, waiting when the descriptor is non-blocking. False when the reader has gone away
  // (EPIPE) or nothing can be written any more. Thread-safe in that it keeps no state.
  bool Out(absl::string_view text) const { return WriteAll(out, text); }
  bool Err(absl::string_view text) const { return WriteAll(err, text); }
  // "nodectl: <text>\n" to standard error.
  void Complain(absl::string_view text) const;

 private:
  static bool WriteAll(int fd, absl::string_view text);
};

// The process's own standard streams.
Io StandardIo();

}  // namespace noded::cli

#endif  // CLIENTS_CLI_IO_H_
