// absl's times against protobuf's. Pure.
#ifndef CLIENTS_CLI_PROTO_TIME_H_
#define CLIENTS_CLI_PROTO_TIME_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include "absl/time/time.h"

namespace noded::cli {

google::protobuf::Duration ToProto(absl::Duration duration);
google::protobuf::Timestamp ToProto(absl::Time time);
absl::Duration FromProto(const google::protobuf::Duration& duration);
absl::Time FromProto(const google::protobuf::Timestamp& time);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_PROTO_TIME_H_
