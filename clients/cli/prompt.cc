#include "clients/cli/prompt.h"

#include <errno.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace noded::cli {
namespace {

constexpr size_t kMostBytes = 64 << 10;

// Byte by byte: what follows the line belongs to whoever reads next.
std::string ReadLine(int fd) {
  std::string line;
  char c = 0;
  while (line.size() < kMostBytes) {
    ssize_t count = read(fd, &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || c == '\n') break;
    line += c;
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

// Keeps signals from ending us while the terminal does not echo: they wait until it does again.
class EchoOff {
 public:
  explicit EchoOff(int fd) : fd_(fd) {
    sigset_t ending;
    sigemptyset(&ending);
    for (int number : {SIGTERM, SIGHUP, SIGTSTP}) sigaddset(&ending, number);
    pthread_sigmask(SIG_BLOCK, &ending, &blocked_before_);
    is_terminal_ = tcgetattr(fd, &before_) == 0;
    if (!is_terminal_) return;
    termios silent = before_;
    // Without ISIG ctrl-C is a byte that ends the line, so that nothing but us ends this.
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG);
    silent.c_cc[VEOL] = '\x03';
    tcsetattr(fd, TCSAFLUSH, &silent);
  }
  ~EchoOff() {
    if (is_terminal_) tcsetattr(fd_, TCSADRAIN, &before_);
    pthread_sigmask(SIG_SETMASK, &blocked_before_, nullptr);
  }
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  int fd_;
  bool is_terminal_ = false;
  termios before_;
  sigset_t blocked_before_;
};

}  // namespace

std::string AskLine(const Io& io, absl::string_view question) {
  io.Err(question);
  return ReadLine(io.in);
}

std::string AskSecret(const Io& io, absl::string_view question) {
  io.Err(question);
  std::string line;
  {
    EchoOff echo_off(io.in);
    char c = 0;
    while (line.size() < kMostBytes && read(io.in, &c, 1) == 1 && c != '\n' && c != '\x03') {
      line += c;
    }
    if (c == '\x03') line.clear();
  }
  io.Err("\n");
  return line;
}

bool Confirm(const Io& io, absl::string_view warning) {
  std::string answer = absl::AsciiStrToLower(
      AskLine(io, absl::StrCat(warning, "\nAre you sure you want to continue? [y/N] ")));
  if (!io.in_is_tty) io.Err("\n");
  return answer == "y" || answer == "yes";
}

absl::StatusOr<std::string> ReadPassword(const Io& io) {
  std::string text;
  char buffer[4096];
  ssize_t count = 0;
  while (text.size() <= kMostBytes && (count = read(io.in, buffer, sizeof(buffer))) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    text.append(buffer, static_cast<size_t>(count));
  }
  if (text.size() > kMostBytes) return absl::InvalidArgumentError("longer than 64 KiB");
  if (!text.empty() && text.back() == '\n') text.pop_back();
  if (!text.empty() && text.back() == '\r') text.pop_back();
  return text;
}

}  // namespace noded::cli
