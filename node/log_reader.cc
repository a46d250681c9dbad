#include "node/log_reader.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/log_files.h"
#include "node/log_tail.h"

namespace noded {
namespace {

using node::v1::LogEntry;
using node::v1::LogsRequest;
using node::v1::LogsResponse;

constexpr size_t kMaxMessageBytes = 256 << 10;
constexpr size_t kReadBytes = 128 << 10;
// What an entry takes in a message besides its text.
constexpr size_t kEntryOverhead = 64;
// How often a file that was found may be gone when it is opened.
constexpr int kMaxTries = 10;

LogEntry ToEntry(const LogLine& line) {
  LogEntry entry;
  entry.mutable_time()->set_seconds(line.time.seconds);
  entry.mutable_time()->set_nanos(line.time.nanos);
  entry.set_stream(line.stream);
  entry.set_partial(line.partial);
  entry.set_line(line.text.data(), line.text.size());
  return entry;
}

absl::Status BadCursor(std::string_view why) { return InvalidField("cursor", why); }

class FileLogReader : public LogReader {
 public:
  FileLogReader(std::string directory, LogFilter filter)
      : directory_(std::move(directory)), filter_(filter) {}

  // Exactly one of these, or none: from the oldest on.
  void StartAt(const LogTail& tail) {
    start_ = tail.begin;
    first_stdout_ = tail.first_stdout;
    first_stderr_ = tail.first_stderr;
  }
  absl::Status StartAfter(const LogCursor& cursor);

  absl::StatusOr<LogsResponse> Read(bool complete) override;

 private:
  absl::StatusOr<bool> OpenStart();
  absl::StatusOr<bool> FindNextFile();
  void EnterNextFile();
  // Takes whole lines until the message is full (true) or the file has no more (false).
  absl::StatusOr<bool> ReadLines(LogsResponse& response);
  // Takes what comes after the last newline of a file that nobody writes any more. False: not now.
  absl::StatusOr<bool> TakeUnfinished(LogsResponse& response);
  // The next whole line, which stays until Consume. False: none (yet).
  absl::StatusOr<bool> PeekLine(std::string_view& line);
  absl::StatusOr<bool> FillBuffer();
  void Consume(size_t line_bytes);
  bool IsWanted(const LogLine& line) const;
  void AddEntry(const LogLine& line, LogsResponse& response);

  const std::string directory_;
  const LogFilter filter_;
  std::optional<LogCursor> start_;
  LogCursor first_stdout_;
  LogCursor first_stderr_;

