// How values are printed: JSON, tables, and figures as people read them. Pure.
#ifndef CLIENTS_CLI_OUTPUT_H_
#define CLIENTS_CLI_OUTPUT_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "node/v1/container.pb.h"

namespace noded::cli {

// proto3 JSON with the fields' names as in the .proto files. Indented for people, or one line for
// streams; ends with a newline.
std::string ToJson(const google::protobuf::Message& message, bool indented);

// Columns as wide as their widest cell, three spaces apart; the last is not padded. Control
// characters in cells are shown as "?", because a name or command line is foreign data and must not
// drive a terminal.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// At most `columns` characters, the last of them "…" when something was cut.
std::string Cut(absl::string_view text, size_t columns);
// The text with control characters as "?".
std::string Printable(absl::string_view text);
// "1.5GiB", "64MiB", "0B": at most three significant digits and a half.
std::string HumanSize(uint64_t bytes);
// "1.5GB", "64kB", "0B": powers of 1000 and three digits, as Docker shows images.
std::string DecimalSize(uint64_t bytes);
// The first 12 digits of a digest: of "sha256:0123…", or without its algorithm.
std::string ShortDigest(absl::string_view digest);
// "2 seconds", "About a minute", "3 hours", "5 weeks".
std::string HumanDuration(absl::Duration duration);
// "2024-05-01T10:00:00.123456789Z" with all nine digits, so that columns align.
std::string Rfc3339(absl::Time time);
// The first 12 digits of an id.
std::string ShortId(absl::string_view id);
// Of an exit: "0", "137" for SIGKILL; "unknown".
std::string ExitText(const node::v1::ExitStatus& status);
// 128 + n for a signal, the code otherwise; -1 when it is not known.
int ExitNumber(const node::v1::ExitStatus& status);
// The STATUS column of ps: "Up 3 minutes", "Exited (0) 2 seconds ago", "Exited (SIGKILL, out of
// memory) 1 hour ago".
std::string StatusText(const node::v1::Container& container, absl::Time now);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_OUTPUT_H_
