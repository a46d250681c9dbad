#include "node/log_tail.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "node/base/status.h"
#include "node/base/unique_fd.h"

namespace noded {
namespace {

constexpr size_t kBlockBytes = 64 << 10;
// How far before the last line that counts the beginnings of long lines are looked for.
constexpr uint64_t kMostBefore = 2 << 20;

// The lines of a file, from the last to the first.
class BackwardLines {
 public:
  explicit BackwardLines(int fd) : fd_(fd) {}

  // What comes after the last newline is a line too when nobody writes the file any more.
  absl::Status Open(bool complete) {
    struct stat info;
    if (fstat(fd_, &info) != 0) return ErrnoStatus(errno, "read log");
    offset_ = static_cast<uint64_t>(info.st_size);
    RETURN_IF_ERROR(TakeBackTo(unfinished_));
    end_ = offset_ + held_.size();
    if (!complete) unfinished_.clear();
    return absl::OkStatus();
  }
  // Where the last line that has its newline ends.
  uint64_t end() const { return end_; }

  // False: no more. `begin` is the offset of its first byte. An overlong one is given as empty.
  absl::StatusOr<bool> Previous(std::string& line, uint64_t& begin) {
    if (!unfinished_.empty()) {
      line = std::exchange(unfinished_, {});
      begin = end_;
      return true;
    }
    if (offset_ + held_.size() == 0) return false;
    held_.pop_back();  // its newline
    RETURN_IF_ERROR(TakeBackTo(line));
    begin = offset_ + held_.size();
    return true;
  }

 private:
  // Moves what follows the newline before into `line`; the newline stays the last byte held.
  absl::Status TakeBackTo(std::string& line) {
    line.clear();
    bool overlong = false;
    while (true) {
      const size_t newline = held_.rfind('\n');
      const size_t first = newline == std::string::npos ? 0 : newline + 1;
      if (overlong || line.size() + held_.size() - first > kMaxLogLineBytes) {
        overlong = true;
        line.clear();
      } else {
        line.insert(0, held_, first);
      }
      held_.resize(first);
      if (newline != std::string::npos || offset_ == 0) return absl::OkStatus();
      RETURN_IF_ERROR(ReadBlockBefore());
    }
  }

  absl::Status ReadBlockBefore() {
    const size_t size = std::min<uint64_t>(kBlockBytes, offset_);
    held_.resize(size);
    size_t done = 0;
    while (done < size) {
      ssize_t got =
          pread(fd_, held_.data() + done, size - done, static_cast<off_t>(offset_ - size + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoStatus(errno, "read log");
      // The writer took a torn entry back: what is no longer there was no line.
      if (got == 0) std::fill(held_.begin() + static_cast<ptrdiff_t>(done), held_.end(), 'x');
      done = got == 0 ? size : done + static_cast<size_t>(got);
    }
    offset_ -= size;
    return absl::OkStatus();
  }

  const int fd_;
  uint64_t offset_ = 0;  // of the first byte held
  std::string held_;     // ends with the newline of the line before the last that was given
  uint64_t end_ = 0;
  std::string unfinished_;
};

// Walks backwards through entries and tells when enough has been seen.
class TailCount {
 public:
  TailCount(int64_t lines, LogCursor end) : lines_(lines) {
    tail_.begin = end;
    tail_.first_stdout = tail_.first_stderr = end;
  }

  void Add(const LogLine& line, LogCursor at) {
    Stream& stream = line.stream == node::v1::LOG_STREAM_STDOUT ? stdout_ : stderr_;
    LogCursor& first =
        line.stream == node::v1::LOG_STREAM_STDOUT ? tail_.first_stdout : tail_.first_stderr;
    // Going backwards, a part belongs to the entry of its stream that came after it.
    const bool ends_line = !line.partial || !stream.seen;
    stream.seen = true;
    if (ends_line && counted_ == lines_) {
      stream.complete = true;
      return;
    }
    if (stream.complete) return;
    if (ends_line) ++counted_;
    stream.wanted = true;
    first = at;
    tail_.begin = at;
  }
  bool Enough() {
    if (counted_ < lines_) return false;
    const bool open =
        (stdout_.wanted && !stdout_.complete) || (stderr_.wanted && !stderr_.complete);
    return !open;
  }
  bool counted_all() const { return counted_ >= lines_; }
  const LogTail& tail() const { return tail_; }

 private:
  struct Stream {
    bool seen = false;
    bool wanted = false;    // has an entry in the tail
    bool complete = false;  // the beginning of its first line has been found
  };
  const int64_t lines_;
  int64_t counted_ = 0;
  Stream stdout_;
  Stream stderr_;
  LogTail tail_;
};

}  // namespace

absl::StatusOr<LogTail> FindLogTail(const std::string& directory, const LogFilter& filter,
                                    int64_t lines, bool complete) {
  ASSIGN_OR_RETURN(std::vector<uint64_t> sequences, ListLogFiles(directory));
  std::optional<TailCount> count;
  uint64_t bytes_before = 0;
  std::string line;
  for (auto sequence = sequences.rbegin(); sequence != sequences.rend(); ++sequence) {
    auto file = OpenLogFile(directory, *sequence);
    if (absl::IsNotFound(file.status())) break;  // removed meanwhile, and all before it too
    if (!file.ok()) return Annotate(file.status(), "read log");
    BackwardLines backward(file->get());
    RETURN_IF_ERROR(backward.Open(complete || sequence != sequences.rbegin()));
    if (!count) count.emplace(lines, LogCursor{*sequence, backward.end()});
    while (!count->Enough() && bytes_before < kMostBefore) {
      uint64_t begin;
      ASSIGN_OR_RETURN(bool more, backward.Previous(line, begin));
      if (!more) break;
      auto split = SplitLogLine(line);
      if (split && filter.Matches(*split)) count->Add(*split, {*sequence, begin});
      if (count->counted_all()) bytes_before += line.size();
    }
    if (count->Enough() || bytes_before >= kMostBefore) break;
  }
  return count ? count->tail() : LogTail{};
}

}  // namespace noded
