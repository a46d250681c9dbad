#include "rootfs/registry/quote.h"

#include <gtest/gtest.h>

namespace noded::registry {
namespace {

TEST(Quote, ErrorsOfTheSpecification) {
  EXPECT_EQ(QuotedError(R"({"errors": [{"code": "NAME_UNKNOWN", "message": "no such name"},)"
                        R"({"code": "DENIED"}, {"message": "third"}, {"code": "FOURTH"}]})"),
            "NAME_UNKNOWN: no such name; DENIED; third");
}

TEST(Quote, WhatOthersSay) {
  EXPECT_EQ(QuotedError(R"({"details": "incorrect username or password"})"),
            "incorrect username or password");
  EXPECT_EQ(QuotedError(R"({"error": "invalid_grant", "error_description": "too old"})"),
            "too old");
  EXPECT_EQ(QuotedError("<html>\n <b>Bad Gateway</b>\n</html>"),
            "<html> <b>Bad Gateway</b> </html>");
  EXPECT_EQ(QuotedError(""), "");
  EXPECT_EQ(QuotedError("[1]"), "[1]");
}

TEST(Quote, IsShortAndPrintable) {
  EXPECT_EQ(Quoted("a\x1b[31m\r\nb\x7f\xc3\xa9"), "a [31m b ??");
  const std::string quoted = Quoted(std::string(10'000, 'x'));
  EXPECT_LT(quoted.size(), 400u);
  EXPECT_EQ(quoted.substr(quoted.size() - 4), "x...");
}

}  // namespace
}  // namespace noded::registry
