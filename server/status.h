// The one translation of an absl::Status into what a gRPC client sees. Pure; thread-safe.
#ifndef SERVER_STATUS_H_
#define SERVER_STATUS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace noded::server {

// Same code; the message valid UTF-8 and cut to fit the client's header limit; google.rpc.ErrorInfo
// when the status has a reason and google.rpc.BadRequest when it has field violations, in a
// google.rpc.Status as error details (python's grpc_status and grpcurl read them).
grpc::Status ToGrpcStatus(const absl::Status& status);

// "NOT_FOUND".
std::string_view CodeName(grpc::StatusCode code);

// `text` with each byte that is not UTF-8 as U+FFFD, cut on a character's boundary so that it takes
// at most `most_encoded_bytes` percent-encoded as a header. A cut one ends in "...".
std::string HeaderText(std::string_view text, size_t most_encoded_bytes);

}  // namespace noded::server

#endif  // SERVER_STATUS_H_
