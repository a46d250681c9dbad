// libs: node_records
// A cursor, as a client sends it.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "node/base/status.h"
#include "node/log_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto cursor = noded::ParseLogCursor(text);
  if (!cursor.ok()) {
    // Said by the client, so it is the client's fault.
    if (!absl::IsInvalidArgument(cursor.status())) abort();
    if (noded::FieldViolationsOf(cursor.status()).size() != 1) abort();
    return 0;
  }
  auto again = noded::ParseLogCursor(noded::FormatLogCursor(*cursor));
  if (!again.ok() || again->sequence != cursor->sequence || again->offset != cursor->offset)
    abort();
  return 0;
}
