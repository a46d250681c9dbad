// Names that users give: of containers and volumes. Pure; thread-safe.
#ifndef NODE_BASE_NAME_H_
#define NODE_BASE_NAME_H_

#include <algorithm>
#include <string_view>

#include "absl/strings/ascii.h"

namespace noded {

inline constexpr size_t kMaxNameBytes = 128;
// After a quoted name, in an error.
inline constexpr char kNameRule[] =
    " must be a letter or digit followed by letters, digits, \"_\", \".\" or \"-\", at most 128 "
    "bytes";

// The form of a name, of any length: no slash and no leading dot, so that it is safe as a file
// name.
inline bool HasNameForm(std::string_view text) {
  auto allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
  };
  return !text.empty() && absl::ascii_isalnum(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), allowed);
}

inline bool IsName(std::string_view text) {
  return text.size() <= kMaxNameBytes && HasNameForm(text);
}

}  // namespace noded

#endif  // NODE_BASE_NAME_H_
