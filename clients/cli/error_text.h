// From a failed call to what a person reads and a shell tests. Pure.
#ifndef CLIENTS_CLI_ERROR_TEXT_H_
#define CLIENTS_CLI_ERROR_TEXT_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/strings/string_view.h"

namespace noded::cli {

// google.rpc.ErrorInfo.reason of the status's details; empty when it has none.
std::string ReasonOf(const grpc::Status& status);
// "run: spec.name: …" and, indented below, one line a broken field with the flag that sets it.
// `what` says what was being done; `address` is for when noded could not be reached. Without
// "nodectl: " and without the last newline.
std::string DescribeError(absl::string_view what, const grpc::Status& status,
                          absl::string_view address);
// kNotFound, kNotExecutable or kAgentError: for commands that pass a process's status on.
int ExitCodeOfStart(const grpc::Status& status);
// The flag that fills a field of a request: "--memory" of "spec.limits.memory.max_bytes"; empty
// when none does.
absl::string_view FlagOfField(absl::string_view field);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_ERROR_TEXT_H_
