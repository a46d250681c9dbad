#include "server/config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace noded::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ReadConfig, ReadsEveryFormOfAValue) {
  const auto entries = ReadConfig(
      "# noded.conf\n"
      "\n"
      "log-level = \"debug\"  # a comment\n"
      "root='/srv/a b#c'\r\n"
      "insecure = true\n"
      "start-timeout=1m30s\n"
      "tls-ca = \"/etc/\\\"q\\\"\\\\ca\"\n"
      "listen = [\n"
      "  \"unix:///run/noded/noded.sock\",  # local\n"
      "  '127.0.0.1:7000',\n"
      "]\n"
      "empty = [ ]",
      "noded.conf");
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 7u);
  EXPECT_EQ((*entries)[0].key, "log-level");
  EXPECT_EQ((*entries)[0].line, 3);
  EXPECT_THAT((*entries)[0].values, ElementsAre("debug"));
  EXPECT_THAT((*entries)[1].values, ElementsAre("/srv/a b#c"));
  EXPECT_THAT((*entries)[2].values, ElementsAre("true"));
  EXPECT_THAT((*entries)[3].values, ElementsAre("1m30s"));
  EXPECT_THAT((*entries)[4].values, ElementsAre("/etc/\"q\"\\ca"));
  EXPECT_THAT((*entries)[5].values, ElementsAre("unix:///run/noded/noded.sock", "127.0.0.1:7000"));
  EXPECT_EQ((*entries)[5].line, 8);
  EXPECT_THAT((*entries)[6].values, IsEmpty());
  EXPECT_EQ((*entries)[6].line, 12);
}

TEST(ReadConfig, EmptyIsNoEntries) {
  for (const char* text : {"", "\n\n", "# only this", "  \t\r\n"}) {
    const auto entries = ReadConfig(text, "f");
    ASSERT_TRUE(entries.ok()) << entries.status();
    EXPECT_THAT(*entries, IsEmpty());
  }
}

TEST(ReadConfig, EachMistakeHasItsLine) {
  const struct {
    const char* text;
    const char* want;
  } kCases[] = {
      {"a = 1\n[server]\n", "f:2: there are no sections: write key = value"},
      {"a\n", "f:1: no '=' after \"a\""},
      {"a =\n", "f:1: a value must be \"quoted\", a word or a number"},
      {"\n\n= 1\n", "f:3: must be key = value"},
      {"a = \"x\n\"", "f:1: the string has no end"},
      {"a = 'x", "f:1: the string has no end"},
      {"a = \"\\n\"", "f:1: after a backslash only '\"' or another one may stand"},
      {"a = \"\x01\"", "f:1: a control character in a string"},
      {"a = 1 2\n", "f:1: more text after the value"},
      {"a = 1\nb = 2\na = 3\n", "f:3: \"a\" stands in line 1 already"},
      {"a = [1 2]", "f:1: an array needs ',' between values and ']' at its end"},
      {"a = [1,\n2", "f:2: an array needs ',' between values and ']' at its end"},
      {"a = [\n", "f:2: a value must be \"quoted\", a word or a number"},
      {"a = [[1]]", "f:1: a value must be \"quoted\", a word or a number"},
  };
  for (const auto& c : kCases) {
    const auto entries = ReadConfig(c.text, "f");
    EXPECT_EQ(entries.status().code(), absl::StatusCode::kInvalidArgument) << c.text;
    EXPECT_EQ(entries.status().message(), c.want) << c.text;
  }
}

}  // namespace
}  // namespace noded::server
