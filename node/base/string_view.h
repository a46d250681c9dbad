// Debian's abseil is built with a string_view class of its own, which std::string_view does not
// convert to. Where a view goes into an absl function (StrCat, StrSplit, SimpleAtoi, a Status
// message) or comes out of one, it is converted here. Both cost nothing. Thread-safe.
#ifndef NODE_BASE_STRING_VIEW_H_
#define NODE_BASE_STRING_VIEW_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace noded {

constexpr absl::string_view AsAbsl(std::string_view view) { return {view.data(), view.size()}; }
constexpr std::string_view AsStd(absl::string_view view) { return {view.data(), view.size()}; }

}  // namespace noded

#endif  // NODE_BASE_STRING_VIEW_H_
