// Reading JSON that others wrote: nesting, bytes and values are bounded before anything is built,
// nothing throws, and an error names its place ("layers[3].digest").
#ifndef ROOTFS_OCI_JSON_H_
#define ROOTFS_OCI_JSON_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "nlohmann/json_fwd.hpp"
#include "rootfs/oci/digest.h"

namespace noded::oci {

// A value and its place; borrowed from its document. Absent and null are the same, as Go's decoder
// has it, which wrote most of these documents. A wrong type is told to the document and read as
// absent.
class JsonValue {
 public:
  bool present() const { return value_ != nullptr; }
  JsonValue operator[](const char* key) const;
  std::string String() const;
  int64_t Int() const;  // absent: 0
  bool Bool() const;
  class Digest Digest() const;               // required
  std::optional<absl::Time> Time() const;    // RFC 3339; Go's zero time is none
  std::vector<JsonValue> Elements() const;   // of an array
  std::vector<std::string> Strings() const;  // of an array
  std::map<std::string, std::string> StringMap() const;
  std::vector<std::string> Keys() const;  // of an object, sorted
  bool IsString() const;
  // Tells the document that this is wrong, unless something was before.
  void Fail(std::string_view why) const;

 private:
  friend class JsonDocument;
  JsonValue(const nlohmann::json* value, std::string place, absl::Status* status)
      : value_(value), place_(std::move(place)), status_(status) {}
  const nlohmann::json* value_;
  std::string place_;
  absl::Status* status_;
};

struct JsonLimits {
  size_t bytes;
  size_t values;  // and members and elements, about
};

class JsonDocument {
 public:
  // `what` begins every error: "image manifest".
  JsonDocument(std::string what, std::string_view text, const JsonLimits& limits);
  ~JsonDocument();
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;

  JsonValue root();
  // The first thing that was wrong: INVALID_ARGUMENT.
  absl::Status status() const;

 private:
  const std::string what_;
  std::unique_ptr<nlohmann::json> json_;
  absl::Status status_;
};

// Compact; bytes that are no UTF-8 become U+FFFD.
std::string Dump(const nlohmann::json& json);

}  // namespace noded::oci

#endif  // ROOTFS_OCI_JSON_H_
