#include "node/base/status.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "node/base/string_view.h"

namespace noded {
namespace {

// Payload keys. They never leave the process: server/ translates them into google.rpc details.
constexpr absl::string_view kReasonPayload = "noded/reason";
constexpr absl::string_view kViolationsPayload = "noded/violations";

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::StatusCode::kResourceExhausted;
    case EAGAIN:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTDOWN:
      return absl::StatusCode::kUnavailable;
    case ETIMEDOUT:
      return absl::StatusCode::kDeadlineExceeded;
    // The host is not as it must be. PERMISSION_DENIED would tell a client that its own credentials
    // are at fault, UNIMPLEMENTED that the RPC does not exist.
    case EPERM:
    case EACCES:
    case EROFS:
    case ENOSYS:
    case EOPNOTSUPP:
    case EBUSY:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kInternal;
  }
}

// Length-prefixed, because a client's field may hold any byte, NUL and newline too.
void AppendCounted(std::string& out, std::string_view text) {
  absl::StrAppend(&out, text.size(), ":", AsAbsl(text));
}

std::optional<std::string> TakeCounted(std::string_view& in) {
  size_t colon = in.find(':');
  uint64_t size = 0;
  if (colon == std::string_view::npos || !absl::SimpleAtoi(AsAbsl(in.substr(0, colon)), &size))
    return {};
  in.remove_prefix(colon + 1);
  if (size > in.size()) return {};
  std::string text(in.substr(0, size));
  in.remove_prefix(size);
  return text;
}

}  // namespace

std::string ErrnoText(int error) {
  // Not strerror: strerrordesc_np is thread-safe and never looks for a translation on disk, which
  // after a change of root would be the container's disk.
  const char* description = strerrordesc_np(error);
  if (description == nullptr) return absl::StrCat("error ", error);
  std::string text = description;
  bool acronym = text.size() > 1 && absl::ascii_isupper(text[1]);
  if (!text.empty() && !acronym) text[0] = absl::ascii_tolower(text[0]);
  return text;
}

absl::Status StatusWithErrno(absl::StatusCode code, int error, std::string_view what) {
  return absl::Status(code, absl::StrCat(AsAbsl(what), ": ", ErrnoText(error)));
}

absl::Status ErrnoStatus(int error, std::string_view what) {
  absl::Status status = StatusWithErrno(CodeOf(error), error, what);
  if (error != ENOSPC && error != EDQUOT) return status;
  return WithReason(std::move(status), reason::kNoSpace);
}

absl::Status Annotate(const absl::Status& status, std::string_view what) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(AsAbsl(what), ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

absl::Status WithReason(absl::Status status, std::string_view reason) {
  if (!status.ok()) status.SetPayload(kReasonPayload, absl::Cord(AsAbsl(reason)));
  return status;
}

std::optional<std::string> ReasonOf(const absl::Status& status) {
  auto payload = status.GetPayload(kReasonPayload);
  if (!payload) return std::nullopt;
  return std::string(*payload);
}

void Violations::Add(std::string_view field, std::string_view description) {
  violations_.push_back({std::string(field), std::string(description)});
}

absl::Status Violations::ToStatus() const {
  if (violations_.empty()) return absl::OkStatus();
  std::string message = absl::StrJoin(violations_, "; ", [](std::string* out, const auto& one) {
    absl::StrAppend(out, one.field, ": ", one.description);
  });
  std::string encoded;
  for (const FieldViolation& one : violations_) {
    AppendCounted(encoded, one.field);
    AppendCounted(encoded, one.description);
  }
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(kViolationsPayload, absl::Cord(encoded));
  return WithReason(std::move(status), reason::kInvalidArgument);
}

absl::Status InvalidField(std::string_view field, std::string_view description) {
  Violations violations;
  violations.Add(field, description);
  return violations.ToStatus();
}

std::vector<FieldViolation> FieldViolationsOf(const absl::Status& status) {
  std::vector<FieldViolation> result;
  auto payload = status.GetPayload(kViolationsPayload);
  if (!payload) return result;
  std::string encoded(*payload);
  std::string_view rest = encoded;
  while (!rest.empty()) {
    auto field = TakeCounted(rest);
    auto description = TakeCounted(rest);
    if (!field || !description) break;
    result.push_back({*std::move(field), *std::move(description)});
  }
  return result;
}

}  // namespace noded
