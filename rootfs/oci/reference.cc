#include "rootfs/oci/reference.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "node/base/string_view.h"

namespace noded::oci {
namespace {

constexpr std::string_view kDockerHub = "docker.io";
constexpr size_t kMaxRepositoryBytes = 255;
constexpr size_t kMaxTagBytes = 128;

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsAlphanumeric(char c) { return IsLowerOrDigit(c) || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// A part of a repository: runs of letters and digits, joined by ".", "_", "__" or dashes.
bool IsRepositoryPart(std::string_view part) {
  if (part.empty() || !IsLowerOrDigit(part.front()) || !IsLowerOrDigit(part.back())) return false;
  for (size_t at = 0; at < part.size();) {
    if (IsLowerOrDigit(part[at])) {
      ++at;
      continue;
    }
    const size_t end = part.find_first_of("abcdefghijklmnopqrstuvwxyz0123456789", at);
    const std::string_view joint = part.substr(at, end - at);
    if (joint != "." && joint != "_" && joint != "__" &&
        joint.find_first_not_of('-') != std::string_view::npos) {
      return false;
    }
    at = end;
  }
  return true;
}

bool IsRepository(std::string_view repository) {
  for (;;) {
    const size_t slash = repository.find('/');
    if (!IsRepositoryPart(repository.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    repository.remove_prefix(slash + 1);
  }
}

bool IsTag(std::string_view tag) {
  auto allowed = [](char c) { return IsAlphanumeric(c) || c == '_' || c == '.' || c == '-'; };
  return !tag.empty() && tag.size() <= kMaxTagBytes && tag[0] != '.' && tag[0] != '-' &&
         std::all_of(tag.begin(), tag.end(), allowed);
}

bool IsHost(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    return !host.empty() && host.find_first_not_of("0123456789abcdefABCDEF:.") == host.npos;
  }
  auto allowed = [](char c) { return IsAlphanumeric(c) || c == '.' || c == '-'; };
  return !host.empty() && std::all_of(host.begin(), host.end(), allowed) &&
         IsAlphanumeric(host.front()) && IsAlphanumeric(host.back()) &&
         host.find("..") == host.npos;
}

bool IsRegistry(std::string_view registry) {
  const size_t colon = registry.rfind(':');
  if (colon == std::string_view::npos || registry.ends_with(']')) return IsHost(registry);
  const std::string_view port = registry.substr(colon + 1);
  return IsHost(registry.substr(0, colon)) && !port.empty() && port.size() <= 5 &&
         std::all_of(port.begin(), port.end(), IsDigit);
}

bool LooksLikeRegistry(std::string_view part) {
  return part == "localhost" || part.find_first_of(".:") != std::string_view::npos ||
         std::any_of(part.begin(), part.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

absl::Status Bad(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "image reference \"", absl::CHexEscape(AsAbsl(text.substr(0, 300))), "\": ", AsAbsl(why)));
}

}  // namespace

std::string Reference::ToString() const {
  return absl::StrCat(registry, "/", repository, tag.empty() ? "" : ":", tag,
                      digest.empty() ? "" : "@", digest.text());
}

absl::StatusOr<Reference> ParseReference(std::string_view text, std::string_view default_registry) {
  Reference reference;
  std::string_view rest = text;
  if (rest.empty()) return Bad(text, "must not be empty");
  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    absl::StatusOr<Digest> digest = Digest::Parse(rest.substr(at + 1));
    if (!digest.ok()) return Bad(text, AsStd(digest.status().message()));
    reference.digest = *std::move(digest);
    rest = rest.substr(0, at);
  }
  // A colon after the last slash is a tag's, one before it a port's.
  const size_t colon = rest.rfind(':');
  const size_t last_slash = rest.rfind('/');
  if (colon != std::string_view::npos &&
      (last_slash == std::string_view::npos || colon > last_slash)) {
    reference.tag = std::string(rest.substr(colon + 1));
    rest = rest.substr(0, colon);
    if (!IsTag(reference.tag)) {
      return Bad(text,
                 "the tag must be 1 to 128 letters, digits, '_', '.' or '-', and begin with "
                 "none of the last two");
    }
  }
  const size_t slash = rest.find('/');
  if (slash != std::string_view::npos && LooksLikeRegistry(rest.substr(0, slash))) {
    reference.registry = std::string(rest.substr(0, slash));
    rest = rest.substr(slash + 1);
  } else {
    reference.registry = std::string(default_registry);
  }
  // Docker Hub's old name.
  if (reference.registry == "index.docker.io") reference.registry = std::string(kDockerHub);
  if (!IsRegistry(reference.registry)) {
    return Bad(text, absl::StrCat("the registry \"", reference.registry,
                                  "\" must be a host name or address, and a port after a colon"));
  }
  reference.repository = std::string(rest);
  if (reference.registry == kDockerHub && !rest.empty() && rest.find('/') == rest.npos) {
    reference.repository = absl::StrCat("library/", reference.repository);
  }
  if (!IsRepository(reference.repository) || reference.repository.size() > kMaxRepositoryBytes) {
    return Bad(text,
               "the repository must be lower-case letters and digits, joined by '.', '_', "
               "'__', '-' or '/', 255 bytes at most");
  }
  if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";
  return reference;
}

std::string FamiliarName(const Reference& reference) {
  std::string name = reference.ToString();
  std::string_view shown = name;
  if (reference.registry == kDockerHub) {
    shown.remove_prefix(kDockerHub.size() + 1);
    if (shown.starts_with("library/") && shown.find('/', 8) == shown.npos) shown.remove_prefix(8);
  }
  return std::string(shown);
}

}  // namespace noded::oci
