// As much of HTTP/1 as it takes to be scraped: the head of a request judged, and an answer written.
// https://www.rfc-editor.org/rfc/rfc9112. One request a connection. Pure; thread-safe.
#ifndef SERVER_SCRAPE_REQUEST_H_
#define SERVER_SCRAPE_REQUEST_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace noded::server {

// A request line and headers that take more are refused.
inline constexpr size_t kMostRequestBytes = 16 << 10;

struct ScrapeVerdict {
  int code = 0;           // 200: answer with the metrics
  bool with_body = true;  // HEAD wants none
};

// `received` is what has come of a request so far. nullopt: its head is not complete yet. Headers
// mean nothing here and are only skipped; a body is not read.
std::optional<ScrapeVerdict> JudgeScrape(std::string_view received);

// The whole answer. The length that it tells is the body's also without a body.
std::string ScrapeAnswer(const ScrapeVerdict& verdict, std::string_view content_type,
                         std::string_view body);

}  // namespace noded::server

#endif  // SERVER_SCRAPE_REQUEST_H_
