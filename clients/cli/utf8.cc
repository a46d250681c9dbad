#include "clients/cli/utf8.h"

#include <cstddef>
#include <cstdint>

namespace noded::cli {
namespace {

// What a first byte says: how many follow, and the least character that needs as many.
struct Form {
  uint8_t mask;
  uint8_t lead;
  size_t following;
  uint32_t least;
};

constexpr Form kForms[] = {
    {0x80, 0x00, 0, 0},
    {0xe0, 0xc0, 1, 0x80},
    {0xf0, 0xe0, 2, 0x800},
    {0xf8, 0xf0, 3, 0x10000},
};

// The length of the character at the front; 0 when there is none.
size_t CharacterLength(absl::string_view text) {
  const uint8_t first = static_cast<uint8_t>(text[0]);
  for (const Form& form : kForms) {
    if ((first & form.mask) != form.lead) continue;
    if (text.size() <= form.following) return 0;
    uint32_t character = first & static_cast<uint8_t>(~form.mask);
    for (size_t i = 1; i <= form.following; ++i) {
      const uint8_t next = static_cast<uint8_t>(text[i]);
      if ((next & 0xc0) != 0x80) return 0;
      character = character << 6 | (next & 0x3f);
    }
    bool surrogate = character >= 0xd800 && character <= 0xdfff;
    return character < form.least || character > 0x10ffff || surrogate ? 0 : form.following + 1;
  }
  return 0;
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    size_t length = CharacterLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace noded::cli
