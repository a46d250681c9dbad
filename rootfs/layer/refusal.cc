#include "rootfs/layer/refusal.h"

#include <cerrno>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::layer {

absl::Status Refused(std::string_view why) {
  return WithReason(absl::InvalidArgumentError(AsAbsl(why)), reason::kLayerRefused);
}

absl::Status BeyondLimit(std::string_view what) {
  return WithReason(absl::ResourceExhaustedError(AsAbsl(what)), reason::kLimitReached);
}

absl::Status DiskError(int error, std::string_view what) {
  if (error == ENOSPC || error == EDQUOT) {
    return WithReason(StatusWithErrno(absl::StatusCode::kResourceExhausted, error, what),
                      reason::kNoSpace);
  }
  return ErrnoStatus(error, what);
}

std::string Quoted(std::string_view name) {
  constexpr size_t kMost = 256;
  const bool cut = name.size() > kMost;
  // Whole escapes would be lost to a cut after escaping, hence before it.
  return absl::StrCat("\"", absl::CHexEscape(AsAbsl(name.substr(0, kMost))), cut ? "…" : "", "\"");
}

}  // namespace noded::layer
