#include "clients/cli/io.h"

#include <errno.h>
#include <poll.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace noded::cli {

bool Io::WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    ssize_t count = write(fd, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<size_t>(count));
    } else if (errno == EAGAIN) {
      // Another process that shares our terminal has set it to non-blocking.
      pollfd writable = {fd, POLLOUT, 0};
      poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

void Io::Complain(absl::string_view text) const { Err(absl::StrCat("nodectl: ", text, "\n")); }

Io StandardIo() {
  Io io;
  io.in_is_tty = isatty(io.in) == 1;
  io.out_is_tty = isatty(io.out) == 1;
  io.err_is_tty = isatty(io.err) == 1;
  io.now = [] { return absl::Now(); };
  return io;
}

}  // namespace noded::cli
