#include <gtest/gtest.h>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "node/log_reader.h"
#include "tests/unit/node_records/fixture.h"

namespace noded {
namespace {

TEST(LogLine, TimesAreThoseOfAbseil) {
  for (const char* time :
       {"1970-01-01T00:00:00.000000000Z", "2024-02-29T23:59:59.999999999Z",
        "2000-02-29T12:00:00.1Z", "1900-03-01T00:00:00Z", "2100-12-31T00:00:00.120Z",
        "9998-12-31T23:59:59.5Z", "0002-01-01T00:00:00Z", "2024-03-01T01:02:03.004+05:30",
        "2024-03-01T01:02:03.004-11:00"}) {
    absl::Time expected;
    std::string error;
    ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, time, &expected, &error)) << error;
    auto entry = ParseLogLine(std::string(time) + " stdout F x");
    ASSERT_TRUE(entry.has_value()) << time;
    EXPECT_EQ(
        absl::FromUnixSeconds(entry->time().seconds()) + absl::Nanoseconds(entry->time().nanos()),
        expected)
        << time;
  }
  // Every day of four centuries.
  for (absl::CivilDay day(1900, 1, 1); day < absl::CivilDay(2300, 1, 1); ++day) {
    auto entry = ParseLogLine(
        absl::StrFormat("%04d-%02d-%02dT00:00:00Z stdout F ", day.year(), day.month(), day.day()));
    ASSERT_EQ(entry->time().seconds(), (day - absl::CivilDay(1970, 1, 1)) * 86400);
  }
}

TEST(LogLine, TextIsKeptToTheByte) {
  const std::string time = "2024-03-01T00:00:00.000000000Z";
  const std::string binary("\0\r\xff\xfe F P \t", 10);
  for (const std::string& text : {std::string(), std::string(" "), std::string("F"), binary}) {
    auto entry = ParseLogLine(time + " stderr P " + text);
    ASSERT_TRUE(entry.has_value());
    EXPECT_EQ(entry->line(), text);
    EXPECT_EQ(entry->stream(), node::v1::LOG_STREAM_STDERR);
    EXPECT_TRUE(entry->partial());
  }
}

TEST(LogLine, WhatIsNoLineIsRefused) {
  for (const char* line : {"",
                           " ",
                           "x",
                           "2024-03-01T00:00:00Z",
                           "2024-03-01T00:00:00Z stdout F",
                           "2024-03-01T00:00:00Z stdout X x",
                           "2024-03-01T00:00:00Z stdin F x",
                           "2024-03-01T00:00:00Z  stdout F x",
                           "2024-03-01 00:00:00Z stdout F x",
                           "2024-13-01T00:00:00Z stdout F x",
                           "2024-00-01T00:00:00Z stdout F x",
                           "2024-03-32T00:00:00Z stdout F x",
                           "2024-03-01T24:00:00Z stdout F x",
                           "2024-03-01T00:00:00.Z stdout F x",
                           "2024-03-01T00:00:00.1234567890Z stdout F x",
                           "2024-03-01T00:00:00 stdout F x",
                           "2024-03-01T00:00:00+5 stdout F x",
                           "2024-03-01T00:00:00+99:00 stdout F x",
                           "0000-01-01T00:00:00Z stdout F x",
                           "9999-12-31T23:59:59-01:00 stdout F x",
                           "-024-03-01T00:00:00Z stdout F x",
                           " 2024-03-01T00:00:00Z stdout F x"}) {
    EXPECT_FALSE(ParseLogLine(line).has_value()) << line;
  }
}

TEST(LogCursor, RoundTrip) {
  for (LogCursor cursor : {LogCursor{0, 0}, LogCursor{1, 42}, LogCursor{9999999999, 1ull << 40}}) {
    auto parsed = ParseLogCursor(FormatLogCursor(cursor));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->sequence, cursor.sequence);
    EXPECT_EQ(parsed->offset, cursor.offset);
  }
  for (const char* bad :
       {"", ":", "1", "1:", ":1", "-1:0", "1:-1", "1: 2", "1:2:3", "a:b", "1:2x", "+1:2",
        "1:99999999999999999999", "99999999999999999999:1", "1:9999999999999999999", "0x1:2"}) {
    absl::Status status = ParseLogCursor(bad).status();
    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument)) << bad;
    EXPECT_THAT(status, NamesField("cursor"));
  }
}

}  // namespace
}  // namespace noded
