// The files of one container's log, and their lines: log/<10-digit sequence>.log, each line
//   <RFC 3339 time> <stdout|stderr> <P|F> <text>\n
// They are written by another process while they are read, and removed from the oldest on. What a
// crash tore is not a line. Thread-safe: there is no state here.
#ifndef NODE_LOG_FILES_H_
#define NODE_LOG_FILES_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "node/base/unique_fd.h"
#include "node/v1/container_service.pb.h"

namespace noded {

// A line with more bytes before its newline is none of ours, and is skipped.
inline constexpr size_t kMaxLogLineBytes = 2 << 20;

struct LogTime {
  int64_t seconds = 0;  // since 1970, UTC
  int32_t nanos = 0;
  auto operator<=>(const LogTime&) const = default;  // NOLINT(modernize-use-nullptr): not one
};

struct LogLine {
  LogTime time;
  node::v1::LogStream stream = node::v1::LOG_STREAM_UNSPECIFIED;
  bool partial = false;
  std::string_view text;  // into the line that was given
};
// `line` without its newline. nullopt: not of this format.
std::optional<LogLine> SplitLogLine(std::string_view line);

// What of a log is wanted.
struct LogFilter {
  std::optional<LogTime> since;                                   // inclusive
  std::optional<LogTime> until;                                   // exclusive
  node::v1::LogStream stream = node::v1::LOG_STREAM_UNSPECIFIED;  // both

  bool Matches(const LogLine& line) const;
};

// Their sequence numbers, rising. Empty when there is no log yet.
absl::StatusOr<std::vector<uint64_t>> ListLogFiles(const std::string& directory);
// NOT_FOUND when it has been removed, or is not there yet.
absl::StatusOr<UniqueFd> OpenLogFile(const std::string& directory, uint64_t sequence);

}  // namespace noded

#endif  // NODE_LOG_FILES_H_
