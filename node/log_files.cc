#include "node/log_files.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded {
namespace {

constexpr size_t kSequenceDigits = 10;
constexpr std::string_view kSuffix = ".log";

// Takes `count` digits off the front.
bool TakeDigits(std::string_view& in, size_t count, int& value) {
  if (in.size() < count) return false;
  value = 0;
  for (size_t i = 0; i < count; ++i) {
    if (in[i] < '0' || in[i] > '9') return false;
    value = value * 10 + (in[i] - '0');
  }
  in.remove_prefix(count);
  return true;
}

bool TakeChar(std::string_view& in, char wanted) {
  if (in.empty() || in[0] != wanted) return false;
  in.remove_prefix(1);
  return true;
}

bool TakePrefix(std::string_view& in, std::string_view wanted) {
  if (!in.starts_with(wanted)) return false;
  in.remove_prefix(wanted.size());
  return true;
}

// Days from 1970-01-01 to a date of the Gregorian calendar, by counting years from March on, so
// that a leap day is the last of its year.
int64_t DaysFromCivil(int year, int month, int day) {
  const int64_t y = month <= 2 ? year - 1 : year;
  const int64_t era = y / 400;
  const int64_t year_of_era = y - era * 400;
  const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
         719468;
}

bool TakeZone(std::string_view& in, int64_t& offset_seconds) {
  offset_seconds = 0;
  if (TakeChar(in, 'Z')) return true;
  const int sign = TakeChar(in, '+') ? 1 : TakeChar(in, '-') ? -1 : 0;
  int hours, minutes;
  if (sign == 0 || !TakeDigits(in, 2, hours) || !TakeChar(in, ':') || !TakeDigits(in, 2, minutes) ||
      hours > 23 || minutes > 59) {
    return false;
  }
  offset_seconds = sign * (hours * 3600 + minutes * 60);
  return true;
}

// By hand, because a long log is searched by its times: some 20 ns instead of 500.
bool TakeTime(std::string_view& in, LogTime& time) {
  int year, month, day, hour, minute, second;
  if (!TakeDigits(in, 4, year) || !TakeChar(in, '-') || !TakeDigits(in, 2, month) ||
      !TakeChar(in, '-') || !TakeDigits(in, 2, day) || !TakeChar(in, 'T') ||
      !TakeDigits(in, 2, hour) || !TakeChar(in, ':') || !TakeDigits(in, 2, minute) ||
      !TakeChar(in, ':') || !TakeDigits(in, 2, second)) {
    return false;
  }
  // The year 1 with a zone could fall before the first Timestamp; no log is that old.
  if (year < 2 || year > 9998 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
      minute > 59 || second > 60) {
    return false;
  }
  int nanos = 0;
  if (TakeChar(in, '.')) {
    size_t digits = 0;
    for (int digit; digits < 9 && TakeDigits(in, 1, digit); ++digits) nanos = nanos * 10 + digit;
    if (digits == 0) return false;
    for (; digits < 9; ++digits) nanos *= 10;
  }
  int64_t offset;
  if (!TakeZone(in, offset)) return false;
  time.seconds =
      DaysFromCivil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
  time.nanos = nanos;
  return true;
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

}  // namespace

std::optional<LogLine> SplitLogLine(std::string_view line) {
  LogLine result;
  if (!TakeTime(line, result.time)) return {};
  if (TakePrefix(line, " stdout ")) {
    result.stream = node::v1::LOG_STREAM_STDOUT;
  } else if (TakePrefix(line, " stderr ")) {
    result.stream = node::v1::LOG_STREAM_STDERR;
  } else {
    return {};
  }
  if (TakePrefix(line, "P ")) {
    result.partial = true;
  } else if (!TakePrefix(line, "F ")) {
    return {};
  }
  result.text = line;
  return result;
}

bool LogFilter::Matches(const LogLine& line) const {
  return (!since || line.time >= *since) && (!until || line.time < *until) &&
         (stream == node::v1::LOG_STREAM_UNSPECIFIED || stream == line.stream);
}

absl::StatusOr<std::vector<uint64_t>> ListLogFiles(const std::string& directory) {
  std::vector<uint64_t> sequences;
  auto names = ListDirAt(AT_FDCWD, directory);
  if (absl::IsNotFound(names.status())) return sequences;
  if (!names.ok()) return Annotate(names.status(), "read log");
  for (const std::string& name : *names) {
    if (auto sequence = SequenceOf(name)) sequences.push_back(*sequence);
  }
  std::sort(sequences.begin(), sequences.end());
  return sequences;
}

absl::StatusOr<UniqueFd> OpenLogFile(const std::string& directory, uint64_t sequence) {
  return OpenAt(AT_FDCWD, absl::StrFormat("%s/%010u.log", directory, sequence),
                O_RDONLY | O_NOFOLLOW | O_NOCTTY);
}

}  // namespace noded
