#include "server/scrape_request.h"

#include <string>

#include "gtest/gtest.h"

namespace noded::server {
namespace {

int CodeOf(const std::string& request) {
  const auto verdict = JudgeScrape(request);
  return verdict ? verdict->code : 0;
}

TEST(JudgeScrape, TellsWhatIsAskedFor) {
  const struct {
    const char* line;
    int code;
  } kCases[] = {
      {"GET /metrics HTTP/1.1", 200},
      {"GET /metrics HTTP/1.0", 200},
      {"GET /metrics?name[]=x HTTP/1.1", 200},
      {"HEAD /metrics HTTP/1.1", 200},
      {"GET / HTTP/1.1", 404},
      {"GET /metrics/ HTTP/1.1", 404},
      {"GET //metrics HTTP/1.1", 404},
      {"HEAD /nowhere HTTP/1.1", 404},
      {"POST /metrics HTTP/1.1", 405},
      {"get /metrics HTTP/1.1", 405},
      {"GET /metrics HTTP/2.0", 400},
      {"GET /metrics", 400},
      {"GET  HTTP/1.1", 404},
      {"", 400},
      {"PRI * HTTP/2.0", 400},
      {"\x16\x03\x01", 400},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(CodeOf(std::string(c.line) + "\r\nHost: x\r\n\r\n"), c.code) << c.line;
  }
}

TEST(JudgeScrape, WaitsForTheEndOfTheHead) {
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
  for (size_t size = 0; size < request.size(); ++size) {
    EXPECT_FALSE(JudgeScrape(request.substr(0, size)).has_value()) << size;
  }
  EXPECT_EQ(CodeOf(request), 200);
  EXPECT_EQ(CodeOf(request + "more"), 200);
}

TEST(JudgeScrape, DoesNotWaitForever) {
  EXPECT_FALSE(JudgeScrape(std::string(kMostRequestBytes, 'x')).has_value());
  EXPECT_EQ(CodeOf(std::string(kMostRequestBytes + 1, 'x')), 431);
}

TEST(ScrapeAnswer, TellsTheLengthAlsoWithoutABody) {
  EXPECT_EQ(ScrapeAnswer({200, true}, "text/plain", "up 1\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
            "Connection: close\r\n\r\nup 1\n");
  EXPECT_EQ(ScrapeAnswer({200, false}, "text/plain", "up 1\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
            "Connection: close\r\n\r\n");
  EXPECT_NE(ScrapeAnswer({405, true}, "text/plain", "no\n").find("Allow: GET, HEAD\r\n"),
            std::string::npos);
}

}  // namespace
}  // namespace noded::server
