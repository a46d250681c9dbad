// libs: server
// The configuration file: whatever it holds, it is taken or refused with a line, and what is taken
// is within the rules.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "server/config.h"
#include "server/options.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 16 << 10) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto entries = noded::server::ReadConfig(text, "f");
  const auto options = noded::server::ParseConfig(text, "f");
  if (!options.ok()) {
    if (options.status().code() != absl::StatusCode::kInvalidArgument) std::abort();
    return 0;
  }
  if (!entries.ok() || options->listen.empty()) std::abort();
  for (const noded::server::Listener& listener : options->listen) {
    const bool tls = !options->tls.empty();
    if (!noded::server::CheckTransport(listener, tls, options->insecure).ok()) std::abort();
  }
  return 0;
}
