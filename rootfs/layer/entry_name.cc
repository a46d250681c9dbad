#include "rootfs/layer/entry_name.h"

namespace noded::layer {

std::vector<std::string> PathParts(std::string_view name) {
  std::vector<std::string> parts;
  while (!name.empty()) {
    const size_t end = name.find('/');
    const std::string_view part = name.substr(0, end);
    name.remove_prefix(end == std::string_view::npos ? name.size() : end + 1);
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.emplace_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  return parts;
}

NameKind KindOfName(std::string_view base) {
  if (!base.starts_with(kWhiteoutPrefix)) return NameKind::kFile;
  if (base == kOpaqueMarker) return NameKind::kOpaque;
  const std::string_view name = base.substr(kWhiteoutPrefix.size());
  if (name.empty() || name == "." || name == "..") return NameKind::kInvalid;
  return name.starts_with(kWhiteoutPrefix) ? NameKind::kIgnored : NameKind::kWhiteout;
}

bool IsReservedAttribute(std::string_view name) {
  return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") ||
         name == "security.selinux";
}

}  // namespace noded::layer
