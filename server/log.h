// The daemon's log: one line an event on standard error, as key=value or JSON. Thread-safe.
#ifndef SERVER_LOG_H_
#define SERVER_LOG_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace noded::server {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

struct LogField {
  std::string_view key;  // [a-z_]+
  std::string value;
};

// Starts the writing thread; before it, lines are dropped. Writing is asynchronous, with a bounded
// queue that drops its oldest line, because standard error may be a pipe that nobody reads and no
// request may wait for it. Also takes up what gRPC logs. Call once, before other threads exist.
void StartLog(LogLevel level, LogFormat format);
// Writes out what is queued and ends the thread. Once, when no other thread logs any more.
void StopLog();

void Log(LogLevel level, std::string_view message, const std::vector<LogField>& fields = {});

// One line without its newline. Pure.
std::string RenderLogLine(LogFormat format, absl::Time time, LogLevel level,
                          std::string_view message, const std::vector<LogField>& fields);

}  // namespace noded::server

#endif  // SERVER_LOG_H_
