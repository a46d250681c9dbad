#include "clients/cli/terminal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include <atomic>

#include "absl/strings/str_cat.h"

namespace noded::cli {
namespace {

constexpr int kCrashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

// Global, because a signal handler has nothing else to look at.
std::atomic<int> raw_fd = -1;
termios cooked;

void RestoreAndDie(int signal_number) {
  int fd = raw_fd.exchange(-1);
  if (fd >= 0) tcsetattr(fd, TCSANOW, &cooked);  // async-signal-safe by POSIX
  raise(signal_number);                          // SA_RESETHAND: this time by default action
}

}  // namespace

absl::Status RawTerminal::Enter(int fd) {
  if (tcgetattr(fd, &cooked) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("standard input is not a terminal: ", strerror(errno)));
  }
  termios raw = cooked;
  cfmakeraw(&raw);
  struct sigaction action = {};
  action.sa_handler = RestoreAndDie;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (int signal_number : kCrashes) sigaction(signal_number, &action, nullptr);
  raw_fd = fd;
  // TCSADRAIN and not TCSAFLUSH, which would drop what was typed ahead.
  if (tcsetattr(fd, TCSADRAIN, &raw) != 0) {
    raw_fd = -1;
    return absl::FailedPreconditionError(
        absl::StrCat("cannot make the terminal raw: ", strerror(errno)));
  }
  return absl::OkStatus();
}

void RawTerminal::Restore() {
  int fd = raw_fd.exchange(-1);
  if (fd >= 0) tcsetattr(fd, TCSADRAIN, &cooked);
}

std::optional<node::v1::TerminalSize> TerminalSizeOf(int fd) {
  winsize size = {};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    return std::nullopt;
  node::v1::TerminalSize result;
  result.set_width(size.ws_col);
  result.set_height(size.ws_row);
  return result;
}

}  // namespace noded::cli
