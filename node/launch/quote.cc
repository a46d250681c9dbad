#include "node/launch/quote.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "node/base/string_view.h"

namespace noded::launch {

std::string Quote(std::string_view value) {
  constexpr size_t kMaxBytes = 80;
  bool cut = value.size() > kMaxBytes;
  size_t end = kMaxBytes;
  // Never within a character: half of one is not UTF-8, which a gRPC message must be.
  while (cut && end > 0 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80) --end;
  if (cut) value = value.substr(0, end);
  return absl::StrCat("\"", absl::Utf8SafeCEscape(AsAbsl(value)), cut ? "…\"" : "\"");
}

}  // namespace noded::launch
