// libs: node_records
// A line of a log's file, as a crash or a full disk may have left it, and as containers fill it.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "node/log_reader.h"

namespace {

void Check(bool holds) {
  if (!holds) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  auto entry = noded::ParseLogLine(line);
  if (!entry) return 0;
  // The text is the line's end, to the byte, and the head is what the entry says.
  Check(line.ends_with(entry->line()));
  Check(entry->time().nanos() >= 0 && entry->time().nanos() <= 999'999'999);
  Check(entry->time().seconds() >= -62135596800 && entry->time().seconds() <= 253402300799);
  const absl::Time time =
      absl::FromUnixSeconds(entry->time().seconds()) + absl::Nanoseconds(entry->time().nanos());
  const std::string again =
      absl::StrCat(absl::FormatTime("%Y-%m-%d%ET%H:%M:%E9SZ", time, absl::UTCTimeZone()),
                   entry->stream() == node::v1::LOG_STREAM_STDOUT ? " stdout " : " stderr ",
                   entry->partial() ? "P " : "F ", entry->line());
  // The writer's form of the same entry reads as the same.
  const auto year = absl::ToCivilYear(time, absl::UTCTimeZone()).year();
  if (year < 1000 || year > 9998) return 0;  // fewer digits, or the zone led out of the range
  auto repeated = noded::ParseLogLine(again);
  Check(repeated && repeated->SerializeAsString() == entry->SerializeAsString());
  return 0;
}
