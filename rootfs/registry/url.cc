#include "rootfs/registry/url.h"

#include <curl/curl.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "node/base/string_view.h"

namespace noded::registry {
namespace {

constexpr size_t kMaxUrlBytes = 16 << 10;  // signed addresses of blob stores have some 2 KiB

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, FreeUrl>;

uint16_t DefaultPort(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

// Empty when there is no such part.
std::string Part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string copy = text;
  curl_free(text);
  return copy;
}

absl::StatusOr<Url> FromHandle(CURLU* handle) {
  Url url;
  url.scheme = absl::AsciiStrToLower(Part(handle, CURLUPART_SCHEME));
  url.host = absl::AsciiStrToLower(Part(handle, CURLUPART_HOST));
  if (url.scheme != "http" && url.scheme != "https")
    return absl::InvalidArgumentError("address is neither http nor https");
  if (url.host.empty()) return absl::InvalidArgumentError("address has no host");
  // libcurl would send them by itself.
  if (!Part(handle, CURLUPART_USER).empty() || !Part(handle, CURLUPART_PASSWORD).empty())
    return absl::InvalidArgumentError("address has a user or password in it");
  uint32_t port = 0;
  if (!absl::SimpleAtoi(Part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT), &port) || port == 0 ||
      port > 65535)
    return absl::InvalidArgumentError("address has no port from 1 to 65535");
  url.port = static_cast<uint16_t>(port);
  url.path = Part(handle, CURLUPART_PATH);
  url.query = Part(handle, CURLUPART_QUERY);
  return url;
}

absl::Status CheckBytes(std::string_view text) {
  if (text.size() > kMaxUrlBytes)
    return absl::InvalidArgumentError(absl::StrCat("address has over ", kMaxUrlBytes, " bytes"));
  for (unsigned char c : text)
    if (c <= ' ' || c >= 0x7f)
      return absl::InvalidArgumentError("address has a blank or a byte that is not ASCII in it");
  return absl::OkStatus();
}

}  // namespace

std::string Url::Authority() const {
  return port == DefaultPort(scheme) ? host : absl::StrCat(host, ":", port);
}

std::string Url::Shown() const { return absl::StrCat(scheme, "://", Authority(), path); }

std::string Url::ToString() const {
  return query.empty() ? Shown() : absl::StrCat(Shown(), "?", query);
}

bool Url::SameOrigin(const Url& other) const {
  return scheme == other.scheme && host == other.host && port == other.port;
}

absl::StatusOr<Url> ParseUrl(std::string_view text) {
  if (absl::Status status = CheckBytes(text); !status.ok()) return status;
  UrlHandle handle(curl_url());
  if (handle == nullptr) return absl::ResourceExhaustedError("no memory for an address");
  if (curl_url_set(handle.get(), CURLUPART_URL, std::string(text).c_str(),
                   CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
    return absl::InvalidArgumentError("address is no URL with a scheme and a host");
  return FromHandle(handle.get());
}

absl::StatusOr<Url> ResolveLocation(const Url& base, std::string_view location) {
  if (absl::Status status = CheckBytes(location); !status.ok()) return status;
  UrlHandle handle(curl_url());
  if (handle == nullptr) return absl::ResourceExhaustedError("no memory for an address");
  // Set twice: the second one is understood as it stands to the first (curl_url_set(3)).
  if (curl_url_set(handle.get(), CURLUPART_URL, base.ToString().c_str(), 0) != CURLUE_OK ||
      curl_url_set(handle.get(), CURLUPART_URL, std::string(location).c_str(),
                   CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
    return absl::InvalidArgumentError("location is no URL");
  return FromHandle(handle.get());
}

bool IsLoopback(std::string_view host) {
  if (host == "localhost" || host == "[::1]") return true;
  int parts = 0;
  for (size_t begin = 0; begin <= host.size(); ++parts) {
    const size_t end = std::min(host.find('.', begin), host.size());
    uint32_t number = 0;
    const std::string_view part = host.substr(begin, end - begin);
    // Digits only: SimpleAtoi takes signs and blanks, and "127.evil.example" is a name.
    if (part.empty() || part.find_first_not_of("0123456789") != part.npos ||
        !absl::SimpleAtoi(AsAbsl(part), &number) || number > 255 || (parts == 0 && number != 127))
      return false;
    begin = end + 1;
  }
  return parts == 4;
}

absl::Status CheckRedirect(const Url& from, const Url& to) {
  if (from.scheme == "https" && to.scheme == "http" && !IsLoopback(to.host))
    return absl::FailedPreconditionError(
        absl::StrCat("redirect from TLS to plain http at ", to.Authority(), " is not followed"));
  if (!IsLoopback(from.host) && IsLoopback(to.host))
    return absl::FailedPreconditionError(absl::StrCat("redirect from another host to this one's ",
                                                      to.Authority(), " is not followed"));
  return absl::OkStatus();
}

}  // namespace noded::registry
