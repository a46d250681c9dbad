#include "server/scrape_request.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "node/base/string_view.h"

namespace noded::server {
namespace {

const char* ReasonOf(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    default:
      return "Bad Request";
  }
}

// "GET /metrics?x HTTP/1.1", without the line's end.
ScrapeVerdict JudgeLine(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last ||
      !absl::StartsWith(AsAbsl(line.substr(last + 1)), "HTTP/1.")) {
    return {400};
  }
  const std::string_view method = line.substr(0, first);
  std::string_view path = line.substr(first + 1, last - first - 1);
  path = path.substr(0, path.find('?'));
  const bool head = method == "HEAD";
  if (method != "GET" && !head) return {405};
  return {path == "/metrics" ? 200 : 404, !head};
}

}  // namespace

std::optional<ScrapeVerdict> JudgeScrape(std::string_view received) {
  const std::string_view head = received.substr(0, received.find("\r\n\r\n"));
  if (head.size() > kMostRequestBytes) return ScrapeVerdict{431};
  if (head.size() == received.size()) return std::nullopt;
  return JudgeLine(head.substr(0, head.find("\r\n")));
}

std::string ScrapeAnswer(const ScrapeVerdict& verdict, std::string_view content_type,
                         std::string_view body) {
  std::string answer = absl::StrCat(
      "HTTP/1.1 ", verdict.code, " ", ReasonOf(verdict.code),
      "\r\nContent-Type: ", AsAbsl(content_type), "\r\nContent-Length: ", body.size(),
      verdict.code == 405 ? "\r\nAllow: GET, HEAD" : "", "\r\nConnection: close\r\n\r\n");
  if (verdict.with_body) answer.append(body);
  return answer;
}

}  // namespace noded::server
