// Reads the quantities of a command line: sizes, durations, processors, times. Pure.
// INVALID_ARGUMENT says which form is allowed; the flag's name is put before it by FlagSet.
#ifndef CLIENTS_CLI_QUANTITY_H_
#define CLIENTS_CLI_QUANTITY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace noded::cli {

// Bytes: "512", "64m", "1.5g", "10KiB". b, k, m, g, t, with or without "b" or "ib", are powers of
// 1024, as Docker has them. Not negative; a fraction of a byte is cut off.
absl::StatusOr<int64_t> ParseSize(absl::string_view text);
// "90", "1.5" (seconds), "10s", "1m30s", "2h", "150ms", "1d12h". Not negative.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);
// A moment: RFC 3339 ("2024-05-01T10:00:00Z"; without zone: local time; date alone: its midnight),
// seconds since 1970
// ("1714557600.5"), or a duration before `now` ("10m").
absl::StatusOr<absl::Time> ParseTime(absl::string_view text, absl::Time now);
// Processors as microseconds of each 100 ms: "1.5" is 150000. 0.01 or more.
absl::StatusOr<int64_t> ParseCpus(absl::string_view text);
// A whole number from `lowest` to `highest`.
absl::StatusOr<int64_t> ParseInteger(absl::string_view text, int64_t lowest, int64_t highest);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_QUANTITY_H_
