#include "node/shim/log_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <optional>

#include "node/base/file.h"
#include "node/base/status.h"

namespace noded::shim {
namespace {

constexpr size_t kBufferBytes = 128 << 10;
constexpr size_t kSequenceDigits = 10;
constexpr std::string_view kSuffix = ".log";
// Around time and text: " stdout ", tag, space, newline.
constexpr size_t kEntryOverhead = 11;

std::string FileName(uint64_t sequence) {
  std::string digits = std::to_string(sequence);
  return std::string(kSequenceDigits - std::min(digits.size(), kSequenceDigits), '0') + digits +
         std::string(kSuffix);
}

std::optional<uint64_t> SequenceOf(std::string_view name) {
  if (name.size() != kSequenceDigits + kSuffix.size() || !name.ends_with(kSuffix)) return {};
  uint64_t sequence = 0;
  for (char c : name.substr(0, kSequenceDigits)) {
    if (c < '0' || c > '9') return {};
    sequence = sequence * 10 + static_cast<uint64_t>(c - '0');
  }
  return sequence;
}

// Days since 1970 to a date of the proleptic Gregorian calendar. Not gmtime: it would read the time
// zone's files.
void CivilDate(int64_t days, int* year, int* month, int* day) {
  days += 719468;
  const int64_t era = days / 146097;
  const int64_t day_of_era = days - era * 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted_month = (5 * day_of_year + 2) / 153;
  *day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  *month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  *year = static_cast<int>(year_of_era + era * 400 + (*month <= 2 ? 1 : 0));
}

void PutDigits(char* at, int count, int64_t value) {
  for (int i = count - 1; i >= 0; --i) {
    at[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

}  // namespace

LogWriter::LogWriter() : buffer_(kBufferBytes) {}

MaybeFailure LogWriter::Open(int directory, const pb::LogPlan& plan) {
  max_file_bytes_ =
      plan.max_file_bytes() > 0 ? plan.max_file_bytes() : std::numeric_limits<int64_t>::max();
  max_files_ = std::max(plan.max_files(), 1);
  block_ = plan.block_when_full();
  if (!buffer_.valid()) return Fail(pb::FAILURE_STEP_LOG, ENOMEM, "buffer");
  if (mkdirat(directory, "log", 0700) != 0 && errno != EEXIST) {
    return Fail(pb::FAILURE_STEP_LOG, errno, "log");
  }
  directory_.Reset(openat(directory, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!directory_) return Fail(pb::FAILURE_STEP_LOG, errno, "log");
  absl::StatusOr<std::vector<std::string>> names = ListDirAt(directory_.get(), ".");
  if (!names.ok()) return Fail(pb::FAILURE_STEP_LOG, EIO, "log");
  uint64_t newest = 0;
  for (const std::string& name : *names) {
    if (std::optional<uint64_t> sequence = SequenceOf(name)) newest = std::max(newest, *sequence);
  }
  if (!OpenFile(std::max<uint64_t>(newest, 1), newest == 0)) {
    return Fail(pb::FAILURE_STEP_LOG, errno, "log/" + FileName(sequence_));
  }
  return std::nullopt;
}

bool LogWriter::OpenFile(uint64_t sequence, bool must_be_new) {
  const std::string name = FileName(sequence);
  UniqueFd file(openat(
      directory_.get(), name.c_str(),
      O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (must_be_new ? O_EXCL : 0), 0600));
  struct stat info;
  if (!file || fstat(file.get(), &info) != 0) return false;
  file_bytes_ = info.st_size;
  char last = '\n';
  if (file_bytes_ > 0 && pread(file.get(), &last, 1, file_bytes_ - 1) != 1) return false;
  // A writer that was killed, or a machine that lost power, may have left a part of an entry. It
  // stays, as it may be the last that was said; but what follows must not be glued to it.
  if (last != '\n') {
    if (write(file.get(), "\n", 1) != 1) return false;
    ++file_bytes_;
  }
  file_ = std::move(file);
  sequence_ = sequence;
  return true;
}

void LogWriter::RemoveOldFiles() {
  if (sequence_ <= static_cast<uint64_t>(max_files_)) return;
  const uint64_t first_kept = sequence_ - static_cast<uint64_t>(max_files_) + 1;
  // By their names and not only the one before, because an earlier run may have kept more.
  absl::StatusOr<std::vector<std::string>> names = ListDirAt(directory_.get(), ".");
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    std::optional<uint64_t> sequence = SequenceOf(name);
    if (sequence && *sequence < first_kept) unlinkat(directory_.get(), name.c_str(), 0);
  }
}

bool LogWriter::Rotate() {
  if (!OpenFile(sequence_ + 1, true)) {
    lost_error_ = errno;
    return false;
  }
  RemoveOldFiles();
  return true;
}

size_t LogWriter::Append(Stream stream, std::string_view data, timespec now) {
  FormatTime(now);
  std::string& partial = partial_[static_cast<int>(stream)];
  std::string_view rest = data;
  while (!rest.empty() && !blocked_) {
    const size_t room = kMaxText - partial.size();
    const std::string_view window = rest.substr(0, room);
    const size_t newline = window.find('\n');
    const bool ends = newline != std::string_view::npos;
    if (!ends && window.size() < room) {
      partial.append(window);
      rest = {};
      break;
    }
    const std::string_view text = ends ? window.substr(0, newline) : window;
    if (!AddEntry(stream, ends ? 'F' : 'P', partial, text)) break;
    if (!partial.empty()) partial = std::string();
    rest.remove_prefix(text.size() + (ends ? 1 : 0));
  }
  if (!blocked_) Flush();
  return data.size() - rest.size();
}

void LogWriter::FlushPartial(timespec now) {
  FormatTime(now);
  for (Stream stream : {Stream::kOutput, Stream::kError}) {
    std::string& partial = partial_[static_cast<int>(stream)];
    if (partial.empty() || !AddEntry(stream, 'P', partial, {})) continue;
    partial = std::string();
  }
  if (!blocked_) Flush();
}

// False, with the entry not taken, only when blocked.
bool LogWriter::AddEntry(Stream stream, char tag, std::string_view first, std::string_view second) {
  const size_t bytes = time_bytes_ + first.size() + second.size() + kEntryOverhead;
  const bool file_full = file_bytes_ + static_cast<int64_t>(buffered_ + bytes) > max_file_bytes_ &&
                         file_bytes_ + static_cast<int64_t>(buffered_) > 0;
  if ((file_full || buffered_ + bytes > kBufferBytes) && !Flush()) return false;
  // A file that cannot be begun is a full disk like any other: the old one goes on a little over
  // its size, if it can.
  if (file_full) (void)Rotate();
  if (buffered_ == 0 && lost_entries_ > 0) AddLostMarker();
  char* at = buffer_.data() + buffered_;
  auto put = [&at](std::string_view part) { at = std::copy(part.begin(), part.end(), at); };
  put({time_, time_bytes_});
  put(stream == Stream::kOutput ? " stdout " : " stderr ");
  *at++ = tag;
  *at++ = ' ';
  put(first);
  put(second);
  *at++ = '\n';
  buffered_ = static_cast<size_t>(at - buffer_.data());
  return true;
}

void LogWriter::AddLostMarker() {
  const std::string marker =
      std::string(time_, time_bytes_) + " stderr F [noded: " + std::to_string(lost_entries_) +
      (lost_entries_ == 1 ? " line" : " lines") + " lost: " + ErrnoText(lost_error_) + "]\n";
  memcpy(buffer_.data(), marker.data(), marker.size());
  buffered_ = marker_bytes_ = marker.size();
}

// Writes the buffer out. False only when blocked: what is not written stays.
bool LogWriter::Flush() {
  while (written_ < buffered_) {
    ssize_t wrote = write(file_.get(), buffer_.data() + written_, buffered_ - written_);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      if (block_) {
        blocked_ = true;
        return false;
      }
      Drop(errno);
      return true;
    }
    written_ += static_cast<size_t>(wrote);
  }
  if (marker_bytes_ > 0) lost_entries_ = 0;
  file_bytes_ += static_cast<int64_t>(buffered_);
  buffered_ = written_ = marker_bytes_ = 0;
  return true;
}

// Gives up what is not written, counts it, and takes a half-written entry back.
void LogWriter::Drop(int error) {
  const std::string_view all(buffer_.data(), buffered_);
  const size_t boundary = written_ == 0 ? std::string_view::npos : all.rfind('\n', written_ - 1);
  const size_t whole = boundary == std::string_view::npos ? 0 : boundary + 1;
  if (whole < written_) (void)ftruncate(file_.get(), file_bytes_ + static_cast<int64_t>(whole));
  file_bytes_ += static_cast<int64_t>(whole);
  // A marker that made it to the disk has told of what was lost before; one that did not is no loss
  // itself.
  if (marker_bytes_ > 0 && whole >= marker_bytes_) lost_entries_ = 0;
  const size_t first_lost = std::max(whole, marker_bytes_);
  lost_entries_ += static_cast<uint64_t>(
      std::count(all.begin() + static_cast<ptrdiff_t>(first_lost), all.end(), '\n'));
  lost_error_ = error;
  buffered_ = written_ = marker_bytes_ = 0;
}

bool LogWriter::Retry() {
  if (!blocked_) return true;
  blocked_ = false;
  return Flush();
}

void LogWriter::StopBlocking() {
  block_ = false;
  (void)Retry();
}

void LogWriter::FormatTime(timespec now) {
  // The date is the same for many reads; only the fraction changes.
  if (now.tv_sec != time_second_) {
    constexpr int64_t kDay = 86400;
    const int64_t seconds = std::max<int64_t>(now.tv_sec, 0);
    int year, month, day;
    CivilDate(seconds / kDay, &year, &month, &day);
    memcpy(time_, "0000-00-00T00:00:00.000000000Z", 30);
    PutDigits(time_, 4, year);
    PutDigits(time_ + 5, 2, month);
    PutDigits(time_ + 8, 2, day);
    PutDigits(time_ + 11, 2, seconds % kDay / 3600);
    PutDigits(time_ + 14, 2, seconds % 3600 / 60);
    PutDigits(time_ + 17, 2, seconds % 60);
    time_bytes_ = 30;
    time_second_ = now.tv_sec;
  }
  PutDigits(time_ + 20, 9, now.tv_nsec);
}

}  // namespace noded::shim
