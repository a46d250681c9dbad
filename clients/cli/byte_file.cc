#include "clients/cli/byte_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace noded::cli {
namespace {

absl::Status Failure(absl::string_view operation, absl::string_view path) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot ", operation, " ", path, ": ", strerror(errno)));
}

// Waits where another process has set the descriptor to non-blocking.
bool ShouldGoOn(int fd, short events) {
  if (errno == EAGAIN) {
    pollfd ready = {fd, events, 0};
    poll(&ready, 1, -1);
    return true;
  }
  return errno == EINTR;
}

}  // namespace

absl::Status InputFile::Open(const std::string& path, const Io& io) {
  if (path.empty()) {
    if (!io.in_is_tty) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "standard input is a terminal: name a file, or give one by < or |");
  }
  file_ = ScopedFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file_.get() < 0) return Failure("open", path);
  fd_ = file_.get();
  return absl::OkStatus();
}

absl::StatusOr<std::string> InputFile::Read() {
  std::string piece(kPieceBytes, '\0');
  size_t used = 0;
  while (used < piece.size()) {
    ssize_t count = read(fd_, piece.data() + used, piece.size() - used);
    if (count < 0 && ShouldGoOn(fd_, POLLIN)) continue;
    if (count < 0) return Failure("read", "the input");
    if (count == 0) break;
    used += static_cast<size_t>(count);
  }
  piece.resize(used);
  return piece;
}

OutputFile::~OutputFile() {
  if (!unfinished_.empty()) unlink(unfinished_.c_str());
}

absl::Status OutputFile::Open(const std::string& path, const Io& io) {
  path_ = path;
  if (path.empty()) {
    fd_ = io.out;
    if (!io.out_is_tty) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "nothing is written to a terminal: give -o FILE, or use > or |");
  }
  struct stat present = {};
  if (stat(path.c_str(), &present) == 0 && !S_ISREG(present.st_mode)) {
    file_ = ScopedFd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  } else {
    std::string name = path + ".XXXXXX";
    file_ = ScopedFd(mkostemp(name.data(), O_CLOEXEC));
    if (file_.get() >= 0) unfinished_ = name;
  }
  if (file_.get() < 0) return Failure("write", path);
  fd_ = file_.get();
  return absl::OkStatus();
}

bool OutputFile::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t count = write(fd_, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.remove_prefix(static_cast<size_t>(count));
    } else if (!ShouldGoOn(fd_, POLLOUT)) {
      error_number_ = errno;
      return false;
    }
  }
  return true;
}

absl::Status OutputFile::Commit() {
  if (unfinished_.empty()) return absl::OkStatus();
  // As open would have made it; mkostemp keeps others out.
  const mode_t mask = umask(0);
  umask(mask);
  if (fchmod(fd_, 0666 & ~mask) != 0 || rename(unfinished_.c_str(), path_.c_str()) != 0) {
    return Failure("write", path_);
  }
  unfinished_.clear();
  return absl::OkStatus();
}

}  // namespace noded::cli
