// Statistics files: held open, read by pread, and parsed. The parsers are pure; nothing here makes
// up a number that was not in a file.
#ifndef CGROUP_STAT_FILES_H_
#define CGROUP_STAT_FILES_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "cgroup/limits.h"
#include "node/base/unique_fd.h"

namespace noded::cgroup {

// Reads held files, one at a time. Thread-compatible.
class StatReader {
 public:
  // The content, until the thread's next call of any reader: they share a buffer a thread, because
  // one each would be 16 KiB for every container that is sampled. nullopt when the file is not held
  // or cannot be read. One system call, as long as the content is smaller than the buffer, which
  // grows up to 1 MiB.
  std::optional<std::string_view> Read(const UniqueFd& file);
  std::optional<uint64_t> ReadNumber(const UniqueFd& file);
  // Whether a file said since construction that its group is no more.
  bool gone() const { return gone_; }

 private:
  bool gone_ = false;
};

// Calls `line` for each line of "key number"; others are passed over.
void ForEachKeyed(std::string_view content,
                  absl::FunctionRef<void(std::string_view key, uint64_t value)> line);

// memory.stat of both versions: v1 has the sums over groups below in keys that begin with "total_".
void ParseMemoryStat(std::string_view content, bool v1, Stats& stats);
// cpu.stat as v2 has it, microseconds; on a hybrid host the cgroup2 mount's tells the first three.
void ParseCpuStatV2(std::string_view content, Stats& stats);
// The cpu controller's cpu.stat on v1, nanoseconds.
void ParseThrottlingV1(std::string_view content, Stats& stats);
// io.stat: "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0".
std::vector<BlockStats> ParseIoStat(std::string_view content);
// blkio.throttle.io_service_bytes and io_serviced: "8:16 Read 1", added to what is in `devices`.
enum class BlkioFile { kBytes, kOperations };
void ParseBlkio(std::string_view content, BlkioFile file, std::vector<BlockStats>& devices);
// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", and the same for "full".
std::optional<Pressure> ParsePressure(std::string_view content);

}  // namespace noded::cgroup

#endif  // CGROUP_STAT_FILES_H_
