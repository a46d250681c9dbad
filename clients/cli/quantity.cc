#include "clients/cli/quantity.h"

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace noded::cli {
namespace {

absl::Status Refuse(absl::string_view what, absl::string_view text, absl::string_view form) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not a ", what, ": ", form));
}

// Takes "12" or "1.5" off the front of text; no sign, no exponent, no "inf".
std::optional<long double> TakeDecimal(absl::string_view& text) {
  size_t end = 0;
  bool digits = false;
  bool point = false;
  for (; end < text.size(); ++end) {
    if (absl::ascii_isdigit(text[end])) {
      digits = true;
    } else if (text[end] == '.' && !point) {
      point = true;
    } else {
      break;
    }
  }
  if (!digits || end > 40) return std::nullopt;
  // Digit by digit and not strtold, because that follows the locale and reads hexadecimal.
  long double value = 0;
  long double place = 0;
  for (char c : text.substr(0, end)) {
    if (c == '.') {
      place = 1;
      continue;
    }
    value = value * 10 + (c - '0');
    if (place != 0) place *= 10;
  }
  text.remove_prefix(end);
  return place == 0 ? value : value / place;
}

std::optional<absl::Time> ReadTime(absl::string_view text, absl::Time now) {
  absl::Time time;
  std::string error;
  for (const char* form : {"%Y-%m-%d%ET%H:%M:%E*S%Ez", "%Y-%m-%d %H:%M:%E*S%Ez"}) {
    if (absl::ParseTime(form, text, &time, &error)) return time;
  }
  for (const char* form :
       {"%Y-%m-%d%ET%H:%M:%E*S", "%Y-%m-%d %H:%M:%E*S", "%Y-%m-%d%ET%H:%M", "%Y-%m-%d"}) {
    if (absl::ParseTime(form, text, absl::LocalTimeZone(), &time, &error)) return time;
  }
  // A plain number is a moment and not a duration, because scripts hand on `date +%s`.
  absl::string_view rest = text;
  std::optional<long double> seconds = TakeDecimal(rest);
  if (seconds && rest.empty() && *seconds < 1e12L) {
    const int64_t whole = static_cast<int64_t>(*seconds);
    return absl::FromUnixSeconds(whole) +
           absl::Nanoseconds(std::llround((*seconds - whole) * 1e9L));
  }
  absl::StatusOr<absl::Duration> ago = ParseDuration(text);
  if (!ago.ok()) return std::nullopt;
  return now - *ago;
}

}  // namespace

absl::StatusOr<int64_t> ParseSize(absl::string_view text) {
  constexpr absl::string_view kForm =
      "0 or more bytes, or a number with b, k, m, g or t, such as 64m or 1.5g";
  absl::string_view rest = text;
  std::optional<long double> number = TakeDecimal(rest);
  if (!number) return Refuse("size", text, kForm);
  std::string unit = absl::AsciiStrToLower(rest);
  constexpr absl::string_view kPowers = "bkmgt";
  size_t power = 0;
  if (!unit.empty()) {
    power = kPowers.find(unit[0]);
    absl::string_view tail = absl::string_view(unit).substr(1);
    bool known = power != absl::string_view::npos &&
                 (tail.empty() || (power > 0 && (tail == "b" || tail == "ib")));
    if (!known) return Refuse("size", text, kForm);
  }
  long double bytes = std::ldexp(*number, static_cast<int>(10 * power));
  if (bytes >= 9223372036854775808.0L) return Refuse("size", text, "at most 8388607t");
  return static_cast<int64_t>(bytes);
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  constexpr absl::string_view kForm =
      "seconds, or numbers with ms, s, m, h or d, such as 10s or 1m30s";
  constexpr std::array<std::pair<absl::string_view, int64_t>, 5> kUnits = {
      {{"ms", 1'000'000},
       {"s", 1'000'000'000},
       {"m", 60'000'000'000},
       {"h", 3'600'000'000'000},
       {"d", 86'400'000'000'000}}};
  // Beyond this a protobuf Duration is not valid, and nobody waits.
  constexpr long double kMostNanoseconds = 9e18L;
  absl::string_view rest = text;
  long double nanoseconds = 0;
  do {
    std::optional<long double> number = TakeDecimal(rest);
    if (!number) return Refuse("duration", text, kForm);
    int64_t scale = 0;
    if (rest.empty() && nanoseconds == 0) scale = 1'000'000'000;
    for (const auto& [unit, unit_nanoseconds] : kUnits) {
      if (scale == 0 && rest.substr(0, unit.size()) == unit) {
        scale = unit_nanoseconds;
        rest.remove_prefix(unit.size());
      }
    }
    if (scale == 0) return Refuse("duration", text, kForm);
    nanoseconds += *number * scale;
    if (nanoseconds > kMostNanoseconds) return Refuse("duration", text, "at most 100000d");
  } while (!rest.empty());
  return absl::Nanoseconds(std::llround(nanoseconds));
}

absl::StatusOr<absl::Time> ParseTime(absl::string_view text, absl::Time now) {
  // What a protobuf Timestamp can say. absl reads more: "infinite-past", and years of many digits.
  const absl::Time earliest = absl::FromUnixSeconds(-62135596800);  // year 1
  const absl::Time end = absl::FromUnixSeconds(253402300800);       // year 10000
  std::optional<absl::Time> time = ReadTime(text, now);
  if (time && *time >= earliest && *time < end) return *time;
  return Refuse("time", text,
                "an age such as 10m, RFC 3339 such as 2024-05-01T10:00:00Z, or seconds since 1970");
}

absl::StatusOr<int64_t> ParseCpus(absl::string_view text) {
  constexpr absl::string_view kForm = "processors, such as 1.5 or 0.25, 0.01 or more";
  absl::string_view rest = text;
  std::optional<long double> number = TakeDecimal(rest);
  if (!number || !rest.empty() || *number > 1e6L) return Refuse("number", text, kForm);
  int64_t quota = std::llround(*number * 100'000);
  if (quota < 1000) return Refuse("number", text, kForm);
  return quota;
}

absl::StatusOr<int64_t> ParseInteger(absl::string_view text, int64_t lowest, int64_t highest) {
  int64_t value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < lowest || value > highest) {
    std::string form = highest == std::numeric_limits<int64_t>::max()
                           ? absl::StrCat(lowest, " or more")
                           : absl::StrCat(lowest, " to ", highest);
    return Refuse("whole number", text, form);
  }
  return value;
}

}  // namespace noded::cli
