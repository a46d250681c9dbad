// The form of the registry's records on disk: proto3 JSON with the field names of record.proto, a
// schema version in each. What is read was perhaps torn, damaged or written by a later version, so
// every rule that a record must keep is checked here, once. Pure and thread-safe.
#ifndef NODE_RECORD_JSON_H_
#define NODE_RECORD_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "node/state/v1/record.pb.h"

namespace noded {

inline constexpr int kRecordSchemaVersion = 1;
// A request of gRPC's 4 MiB whose every byte JSON escapes by six.
inline constexpr size_t kMaxRecordBytes = 32 << 20;

// Indented, for a person, and with a newline at its end. INTERNAL when the record has no such form.
absl::StatusOr<std::string> EncodeRecord(const google::protobuf::Message& record);

// DATA_LOSS with the reason in words: not JSON, no or a later schema version, not of container
// `id`. Unknown fields are ignored, since a later version of the same schema may have added them.
absl::StatusOr<node::state::v1::ContainerRecord> DecodeContainerRecord(const std::string& json,
                                                                       const std::string& id);
// As above; every record names its request and when it expires.
absl::StatusOr<node::state::v1::RequestRecord> DecodeRequestRecord(const std::string& json);

// Whether a directory of this name can be a container's: 1 to 64 of [0-9a-zA-Z_-].
bool IsContainerId(const std::string& name);
// "<SHA-256 of request_id in hexadecimal>.json": a caller's string must not become a path.
std::string RequestFileName(const std::string& request_id);

}  // namespace noded

#endif  // NODE_RECORD_JSON_H_
