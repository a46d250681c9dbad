// libs: node_engine
// Frames of a supervisor, which may be of any version or damaged.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "node/attach_frame.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view packet(reinterpret_cast<const char*>(data), size);
  auto frame = noded::ParseFrame(packet);
  // A payload lies in the packet and is all of it but the type.
  if (frame && frame->payload.size() + 1 != size) abort();
  return 0;
}
