// libs: node_records
// A record's file, as a crash, a bad disk or another version of noded may have left it.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "node/record_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string json(reinterpret_cast<const char*>(data), size);
  constexpr char kId[] = "a";
  auto record = noded::DecodeContainerRecord(json, kId);
  if (record.ok()) {
    // What was accepted can be written, and reads as the same.
    auto written = noded::EncodeRecord(*record);
    if (!written.ok()) return 0;  // a time that JSON has no form for
    auto again = noded::DecodeContainerRecord(*written, kId);
    if (!again.ok() || *noded::EncodeRecord(*again) != *written) abort();
  }
  auto request = noded::DecodeRequestRecord(json);
  if (request.ok() && (request->request_id().empty() || request->schema_version() != 1)) abort();
  return 0;
}
