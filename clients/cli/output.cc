#include "clients/cli/output.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clients/cli/names.h"
#include "clients/cli/proto_time.h"

namespace noded::cli {
namespace {

// Cells are counted in characters, not bytes: a UTF-8 continuation byte takes no column.
size_t Width(absl::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string Ago(const google::protobuf::Timestamp& time, absl::Time now) {
  return absl::StrCat(HumanDuration(now - FromProto(time)), " ago");
}

std::string ExitedText(const node::v1::Container& container, absl::Time now) {
  std::string how = container.exit_status().has_signal()
                        ? SignalName(container.exit_status().signal())
                        : ExitText(container.exit_status());
  if (container.oom_killed()) absl::StrAppend(&how, ", out of memory");
  if (container.exit_reason() == node::v1::EXIT_REASON_START_FAILED) how = "start failed";
  if (container.exit_reason() == node::v1::EXIT_REASON_HOST_RESTARTED) how = "host restarted";
  std::string text = absl::StrCat("Exited (", how, ")");
  if (container.has_finish_time()) absl::StrAppend(&text, " ", Ago(container.finish_time(), now));
  return text;
}

}  // namespace

std::string ToJson(const google::protobuf::Message& message, bool indented) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = indented;
  std::string text;
  // Fails only for strings that are not UTF-8, which cannot have come through gRPC.
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return "{}\n";
  if (text.empty() || text.back() != '\n') text += '\n';
  return text;
}

std::string Table::Text() const {
  std::vector<size_t> widths(rows_[0].size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&text, Printable(row[i]));
      if (i + 1 < row.size()) text.append(widths[i] - Width(row[i]) + 3, ' ');
    }
    text += '\n';
  }
  return text;
}

std::string Printable(absl::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (absl::ascii_iscntrl(c)) c = '?';
  }
  return result;
}

std::string HumanSize(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  // %g would turn 1000 and more into an exponent.
  if (value >= 1000) return absl::StrFormat("%.0f%s", value, kUnits[unit]);
  return absl::StrFormat("%.4g%s", value, kUnits[unit]);
}

std::string Cut(absl::string_view text, size_t columns) {
  std::string cut;
  size_t used = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    bool begins_character = (text[i] & 0xc0) != 0x80;
    if (begins_character && ++used > columns) {
      size_t last = cut.size();
      while (last > 0 && (cut[last - 1] & 0xc0) == 0x80) --last;
      return absl::StrCat(cut.substr(0, last - 1), "…");
    }
    cut += text[i];
  }
  return cut;
}

std::string DecimalSize(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  // 999.5 and more would be shown as an exponent.
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return absl::StrFormat("%.3g%s", value, kUnits[unit]);
}

std::string ShortDigest(absl::string_view digest) {
  const size_t colon = digest.find(':');
  return ShortId(colon == absl::string_view::npos ? digest : digest.substr(colon + 1));
}

std::string HumanDuration(absl::Duration duration) {
  int64_t seconds = std::max<int64_t>(0, absl::ToInt64Seconds(duration));
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return absl::StrCat(seconds, " seconds");
  int64_t minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return absl::StrCat(minutes, " minutes");
  int64_t hours = (minutes + 30) / 60;
  if (hours == 1) return "About an hour";
  if (hours < 48) return absl::StrCat(hours, " hours");
  if (hours < 24 * 14) return absl::StrCat(hours / 24, " days");
  if (hours < 24 * 60) return absl::StrCat(hours / 24 / 7, " weeks");
  if (hours < 24 * 365 * 2) return absl::StrCat(hours / 24 / 30, " months");
  return absl::StrCat(hours / 24 / 365, " years");
}

std::string Rfc3339(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E9SZ", time, absl::UTCTimeZone());
}

std::string ShortId(absl::string_view id) { return std::string(id.substr(0, 12)); }

std::string ExitText(const node::v1::ExitStatus& status) {
  int number = ExitNumber(status);
  return number < 0 ? "unknown" : absl::StrCat(number);
}

int ExitNumber(const node::v1::ExitStatus& status) {
  if (status.has_code()) return status.code();
  if (status.has_signal()) return 128 + status.signal();
  return -1;
}

std::string StatusText(const node::v1::Container& container, absl::Time now) {
  switch (container.state()) {
    case node::v1::CONTAINER_STATE_RUNNING:
      return absl::StrCat("Up ", HumanDuration(now - FromProto(container.start_time())),
                          container.oom_killed() ? " (out of memory)" : "");
    case node::v1::CONTAINER_STATE_PAUSED:
      return absl::StrCat("Up ", HumanDuration(now - FromProto(container.start_time())),
                          " (Paused)");
    case node::v1::CONTAINER_STATE_EXITED:
      return ExitedText(container, now);
    default: {
      std::string name = NameOf(container.state());
      name[0] = absl::ascii_toupper(name[0]);
      return name;
    }
  }
}

}  // namespace noded::cli
