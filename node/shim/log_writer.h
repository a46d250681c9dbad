// Writes a container's log in the CRI format, as LOG_FORMAT.md says. Whole lines are written as
// they come, and an unfinished one is held (at most kMaxText bytes a stream) until it is finished
// or FlushPartial is called. Single-threaded.
#ifndef NODE_SHIM_LOG_WRITER_H_
#define NODE_SHIM_LOG_WRITER_H_

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "node/base/unique_fd.h"
#include "node/shim/failure.h"
#include "node/shim/scratch.h"

namespace noded::shim {

enum class Stream { kOutput = 0, kError = 1 };

class LogWriter {
 public:
  // Bytes of text in one entry; longer lines are split.
  static constexpr size_t kMaxText = 16 << 10;

  LogWriter();

  // Continues the log in the directory "log" of `directory` (made when missing), ending a torn last
  // line.
  MaybeFailure Open(int directory, const pb::LogPlan& plan);

  // Takes what one read gave and returns how much of it: less than all only when the disk is full
  // and the plan says to block, and then the rest is to be given again after Retry.
  size_t Append(Stream stream, std::string_view data, timespec now);
  // Writes unfinished lines as they are.
  void FlushPartial(timespec now);
  bool has_partial() const { return !partial_[0].empty() || !partial_[1].empty(); }

  bool blocked() const { return blocked_; }
  // Tries again to write what the full disk did not take. True: Append may go on.
  bool Retry();
  // From now on a full disk drops: the container has ended and nothing is gained by waiting.
  void StopBlocking();
  // Gives memory back; for idle times.
  void ReleaseMemory() { buffer_.Release(); }

 private:
  bool OpenFile(uint64_t sequence, bool must_be_new);
  void RemoveOldFiles();
  bool Rotate();
  bool AddEntry(Stream stream, char tag, std::string_view first, std::string_view second);
  void AddLostMarker();
  bool Flush();
  void Drop(int error);
  void FormatTime(timespec now);

  UniqueFd directory_;
  UniqueFd file_;
  uint64_t sequence_ = 0;
  int64_t file_bytes_ = 0;  // whole entries in the file
  int64_t max_file_bytes_ = 0;
  int max_files_ = 1;
  bool block_ = false;
  bool blocked_ = false;

  std::string partial_[2];
  Scratch buffer_;  // entries not written yet
  size_t buffered_ = 0;
  size_t written_ = 0;  // of the buffered, when blocked

  uint64_t lost_entries_ = 0;
  int lost_error_ = 0;
  size_t marker_bytes_ = 0;  // at the start of the buffer

  char time_[40];
  size_t time_bytes_ = 0;
  time_t time_second_ = -1;
};

}  // namespace noded::shim

#endif  // NODE_SHIM_LOG_WRITER_H_
