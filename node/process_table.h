// Processes as /proc shows them. Parsers are pure; readers touch /proc alone. Thread-safe.
#ifndef NODE_PROCESS_TABLE_H_
#define NODE_PROCESS_TABLE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace noded {

// Fields of /proc/PID/stat (proc(5)).
struct ProcessStat {
  std::string command;  // at most 15 bytes
  char state = '?';
  pid_t parent = 0;
  uint64_t user_ticks = 0, system_ticks = 0;
  uint64_t start_ticks = 0;  // since boot
  int64_t rss_pages = 0;
};
absl::StatusOr<ProcessStat> ParseProcessStat(const std::string& stat);
// NOT_FOUND when there is no such process.
absl::StatusOr<ProcessStat> ReadProcessStat(pid_t pid);

}  // namespace noded

#endif  // NODE_PROCESS_TABLE_H_
