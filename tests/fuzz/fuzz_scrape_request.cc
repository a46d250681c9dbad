// libs: server
// Requests for metrics, from whoever can reach the port.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "server/scrape_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view received(reinterpret_cast<const char*>(data), size);
  const auto verdict = noded::server::JudgeScrape(received);
  // What is over the limit must never be waited for.
  if (!verdict && size > noded::server::kMostRequestBytes) abort();
  if (verdict && verdict->code == 200 && size < sizeof("GET /metrics HTTP/1.") + 3) abort();
  return 0;
}
