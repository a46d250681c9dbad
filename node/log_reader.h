// Reads a container's log: the files that node-shim writes (format: node/shim/LOG_FORMAT.md). A
// cursor names a place by file sequence and byte offset, so it stays valid across rotation and
// restarts.
#ifndef NODE_LOG_READER_H_
#define NODE_LOG_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "node/event_loop.h"
#include "node/streams.h"
#include "node/v1/container_service.pb.h"
#include "node/worker_pool.h"

namespace noded {

class Registry;

// "<sequence>:<offset>", as in LogEntry.cursor.
struct LogCursor {
  uint64_t sequence = 0;
  uint64_t offset = 0;
};
absl::StatusOr<LogCursor> ParseLogCursor(
    const std::string& text);  // INVALID_ARGUMENT, field "cursor"
std::string FormatLogCursor(const LogCursor& cursor);

// One line of a file → an entry (without cursor). nullopt: not a line of this format (torn by a
// crash).
std::optional<node::v1::LogEntry> ParseLogLine(std::string_view line);

// Thread-compatible: reads forward from a place, blocking on the file system only.
class LogReader {
 public:
  virtual ~LogReader() = default;
  // Up to 256 KiB of entries. Empty: nothing more for now. A last line without its newline is not
  // there yet, unless the writer has ended (`complete`): then it is what a crash tore, and is taken
  // as it is.
  virtual absl::StatusOr<node::v1::LogsResponse> Read(bool complete = false) = 0;
};
// Applies since, until, tail, stream and cursor of the request. A log that is not there yet reads
// as empty. `complete` as in Read: whether a torn last line counts for `tail`.
absl::StatusOr<std::unique_ptr<LogReader>> OpenLogReader(const std::string& log_directory,
                                                         const node::v1::LogsRequest& request,
                                                         bool complete = false);

// The Logs RPC. With follow it waits by inotify on the log directory, and ends when the container
// is not running any more and the last line was sent (node-shim completes the log before it tells
// the exit).
class LogService {
 public:
  // All outlive this. Thread-safe.
  static absl::StatusOr<std::unique_ptr<LogService>> Create(EventLoop* loop, WorkerPool* pool,
                                                            Registry* registry);
  virtual ~LogService() = default;
  virtual absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::LogsResponse>>> Logs(
      const node::v1::LogsRequest& request) = 0;
};

}  // namespace noded

#endif  // NODE_LOG_READER_H_
