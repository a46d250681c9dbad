#include "node/record_json.h"

#include <google/protobuf/util/json_util.h>
#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"

namespace noded {
namespace {

using google::protobuf::Message;
using node::state::v1::ContainerRecord;
using node::state::v1::RequestRecord;

template <typename Record>
absl::StatusOr<Record> Decode(const std::string& json) {
  Record record;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  auto parsed = google::protobuf::util::JsonStringToMessage(json, &record, options);
  if (!parsed.ok()) {
    // The parser's own words quote the file, which may hold secrets of an environment.
    return absl::DataLossError("not a record: torn or damaged");
  }
  if (record.schema_version() < 1) return absl::DataLossError("no schema version");
  if (record.schema_version() > kRecordSchemaVersion) {
    return absl::DataLossError(absl::StrCat("schema version ", record.schema_version(),
                                            " is later than ", kRecordSchemaVersion));
  }
  return record;
}

}  // namespace

absl::StatusOr<std::string> EncodeRecord(const Message& record) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = true;
  std::string json;
  auto printed = google::protobuf::util::MessageToJsonString(record, &json, options);
  if (!printed.ok()) {
    return absl::InternalError(
        absl::StrCat("encode record as JSON: ", std::string(printed.message())));
  }
  return json;
}

absl::StatusOr<ContainerRecord> DecodeContainerRecord(const std::string& json,
                                                      const std::string& id) {
  ASSIGN_OR_RETURN(ContainerRecord record, Decode<ContainerRecord>(json));
  if (record.container().id() != id) return absl::DataLossError("not of this container");
  if (record.container().name().empty()) return absl::DataLossError("no name");
  if (!node::v1::ContainerState_IsValid(record.container().state()) ||
      record.container().state() == node::v1::CONTAINER_STATE_UNSPECIFIED) {
    return absl::DataLossError("no state");
  }
  return record;
}

absl::StatusOr<RequestRecord> DecodeRequestRecord(const std::string& json) {
  ASSIGN_OR_RETURN(RequestRecord record, Decode<RequestRecord>(json));
  if (record.request_id().empty()) return absl::DataLossError("no request id");
  if (!record.has_expire_time()) return absl::DataLossError("no time of expiry");
  return record;
}

bool IsContainerId(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  });
}

std::string RequestFileName(const std::string& request_id) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(request_id.data()), request_id.size(), digest);
  return absl::StrCat(absl::BytesToHexString(
                          absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest))),
                      ".json");
}

}  // namespace noded
