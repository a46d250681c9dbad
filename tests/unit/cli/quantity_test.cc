#include "clients/cli/quantity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using testing::HasSubstr;

TEST(SizeTest, Reads) {
  struct Case {
    const char* text;
    int64_t bytes;
  };
  for (const Case& c : {Case{"0", 0},
                        {"1", 1},
                        {"512b", 512},
                        {"1k", 1024},
                        {"64m", 64 << 20},
                        {"64M", 64 << 20},
                        {"64MB", 64 << 20},
                        {"64MiB", 64 << 20},
                        {"1.5g", 3LL << 29},
                        {".5k", 512},
                        {"2t", 2LL << 40},
                        {"8388607t", 8388607LL << 40},
                        {"9223372036854775807", 9223372036854775807}}) {
    absl::StatusOr<int64_t> size = ParseSize(c.text);
    ASSERT_TRUE(size.ok()) << c.text << ": " << size.status();
    EXPECT_EQ(*size, c.bytes) << c.text;
  }
}

TEST(SizeTest, Refuses) {
  for (const char* text :
       {"", "m", "-1", "+1", " 1", "1 m", "1mm", "1x", "0x10", "1e3", "inf", "nan", "1.2.3", "1bb",
        "8388608t", "9223372036854775808", "99999999999999999999999999999999999999999999"}) {
    absl::StatusOr<int64_t> size = ParseSize(text);
    ASSERT_FALSE(size.ok()) << text << " was read as " << *size;
    EXPECT_THAT(std::string(size.status().message()), HasSubstr("is not a size")) << text;
  }
}

TEST(DurationTest, Reads) {
  struct Case {
    const char* text;
    absl::Duration duration;
  };
  for (const Case& c : {Case{"0", absl::ZeroDuration()},
                        {"10", absl::Seconds(10)},
                        {"1.5", absl::Milliseconds(1500)},
                        {"10s", absl::Seconds(10)},
                        {"1m30s", absl::Seconds(90)},
                        {"2h", absl::Hours(2)},
                        {"150ms", absl::Milliseconds(150)},
                        {"1d12h", absl::Hours(36)},
                        {"0.5m", absl::Seconds(30)}}) {
    absl::StatusOr<absl::Duration> duration = ParseDuration(c.text);
    ASSERT_TRUE(duration.ok()) << c.text << ": " << duration.status();
    EXPECT_EQ(*duration, c.duration) << c.text;
  }
}

TEST(DurationTest, Refuses) {
  for (const char* text :
       {"", "s", "-1s", "10x", "1m30", "1h 2m", "inf", "1e3s", "10ss", "200000d"}) {
    absl::StatusOr<absl::Duration> duration = ParseDuration(text);
    EXPECT_FALSE(duration.ok()) << text << " was read as " << *duration;
  }
}

TEST(TimeTest, Reads) {
  const absl::Time now = FakeNow();
  EXPECT_EQ(*ParseTime("10m", now), now - absl::Minutes(10));
  EXPECT_EQ(*ParseTime("2024-05-01T10:00:00Z", now), now);
  EXPECT_EQ(*ParseTime("2024-05-01T12:00:00.5+02:00", now), now + absl::Milliseconds(500));
  EXPECT_EQ(*ParseTime("1714557600", now), now);
  EXPECT_EQ(*ParseTime("1714557600.25", now), now + absl::Milliseconds(250));
  // What logs -t and events print can be given back.
  EXPECT_EQ(*ParseTime("2024-05-01T10:00:00.123456789Z", now), now + absl::Nanoseconds(123456789));
  EXPECT_FALSE(ParseTime("yesterday", now).ok());
  EXPECT_FALSE(ParseTime("infinite-past", now).ok());
  EXPECT_FALSE(ParseTime("0000-01-01T00:00:00Z", now).ok()) << "before what a timestamp can say";
  EXPECT_FALSE(ParseTime("10000-01-01T00:00:00Z", now).ok());
  EXPECT_FALSE(ParseTime("", now).ok());
}

TEST(CpusTest, ReadsToMicrosecondsOfAHundredMilliseconds) {
  EXPECT_EQ(*ParseCpus("1.5"), 150000);
  EXPECT_EQ(*ParseCpus("2"), 200000);
  EXPECT_EQ(*ParseCpus("0.01"), 1000);
  EXPECT_EQ(*ParseCpus("0.3"), 30000);
  for (const char* text : {"0", "0.001", "-1", "", "two", "1.5x"})
    EXPECT_FALSE(ParseCpus(text).ok()) << text;
}

TEST(IntegerTest, NamesTheRange) {
  EXPECT_EQ(*ParseInteger("-5", -10, 10), -5);
  EXPECT_THAT(std::string(ParseInteger("11", -10, 10).status().message()), HasSubstr("-10 to 10"));
  EXPECT_FALSE(ParseInteger("1.5", 0, 10).ok());
}

}  // namespace
}  // namespace noded::cli
