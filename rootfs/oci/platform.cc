// Platforms as containerd compares them (its platforms package).
#include "rootfs/oci/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "node/base/string_view.h"
#include "rootfs/oci/document.h"

namespace noded::oci {
namespace {

struct KernelName {
  std::string_view machine, architecture, variant;
};
// What uname(2) and users say, and what images say.
constexpr KernelName kKernelNames[] = {
    {"x86_64", "amd64", ""},        {"x86-64", "amd64", ""}, {"aarch64", "arm64", ""},
    {"armhf", "arm", "v7"},         {"armv7l", "arm", "v7"}, {"armv6l", "arm", "v6"},
    {"armel", "arm", "v6"},         {"i386", "386", ""},     {"i686", "386", ""},
    {"loongarch64", "loong64", ""},
};

// The variant that goes without saying; 0 where variants are not in an order.
int PlainVariant(std::string_view architecture) {
  if (architecture == "arm") return 7;
  if (architecture == "arm64") return 8;
  if (architecture == "amd64") return 1;
  return 0;
}

// "v7", "7". nullopt: not in an order.
std::optional<int> VariantNumber(std::string_view architecture, std::string_view variant) {
  const int plain = PlainVariant(architecture);
  if (plain == 0) return std::nullopt;
  if (variant.empty()) return plain;
  if (variant[0] == 'v') variant.remove_prefix(1);
  int number = 0;
  const auto [end, error] =
      std::from_chars(variant.data(), variant.data() + variant.size(), number);
  if (error != std::errc() || end != variant.data() + variant.size()) return std::nullopt;
  return number;
}

bool IsWord(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

bool IsAttestation(const Descriptor& descriptor) {
  return descriptor.platform && descriptor.platform->os == "unknown";
}

// How near `has` comes to what is wanted: none, or the higher the nearer.
std::optional<int> Nearness(const Platform& has, const Platform& wanted) {
  if (has.os != wanted.os || has.architecture != wanted.architecture) return std::nullopt;
  if (has.variant == wanted.variant) return 1000;
  const std::optional<int> number = VariantNumber(has.architecture, has.variant);
  const std::optional<int> most = VariantNumber(wanted.architecture, wanted.variant);
  if (!number || !most || *number > *most) return std::nullopt;
  return *number;
}

}  // namespace

Platform Normalized(Platform platform) {
  for (const KernelName& name : kKernelNames) {
    if (platform.architecture != name.machine) continue;
    platform.architecture = std::string(name.architecture);
    if (platform.variant.empty()) platform.variant = std::string(name.variant);
    break;
  }
  const std::optional<int> number = VariantNumber(platform.architecture, platform.variant);
  if (number) {
    const bool silent =
        platform.architecture != "arm" && *number == PlainVariant(platform.architecture);
    platform.variant = silent ? "" : absl::StrCat("v", *number);
  }
  return platform;
}

absl::StatusOr<Platform> ParsePlatform(std::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(AsAbsl(text.substr(0, 200)), '/');
  if (parts.size() < 2 || parts.size() > 3 ||
      !std::all_of(parts.begin(), parts.end(), [](const std::string& p) { return IsWord(p); })) {
    return absl::InvalidArgumentError(
        absl::StrCat("platform \"", absl::CHexEscape(AsAbsl(text.substr(0, 100))),
                     "\" must be os/architecture or os/architecture/variant, as linux/arm/v7"));
  }
  return Normalized({parts[0], parts[1], parts.size() == 3 ? parts[2] : ""});
}

std::string ToString(const Platform& platform) {
  return absl::StrCat(platform.os, "/", platform.architecture, platform.variant.empty() ? "" : "/",
                      platform.variant);
}

Platform HostPlatform() {
  struct utsname host {};
  uname(&host);
  return Normalized({"linux", host.machine, ""});
}

absl::StatusOr<Descriptor> ChoosePlatform(const Index& index, const Platform& wanted) {
  const Platform platform = Normalized(wanted);
  const Descriptor* best = nullptr;
  const Descriptor* silent = nullptr;
  int best_nearness = -1;
  size_t manifests = 0;
  std::vector<std::string> there;
  for (const Descriptor& descriptor : index.manifests) {
    if (!IsManifestType(descriptor.media_type) || IsAttestation(descriptor)) continue;
    ++manifests;
    if (!descriptor.platform) {
      silent = &descriptor;
      continue;
    }
    if (there.size() < 50) there.push_back(ToString(*descriptor.platform));
    const std::optional<int> nearness = Nearness(*descriptor.platform, platform);
    if (nearness && *nearness > best_nearness) {
      best = &descriptor;
      best_nearness = *nearness;
    }
  }
  // An index of one manifest that does not say for what it is leaves no choice (umoci writes such).
  if (best == nullptr && silent != nullptr && manifests == 1) best = silent;
  if (best != nullptr) return *best;
  return absl::NotFoundError(absl::StrCat("no image for platform ", ToString(platform), "; there ",
                                          there.empty() ? "is none with a platform" : "are ",
                                          absl::StrJoin(there, ", ")));
}

}  // namespace noded::oci
