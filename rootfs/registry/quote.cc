#include "rootfs/registry/quote.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace noded::registry {
namespace {

using nlohmann::json;

constexpr size_t kMaxQuoteBytes = 300;
constexpr size_t kMaxErrors = 3;

std::string Text(const json& object, const char* name) {
  if (!object.is_object()) return "";
  const auto value = object.find(name);
  return value != object.end() && value->is_string() ? value->get_ref<const std::string&>() : "";
}

std::string CodeAndMessage(const json& error) {
  const std::string code = Text(error, "code"), message = Text(error, "message");
  return absl::StrCat(code, !code.empty() && !message.empty() ? ": " : "", message);
}

}  // namespace

std::string Quoted(std::string_view text) {
  std::string quoted;
  for (unsigned char c : text.substr(0, kMaxQuoteBytes)) {
    if (c >= 0x80) {
      quoted += '?';
    } else {
      quoted += absl::ascii_isprint(c) ? static_cast<char>(c) : ' ';
    }
  }
  absl::RemoveExtraAsciiWhitespace(&quoted);
  if (text.size() > kMaxQuoteBytes) quoted += "...";
  return quoted;
}

std::string QuotedError(std::string_view body) {
  const json document = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return Quoted(body);
  std::string said;
  const auto errors = document.find("errors");
  if (errors != document.end() && errors->is_array()) {
    for (size_t i = 0; i < std::min(errors->size(), kMaxErrors); ++i)
      absl::StrAppend(&said, said.empty() ? "" : "; ", CodeAndMessage((*errors)[i]));
  }
  // Token servers: "details" of Docker's, "error_description" of OAuth2's.
  for (const char* name : {"details", "error_description", "message", "error"})
    if (said.empty()) said = Text(document, name);
  return said.empty() ? Quoted(body) : Quoted(said);
}

}  // namespace noded::registry
