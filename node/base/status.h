// Errors above the clone line are absl::Status. Each layer says what it was doing (Annotate), the
// layer that knows chooses the code, and details travel as payloads until server/ turns them into
// google.rpc messages once. Everything here is pure and thread-safe.
#ifndef NODE_BASE_STATUS_H_
#define NODE_BASE_STATUS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace noded {

// Status for a failed system call: "<what>: <strerror>". ENOENT of a host file is not a client's
// NOT_FOUND, so callers that know better pass their own code by StatusWithErrno. A full disk or
// quota is RESOURCE_EXHAUSTED with NO_SPACE, whoever meets it.
absl::Status ErrnoStatus(int error, std::string_view what);
absl::Status StatusWithErrno(absl::StatusCode code, int error, std::string_view what);
// "no such file or directory", in lower case as messages here are; thread-safe.
std::string ErrnoText(int error);

// The same status with "<what>: " before its message; keeps code and payloads. OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view what);

// A stable, machine-readable reason in UPPER_SNAKE_CASE (google.rpc.ErrorInfo.reason).
absl::Status WithReason(absl::Status status, std::string_view reason);
std::optional<std::string> ReasonOf(const absl::Status& status);

namespace reason {
inline constexpr std::string_view kContainerNotFound = "CONTAINER_NOT_FOUND";
inline constexpr std::string_view kExecNotFound = "EXEC_NOT_FOUND";
inline constexpr std::string_view kAmbiguousId = "AMBIGUOUS_ID";
inline constexpr std::string_view kNameInUse = "NAME_IN_USE";
inline constexpr std::string_view kWrongState = "WRONG_STATE";
inline constexpr std::string_view kInvalidArgument = "INVALID_ARGUMENT";
inline constexpr std::string_view kCommandNotFound = "COMMAND_NOT_FOUND";            // nodectl: 127
inline constexpr std::string_view kCommandNotExecutable = "COMMAND_NOT_EXECUTABLE";  // nodectl: 126
inline constexpr std::string_view kUserNotFound = "USER_NOT_FOUND";
inline constexpr std::string_view kMountFailed = "MOUNT_FAILED";
inline constexpr std::string_view kLaunchFailed = "LAUNCH_FAILED";
inline constexpr std::string_view kSupervisorLost = "SUPERVISOR_LOST";
inline constexpr std::string_view kNotSupported = "NOT_SUPPORTED";
inline constexpr std::string_view kLimitReached = "LIMIT_REACHED";
inline constexpr std::string_view kRevisionCompacted = "REVISION_COMPACTED";
inline constexpr std::string_view kRequestIdReused = "REQUEST_ID_REUSED";
inline constexpr std::string_view kContentDamaged = "CONTENT_DAMAGED";
inline constexpr std::string_view kNoSpace = "NO_SPACE";
inline constexpr std::string_view kImageNotFound = "IMAGE_NOT_FOUND";
inline constexpr std::string_view kRegistryUnreachable = "REGISTRY_UNREACHABLE";
inline constexpr std::string_view kRegistryDenied = "REGISTRY_DENIED";
inline constexpr std::string_view kLayerRefused = "LAYER_REFUSED";
inline constexpr std::string_view kImageInUse = "IMAGE_IN_USE";
inline constexpr std::string_view kPlatformNotFound = "PLATFORM_NOT_FOUND";
inline constexpr std::string_view kVolumeNotFound = "VOLUME_NOT_FOUND";
inline constexpr std::string_view kVolumeInUse = "VOLUME_IN_USE";
}  // namespace reason

struct FieldViolation {
  std::string field;        // path in the request as JSON names it: "spec.mounts[2].target"
  std::string description;  // rule and allowed range, in words: "must be at least 6 MiB"
  bool operator==(const FieldViolation&) const = default;
};

// Collects every violation of a request, so that all are named at once.
class Violations {
 public:
  void Add(std::string_view field, std::string_view description);
  bool empty() const { return violations_.empty(); }
  // OK, or INVALID_ARGUMENT with a message that lists them and a payload that carries them.
  absl::Status ToStatus() const;

 private:
  std::vector<FieldViolation> violations_;
};
// One violation as a status.
absl::Status InvalidField(std::string_view field, std::string_view description);
std::vector<FieldViolation> FieldViolationsOf(const absl::Status& status);

}  // namespace noded

#define NODED_CONCAT_INNER(a, b) a##b
#define NODED_CONCAT(a, b) NODED_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                                                        \
  do {                                                                               \
    if (absl::Status noded_status = (expr); !noded_status.ok()) return noded_status; \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL(NODED_CONCAT(noded_or_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(var, lhs, expr) \
  auto var = (expr);                          \
  if (!var.ok()) return var.status();         \
  lhs = *std::move(var)

#endif  // NODE_BASE_STATUS_H_
