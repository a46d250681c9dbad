#include "node/base/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace noded {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ErrnoText, IsLowerCaseAsMessagesAre) {
  EXPECT_EQ(ErrnoText(ENOENT), "no such file or directory");
  EXPECT_EQ(ErrnoText(EIO), "input/output error");
  EXPECT_EQ(ErrnoText(4711), "error 4711");
  EXPECT_EQ(ErrnoText(ERFKILL), "operation not possible due to RF-kill");
}

TEST(ErrnoStatus, NeverBlamesTheClientForTheHost) {
  struct {
    int error;
    absl::StatusCode code;
  } cases[] = {
      {ENOENT, absl::StatusCode::kInternal},
      {EPERM, absl::StatusCode::kFailedPrecondition},
      {EACCES, absl::StatusCode::kFailedPrecondition},
      {ENOSYS, absl::StatusCode::kFailedPrecondition},
      {ENOSPC, absl::StatusCode::kResourceExhausted},
      {EMFILE, absl::StatusCode::kResourceExhausted},
      {EAGAIN, absl::StatusCode::kUnavailable},
      {ETIMEDOUT, absl::StatusCode::kDeadlineExceeded},
      {EINVAL, absl::StatusCode::kInternal},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(ErrnoStatus(one.error, "x").code(), one.code) << ErrnoText(one.error);
  }
  EXPECT_EQ(ErrnoStatus(ENOENT, "open \"/data\"").message(),
            "open \"/data\": no such file or directory");
}

TEST(Annotate, KeepsCodeAndPayloads) {
  absl::Status inner = WithReason(InvalidField("spec.name", "must not be empty"), "A_REASON");
  absl::Status outer = Annotate(inner, "create container");
  EXPECT_EQ(outer.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(outer.message(), "create container: spec.name: must not be empty");
  EXPECT_EQ(ReasonOf(outer), "A_REASON");
  EXPECT_THAT(FieldViolationsOf(outer),
              ElementsAre(FieldViolation{"spec.name", "must not be empty"}));
  EXPECT_TRUE(Annotate(absl::OkStatus(), "create container").ok());
}

TEST(Reason, IsOnErrorsOnly) {
  EXPECT_EQ(ReasonOf(WithReason(absl::InternalError("x"), reason::kNameInUse)), "NAME_IN_USE");
  EXPECT_EQ(ReasonOf(WithReason(absl::OkStatus(), reason::kNameInUse)), std::nullopt);
  EXPECT_EQ(ReasonOf(absl::InternalError("x")), std::nullopt);
}

TEST(Violations, AreAllNamedAtOnce) {
  Violations violations;
  EXPECT_TRUE(violations.empty());
  EXPECT_TRUE(violations.ToStatus().ok());
  violations.Add("spec.mounts[2].target", "must be absolute");
  violations.Add("spec.limits.memory_bytes", "must be at least 6 MiB");
  absl::Status status = violations.ToStatus();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "spec.mounts[2].target: must be absolute; "
            "spec.limits.memory_bytes: must be at least 6 MiB");
  EXPECT_EQ(ReasonOf(status), "INVALID_ARGUMENT");
  EXPECT_THAT(FieldViolationsOf(status),
              ElementsAre(FieldViolation{"spec.mounts[2].target", "must be absolute"},
                          FieldViolation{"spec.limits.memory_bytes", "must be at least 6 MiB"}));
}

TEST(Violations, CarryAnyByte) {
  std::string field("a\0:7:\n;b", 8);
  EXPECT_THAT(FieldViolationsOf(InvalidField(field, "")), ElementsAre(FieldViolation{field, ""}));
}

TEST(Violations, OfAnotherStatusAreNone) {
  EXPECT_THAT(FieldViolationsOf(absl::InternalError("x")), IsEmpty());
  EXPECT_THAT(FieldViolationsOf(absl::OkStatus()), IsEmpty());
}

absl::StatusOr<int> Half(int number) {
  if (number % 2 != 0) return absl::InvalidArgumentError("odd");
  return number / 2;
}

absl::StatusOr<int> Quarter(int number) {
  ASSIGN_OR_RETURN(int half, Half(number));
  ASSIGN_OR_RETURN(int quarter, Half(half));
  return quarter;
}

TEST(Macros, ReturnTheFirstError) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
}

}  // namespace
}  // namespace noded
