// Files and pipes that a tar is read from or written to.
#ifndef CLIENTS_CLI_BYTE_FILE_H_
#define CLIENTS_CLI_BYTE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clients/cli/io.h"

namespace noded::cli {

// Bytes of one message of a stream; the API takes at most 1 MiB.
inline constexpr size_t kPieceBytes = 256 << 10;

// Reads a file, or standard input when `path` is empty.
class InputFile {
 public:
  explicit InputFile(const Io& io) : fd_(io.in) {}
  // FAILED_PRECONDITION: it cannot be opened, or standard input is a terminal.
  absl::Status Open(const std::string& path, const Io& io);
  // The next piece, of kPieceBytes unless it is the last; empty at the end.
  absl::StatusOr<std::string> Read();

 private:
  ScopedFd file_;
  int fd_;
};

// Writes a file, or standard output when `path` is empty. A file appears under its name when it is
// whole; what was there before stays until then. A path that is no plain file (/dev/stdout, a pipe)
// is written as it is.
class OutputFile {
 public:
  OutputFile() = default;
  ~OutputFile();  // what was not committed goes
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // FAILED_PRECONDITION: it cannot be made, or standard output is a terminal.
  absl::Status Open(const std::string& path, const Io& io);
  // False: see error_number().
  bool Write(absl::string_view bytes);
  absl::Status Commit();
  // Of the write that failed; EPIPE: whoever read it went away.
  int error_number() const { return error_number_; }

 private:
  ScopedFd file_;
  int fd_ = -1;
  std::string path_;
  std::string unfinished_;  // its name until it is whole
  int error_number_ = 0;
};

}  // namespace noded::cli

#endif  // CLIENTS_CLI_BYTE_FILE_H_