  UniqueFd file_;
  LogCursor at_;  // of the next line
  UniqueFd next_file_;
  uint64_t next_sequence_ = 0;
  bool gap_ = false;  // before the next entry
  // What was read from at_ on begins at buffer_[consumed_].
  std::string buffer_;
  size_t consumed_ = 0;
  bool skipping_ = false;  // the rest of an overlong line
  size_t message_bytes_ = 0;
};

absl::Status FileLogReader::StartAfter(const LogCursor& cursor) {
  ASSIGN_OR_RETURN(std::vector<uint64_t> sequences, ListLogFiles(directory_));
  if (sequences.empty() || cursor.sequence > sequences.back()) {
    return BadCursor("lies beyond the end of this log");
  }
  start_ = cursor;
  if (cursor.sequence < sequences.front()) {
    gap_ = true;
    start_ = std::nullopt;
    return absl::OkStatus();
  }
  auto file = OpenLogFile(directory_, cursor.sequence);
  if (absl::IsNotFound(file.status())) {  // rotated away just now
    gap_ = true;
    start_ = std::nullopt;
    return absl::OkStatus();
  }
  if (!file.ok()) return Annotate(file.status(), "read log");
  if (cursor.offset == 0) return absl::OkStatus();
  char around[2];
  const ssize_t got = pread(file->get(), around, 2, static_cast<off_t>(cursor.offset - 1));
  if (got < 0) return ErrnoStatus(errno, "read log");
  if (got == 0) return BadCursor("lies beyond the end of this log");
  // The end of a torn entry has its newline behind it, or is the end of the log.
  if (around[0] != '\n' && got == 2 && around[1] != '\n') {
    return BadCursor("is not at the end of an entry of this log");
  }
  return absl::OkStatus();
}

absl::StatusOr<LogsResponse> FileLogReader::Read(bool complete) {
  LogsResponse response;
  message_bytes_ = 0;
  if (!file_) {
    ASSIGN_OR_RETURN(bool opened, OpenStart());
    if (!opened) return response;
  }
  while (true) {
    ASSIGN_OR_RETURN(bool full, ReadLines(response));
    if (full) return response;
    if (next_file_) {
      ASSIGN_OR_RETURN(bool taken, TakeUnfinished(response));
      if (!taken) return response;
      EnterNextFile();
      continue;
    }
    // Seen only now, the next file may have been begun after the last look at this one: the lines
    // that were written in between are read before going on.
    ASSIGN_OR_RETURN(bool found, FindNextFile());
    if (!found) break;
  }
  if (complete) RETURN_IF_ERROR(TakeUnfinished(response).status());
  return response;
}

absl::StatusOr<bool> FileLogReader::OpenStart() {
  for (int i = 0; i < kMaxTries; ++i) {
    LogCursor start;
    if (start_) {
      start = *start_;
    } else {
      ASSIGN_OR_RETURN(std::vector<uint64_t> sequences, ListLogFiles(directory_));
      if (sequences.empty()) return false;
      start.sequence = sequences.front();
    }
    auto file = OpenLogFile(directory_, start.sequence);
    if (file.ok()) {
      file_ = *std::move(file);
      at_ = start;
      return true;
    }
    if (!absl::IsNotFound(file.status())) return Annotate(file.status(), "read log");
    // Rotated away meanwhile.
    gap_ = gap_ || start_.has_value();
    start_ = std::nullopt;
  }
  return false;
}

absl::StatusOr<bool> FileLogReader::FindNextFile() {
  uint64_t sequence = at_.sequence + 1;
  auto file = OpenLogFile(directory_, sequence);
  if (absl::IsNotFound(file.status())) {
    // Not begun yet, or this one and more have been removed while it was read.
    struct stat info;
    if (fstat(file_.get(), &info) != 0) return ErrnoStatus(errno, "read log");
    if (info.st_nlink > 0) return false;
    ASSIGN_OR_RETURN(std::vector<uint64_t> sequences, ListLogFiles(directory_));
    auto next = std::upper_bound(sequences.begin(), sequences.end(), at_.sequence);
    if (next == sequences.end()) return false;
    sequence = *next;
    file = OpenLogFile(directory_, sequence);
    if (absl::IsNotFound(file.status())) return false;  // will be found by the next Read
  }
  if (!file.ok()) return Annotate(file.status(), "read log");
  next_file_ = *std::move(file);
  next_sequence_ = sequence;
  return true;
}

void FileLogReader::EnterNextFile() {
  if (next_sequence_ != at_.sequence + 1) gap_ = true;
  file_ = std::move(next_file_);
  at_ = {next_sequence_, 0};
  skipping_ = false;
}

absl::StatusOr<bool> FileLogReader::ReadLines(LogsResponse& response) {
  while (true) {
    std::string_view line;
    ASSIGN_OR_RETURN(bool found, PeekLine(line));
    if (!found) return false;
    if (auto split = SplitLogLine(line); split && !skipping_ && IsWanted(*split)) {
      const size_t bytes = split->text.size() + kEntryOverhead;
      if (response.entries_size() > 0 && message_bytes_ + bytes > kMaxMessageBytes) return true;
      message_bytes_ += bytes;
      Consume(line.size() + 1);
      AddEntry(*split, response);
    } else {
      skipping_ = false;
      Consume(line.size() + 1);
    }
  }
}

absl::StatusOr<bool> FileLogReader::TakeUnfinished(LogsResponse& response) {
  bool more = true;
  while (more && buffer_.size() <= kMaxLogLineBytes) {
    ASSIGN_OR_RETURN(more, FillBuffer());
  }
  const std::string line = std::exchange(buffer_, {});
  // Somebody does write it: the next Read goes on here.
  if (line.find('\n') != line.npos) return false;
  auto split = SplitLogLine(line);
  const bool wanted = split && !skipping_ && IsWanted(*split);
  if (wanted && response.entries_size() > 0 &&
      message_bytes_ + split->text.size() > kMaxMessageBytes) {
    return false;
  }
  // Passed over, so that it is not taken twice. The next writer begins with the missing newline.
  at_.offset += line.size();
  if (wanted) AddEntry(*split, response);
  return true;
}

absl::StatusOr<bool> FileLogReader::PeekLine(std::string_view& line) {
  size_t searched = consumed_;
  while (true) {
    const size_t newline = buffer_.find('\n', searched);
    if (newline != std::string::npos) {
      line = std::string_view(buffer_).substr(consumed_, newline - consumed_);
      return true;
    }
    if (buffer_.size() - consumed_ > kMaxLogLineBytes) {
      skipping_ = true;
      Consume(buffer_.size() - consumed_);
    }
    searched = buffer_.size() - consumed_;
    buffer_.erase(0, consumed_);
    consumed_ = 0;
    ASSIGN_OR_RETURN(bool more, FillBuffer());
    if (more) continue;
    // An unfinished line is read anew when there is more, because a writer whose disk is full takes
    // a torn entry back. And a follower that waits holds no memory: assigning an empty string would
    // keep the capacity.
    std::string().swap(buffer_);
    return false;
  }
}

absl::StatusOr<bool> FileLogReader::FillBuffer() {
  const size_t held = buffer_.size();
  buffer_.resize(held + kReadBytes);
  ssize_t got;
  do {
    got = pread(file_.get(), buffer_.data() + held, kReadBytes,
                static_cast<off_t>(at_.offset + held));
  } while (got < 0 && errno == EINTR);
  if (got < 0) return ErrnoStatus(errno, "read log");
  buffer_.resize(held + static_cast<size_t>(got));
  return got > 0;
}

void FileLogReader::Consume(size_t line_bytes) {
  consumed_ += line_bytes;
  at_.offset += line_bytes;
}

bool FileLogReader::IsWanted(const LogLine& line) const {
  const LogCursor& first =
      line.stream == node::v1::LOG_STREAM_STDOUT ? first_stdout_ : first_stderr_;
  return filter_.Matches(line) &&
         std::pair(at_.sequence, at_.offset) >= std::pair(first.sequence, first.offset);
}

void FileLogReader::AddEntry(const LogLine& line, LogsResponse& response) {
  LogEntry& entry = *response.add_entries();
  entry = ToEntry(line);
  entry.set_cursor(FormatLogCursor(at_));
  entry.set_gap(std::exchange(gap_, false));
}

std::optional<LogTime> CheckedTime(bool present, const google::protobuf::Timestamp& time,
                                   std::string_view field, Violations& violations) {
  if (!present) return std::nullopt;
  // The years 1 to 9999, as timestamp.proto says.
  if (time.seconds() < -62135596800 || time.seconds() > 253402300799 || time.nanos() < 0 ||
      time.nanos() > 999999999) {
    violations.Add(field, "must be a time in the years 1 to 9999");
  }
  return LogTime{time.seconds(), time.nanos()};
}

}  // namespace

absl::StatusOr<LogCursor> ParseLogCursor(const std::string& text) {
  constexpr size_t kMaxDigits = 19;
  const size_t colon = text.find(':');
  LogCursor cursor;
  auto parse = [](const std::string& digits, uint64_t& value) {
    return !digits.empty() && digits.size() <= kMaxDigits &&
           std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
           absl::SimpleAtoi(digits, &value);
  };
  if (colon == std::string::npos || !parse(text.substr(0, colon), cursor.sequence) ||
      !parse(text.substr(colon + 1), cursor.offset) ||
      cursor.offset > static_cast<uint64_t>(std::numeric_limits<off_t>::max())) {
    return BadCursor("must be the cursor of a log entry");
  }
  return cursor;
}

std::string FormatLogCursor(const LogCursor& cursor) {
  return absl::StrCat(cursor.sequence, ":", cursor.offset);
}

std::optional<LogEntry> ParseLogLine(std::string_view line) {
  auto split = SplitLogLine(line);
  if (!split) return std::nullopt;
  return ToEntry(*split);
}

absl::StatusOr<std::unique_ptr<LogReader>> OpenLogReader(const std::string& log_directory,
                                                         const LogsRequest& request,
                                                         bool complete) {
  Violations violations;
  LogFilter filter;
  filter.since = CheckedTime(request.has_since(), request.since(), "since", violations);
  filter.until = CheckedTime(request.has_until(), request.until(), "until", violations);
  filter.stream = request.stream();
  if (!node::v1::LogStream_IsValid(request.stream())) violations.Add("stream", "is not a stream");
  if (request.tail() < 0) violations.Add("tail", "must not be negative");
  LogCursor cursor;
  if (!request.cursor().empty()) {
    if (request.has_since()) violations.Add("since", "excludes cursor");
    if (request.has_tail()) violations.Add("tail", "excludes cursor");
    auto parsed = ParseLogCursor(request.cursor());
    if (!parsed.ok()) violations.Add("cursor", "must be the cursor of a log entry");
    cursor = parsed.value_or(cursor);
  }
  RETURN_IF_ERROR(violations.ToStatus());

  auto reader = std::make_unique<FileLogReader>(log_directory, filter);
  if (!request.cursor().empty()) RETURN_IF_ERROR(reader->StartAfter(cursor));
  if (request.has_tail()) {
    ASSIGN_OR_RETURN(LogTail tail, FindLogTail(log_directory, filter, request.tail(), complete));
    reader->StartAt(tail);
  }
  return reader;
}

}  // namespace noded
