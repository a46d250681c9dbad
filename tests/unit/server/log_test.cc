#include "server/log.h"

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace noded::server {
namespace {

const absl::Time kTime = absl::FromUnixMicros(1'700'000'000'123'456);

TEST(RenderLogLine, TextIsKeyValue) {
  EXPECT_EQ(RenderLogLine(LogFormat::kText, kTime, LogLevel::kInfo, "request",
                          {{"method", "ContainerService/Stop"}, {"error", "no such \"x\""}}),
            "time=2023-11-14T22:13:20.123456Z level=info msg=request "
            "method=ContainerService/Stop error=\"no such \\\"x\\\"\"");
}

TEST(RenderLogLine, NoValueForgesALineOrAField) {
  const std::string line =
      RenderLogLine(LogFormat::kText, kTime, LogLevel::kWarning, "a b",
                    {{"empty", ""}, {"x", "1\nlevel=error msg=forged"}, {"y", "\x1b[2J\x7f\\"}});
  EXPECT_EQ(line,
            "time=2023-11-14T22:13:20.123456Z level=warn msg=\"a b\" empty=\"\" "
            "x=\"1\\nlevel=error msg=forged\" y=\"\\u001b[2J\\u007f\\\\\"");
}

TEST(RenderLogLine, JsonParsesWhateverIsInIt) {
  const std::string value = "q\" b\\ n\n t\t c\x01 bad\xFF gr\xC3\xBC";
  const auto json = nlohmann::json::parse(
      RenderLogLine(LogFormat::kJson, kTime, LogLevel::kError, "request", {{"error", value}}));
  EXPECT_EQ(json["time"], "2023-11-14T22:13:20.123456Z");
  EXPECT_EQ(json["level"], "error");
  EXPECT_EQ(json["msg"], "request");
  EXPECT_EQ(json["error"], "q\" b\\ n\n t\t c\x01 bad\xEF\xBF\xBD gr\xC3\xBC");
}

TEST(RenderLogLine, ValuesAreBounded) {
  EXPECT_LT(RenderLogLine(LogFormat::kText, kTime, LogLevel::kInfo, std::string(1 << 20, 'x'),
                          {{"v", std::string(1 << 20, '\n')}})
                .size(),
            10'000u);
}

}  // namespace
}  // namespace noded::server
