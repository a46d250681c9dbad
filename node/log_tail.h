// Finds where the last lines of a log begin, by reading it backwards in blocks: the time it takes
// is in proportion to the lines that are wanted, not to the log.
#ifndef NODE_LOG_TAIL_H_
#define NODE_LOG_TAIL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "node/log_files.h"
#include "node/log_reader.h"

namespace noded {

struct LogTail {
  // From where to read; nullopt: there is no log yet.
  std::optional<LogCursor> begin;
  // First entry wanted of each stream, since parts of a long line of one stream may lie before
  // whole lines of the other that are not wanted.
  LogCursor first_stdout;
  LogCursor first_stderr;
};

// The last `lines` lines that match. A long line counts once, however many parts it has; so does an
// unfinished one at the end. What comes after the last newline counts in a log that is `complete`.
// Blocks on the file system only.
absl::StatusOr<LogTail> FindLogTail(const std::string& directory, const LogFilter& filter,
                                    int64_t lines, bool complete);

}  // namespace noded

#endif  // NODE_LOG_TAIL_H_
