#include "rootfs/oci/json.h"

#include <limits>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::oci {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 32;

// Before parsing, because a value costs some 20 times its two bytes ("[],"), and a deep one costs
// stack where it is walked.
absl::Status CheckShape(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(text.size(), " bytes, at most ", limits.bytes, " are taken"));
  }
  int depth = 0;
  size_t values = 1;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    switch (c) {
      case '"':
        in_string = true;
        break;
      case '[':
      case '{':
        ++values;
        if (++depth > kMaxDepth) {
          return absl::InvalidArgumentError(
              absl::StrCat("nested more than ", kMaxDepth, " levels deep"));
        }
        break;
      case ']':
      case '}':
        --depth;
        break;
      case ',':
        ++values;
        break;
      default:
        break;
    }
  }
  if (values > limits.values) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", limits.values, " values"));
  }
  return absl::OkStatus();
}

}  // namespace

JsonValue JsonValue::operator[](const char* key) const {
  std::string place = place_.empty() ? key : absl::StrCat(place_, ".", key);
  const Json* member = nullptr;
  if (present()) {
    if (!value_->is_object()) {
      Fail("must be an object");
    } else if (const auto found = value_->find(key); found != value_->end() && !found->is_null()) {
      member = &*found;
    }
  }
  return JsonValue(member, std::move(place), status_);
}

std::string JsonValue::String() const {
  if (!present()) return "";
  if (const auto* text = value_->get_ptr<const Json::string_t*>()) return *text;
  Fail("must be a string");
  return "";
}

int64_t JsonValue::Int() const {
  if (!present()) return 0;
  // A positive number is unsigned to the parser.
  if (const auto* number = value_->get_ptr<const Json::number_unsigned_t*>()) {
    if (*number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return static_cast<int64_t>(*number);
    }
  } else if (const auto* negative = value_->get_ptr<const Json::number_integer_t*>()) {
    return *negative;
  }
  Fail("must be a whole number of 63 bits");
  return 0;
}

bool JsonValue::Bool() const {
  if (!present()) return false;
  if (const auto* flag = value_->get_ptr<const Json::boolean_t*>()) return *flag;
  Fail("must be true or false");
  return false;
}

class Digest JsonValue::Digest() const {
  absl::StatusOr<class Digest> digest = Digest::Parse(String());
  if (digest.ok()) return *std::move(digest);
  Fail(AsStd(digest.status().message()));
  return {};
}

std::optional<absl::Time> JsonValue::Time() const {
  const std::string text = String();
  if (text.empty() || text == "0001-01-01T00:00:00Z") return std::nullopt;
  absl::Time time;
  std::string error;
  // Of years 1 to 9999, as the API's timestamps are; the parser takes others, and
  // "infinite-future".
  const absl::Time first = absl::FromUnixSeconds(-62'135'596'800);
  const absl::Time past_last = absl::FromUnixSeconds(253'402'300'800);
  if (absl::ParseTime(absl::RFC3339_full, text, &time, &error) && time >= first &&
      time < past_last) {
    return time;
  }
  Fail("must be a time as 2024-01-31T12:00:00Z");
  return std::nullopt;
}

std::vector<JsonValue> JsonValue::Elements() const {
  std::vector<JsonValue> elements;
  if (!present()) return elements;
  if (!value_->is_array()) {
    Fail("must be an array");
    return elements;
  }
  elements.reserve(value_->size());
  for (const Json& element : *value_) {
    std::string place = absl::StrCat(place_, "[", elements.size(), "]");
    elements.push_back(
        JsonValue(element.is_null() ? nullptr : &element, std::move(place), status_));
  }
  return elements;
}

std::vector<std::string> JsonValue::Strings() const {
  std::vector<std::string> strings;
  for (const JsonValue& element : Elements()) strings.push_back(element.String());
  return strings;
}

std::map<std::string, std::string> JsonValue::StringMap() const {
  std::map<std::string, std::string> map;
  for (const std::string& key : Keys()) map[key] = (*this)[key.c_str()].String();
  return map;
}

std::vector<std::string> JsonValue::Keys() const {
  std::vector<std::string> keys;
  if (!present()) return keys;
  if (!value_->is_object()) {
    Fail("must be an object");
    return keys;
  }
  for (const auto& item : value_->items()) keys.push_back(item.key());
  return keys;
}

bool JsonValue::IsString() const { return present() && value_->is_string(); }

void JsonValue::Fail(std::string_view why) const {
  if (!status_->ok()) return;
  *status_ = absl::InvalidArgumentError(absl::StrCat(absl::CHexEscape(place_.substr(0, 300)),
                                                     place_.empty() ? "" : ": ", AsAbsl(why)));
}

JsonDocument::JsonDocument(std::string what, std::string_view text, const JsonLimits& limits)
    : what_(std::move(what)), json_(std::make_unique<Json>()) {
  status_ = CheckShape(text, limits);
  if (!status_.ok()) return;
  *json_ = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (json_->is_discarded()) {
    *json_ = nullptr;
    status_ = absl::InvalidArgumentError("is no JSON");
  } else if (!json_->is_object()) {
    status_ = absl::InvalidArgumentError("must be a JSON object");
  }
}

JsonDocument::~JsonDocument() = default;

JsonValue JsonDocument::root() {
  return JsonValue(json_->is_object() ? json_.get() : nullptr, "", &status_);
}

absl::Status JsonDocument::status() const { return Annotate(status_, what_); }

std::string Dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace noded::oci
