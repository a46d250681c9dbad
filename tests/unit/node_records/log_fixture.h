// A log on disk written as node-shim writes it, and read back as text.
#ifndef TESTS_UNIT_NODE_RECORDS_LOG_FIXTURE_H_
#define TESTS_UNIT_NODE_RECORDS_LOG_FIXTURE_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "node/log_reader.h"
#include "tests/unit/node_records/fixture.h"

namespace noded {

class LogTest : public ::testing::Test {
 protected:
  // Second `second` of a day in 2024, in UTC.
  static std::string Time(int second) {
    return absl::StrFormat("2024-03-01T%02d:%02d:%02d.000000000Z", second / 3600, second / 60 % 60,
                           second % 60);
  }
  static int64_t Seconds(int second) { return 1709251200 + second; }
  static std::string Line(int second, const std::string& rest) {
    return Time(second) + " " + rest + "\n";
  }
  std::string File(int sequence) const {
    return absl::StrFormat("%s/%010d.log", directory(), sequence);
  }
  std::string directory() const { return dir / "log"; }

  std::unique_ptr<LogReader> Open(const node::v1::LogsRequest& request = {}) {
    auto reader = OpenLogReader(directory(), request);
    EXPECT_TRUE(reader.ok()) << reader.status();
    return reader.ok() ? *std::move(reader) : nullptr;
  }
  static std::vector<node::v1::LogEntry> ReadEntries(LogReader& reader) {
    std::vector<node::v1::LogEntry> entries;
    while (true) {
      auto response = reader.Read();
      EXPECT_TRUE(response.ok()) << response.status();
      if (!response.ok() || response->entries_size() == 0) return entries;
      EXPECT_LT(response->ByteSizeLong(), 3u << 20);
      entries.insert(entries.end(), response->entries().begin(), response->entries().end());
    }
  }
  // "out line", "err par~" for a part, "!" before it for a gap.
  static std::string Text(const node::v1::LogEntry& entry) {
    return std::string(entry.gap() ? "!" : "") +
           (entry.stream() == node::v1::LOG_STREAM_STDOUT ? "out " : "err ") + entry.line() +
           (entry.partial() ? "~" : "");
  }
  static std::vector<std::string> Texts(const std::vector<node::v1::LogEntry>& entries) {
    std::vector<std::string> texts;
    for (const auto& entry : entries) texts.push_back(Text(entry));
    return texts;
  }
  std::vector<std::string> Read(const node::v1::LogsRequest& request = {}) {
    auto reader = Open(request);
    return reader ? Texts(ReadEntries(*reader)) : std::vector<std::string>{"error"};
  }
  static std::vector<std::string> Drain(LogReader& reader) { return Texts(ReadEntries(reader)); }

  TempDir dir;
};

}  // namespace noded

#endif  // TESTS_UNIT_NODE_RECORDS_LOG_FIXTURE_H_
