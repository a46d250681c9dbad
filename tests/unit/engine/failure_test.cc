#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "node/base/status.h"
#include "node/shim_client.h"

namespace noded {
namespace {

using absl::StatusCode;
using node::shim::v1::Failure;
using node::shim::v1::FailureStep;

// What a supervisor reports, and what a client of noded reads.
struct Case {
  const char* name;
  FailureStep step;
  int error;
  const char* object;
  const char* detail;
  StatusCode code;
  std::string_view reason;
  const char* message;
};

class DecodeFailureTest : public ::testing::TestWithParam<Case> {};

TEST_P(DecodeFailureTest, TellsCodeReasonAndSentence) {
  const Case& one = GetParam();
  Failure failure;
  failure.set_step(one.step);
  failure.set_error(one.error);
  failure.set_object(one.object);
  failure.set_detail(one.detail);
  absl::Status status = DecodeFailure(failure);
  EXPECT_EQ(status.code(), one.code) << status;
  EXPECT_EQ(ReasonOf(status), one.reason) << status;
  EXPECT_EQ(std::string(status.message()), one.message);
}

const Case kCases[] = {
    {"MissingBinary", node::shim::v1::FAILURE_STEP_EXEC, ENOENT, "frobnicate", "",
     StatusCode::kInvalidArgument, reason::kCommandNotFound,
     "execute \"frobnicate\": no such file or directory"},
    {"NotExecutable", node::shim::v1::FAILURE_STEP_EXEC, EACCES, "/etc/passwd", "",
     StatusCode::kInvalidArgument, reason::kCommandNotExecutable,
     "execute \"/etc/passwd\": permission denied"},
    {"WrongFormat", node::shim::v1::FAILURE_STEP_EXEC, ENOEXEC, "/bin/arm", "",
     StatusCode::kInvalidArgument, reason::kCommandNotExecutable,
     "execute \"/bin/arm\": not a program for this machine"},
    {"UnknownUser", node::shim::v1::FAILURE_STEP_USER, ENOENT, "mallory", "",
     StatusCode::kInvalidArgument, reason::kUserNotFound,
     "look up user \"mallory\": no such user or group in the container"},
    {"MissingSource", node::shim::v1::FAILURE_STEP_SOURCE, ENOENT, "/data", "at \"/mnt\"",
     StatusCode::kFailedPrecondition, reason::kMountFailed,
     "mount \"/data\" at \"/mnt\": no such file or directory"},
    {"MountTarget", node::shim::v1::FAILURE_STEP_MOUNT, ELOOP, "/mnt", "",
     StatusCode::kFailedPrecondition, reason::kMountFailed,
     "mount \"/mnt\": too many levels of symbolic links"},
    {"TaskLimit", node::shim::v1::FAILURE_STEP_NAMESPACE, EAGAIN, "", "",
     StatusCode::kResourceExhausted, reason::kLimitReached,
     "enter namespaces: resource temporarily unavailable"},
    {"DiskFull", node::shim::v1::FAILURE_STEP_LOG, ENOSPC, "log", "",
     StatusCode::kResourceExhausted, reason::kLimitReached,
     "open log \"log\": no space left on device"},
    {"Sysctl", node::shim::v1::FAILURE_STEP_SYSCTL, EINVAL, "net/core/somaxconn", "",
     StatusCode::kInvalidArgument, reason::kInvalidArgument,
     "set sysctl \"net/core/somaxconn\": invalid argument"},
    {"RlimitAboveOurs", node::shim::v1::FAILURE_STEP_RLIMIT, EPERM, "nofile", "",
     StatusCode::kFailedPrecondition, reason::kLaunchFailed,
     "set resource limit \"nofile\": operation not permitted"},
    {"WorkingDirectory", node::shim::v1::FAILURE_STEP_WORKING_DIRECTORY, ENOTDIR, "/etc/passwd", "",
     StatusCode::kInvalidArgument, reason::kInvalidArgument,
     "enter working directory \"/etc/passwd\": not a directory"},
    {"ChildLost", node::shim::v1::FAILURE_STEP_CHILD_LOST, 0, "", "", StatusCode::kAborted,
     reason::kLaunchFailed, "launch: the process ended before it was ready"},
    {"ExecAfterExit", node::shim::v1::FAILURE_STEP_NOT_RUNNING, ESRCH, "", "",
     StatusCode::kFailedPrecondition, reason::kWrongState, "exec: the container has exited"},
    {"OurBug", node::shim::v1::FAILURE_STEP_REQUEST, EPROTO, "request", "of version 9",
     StatusCode::kInternal, reason::kLaunchFailed,
     "read the request \"request\" of version 9: protocol error"},
    {"StepOfALaterVersion", static_cast<FailureStep>(999), EIO, "thing", "", StatusCode::kInternal,
     reason::kLaunchFailed, "launch \"thing\": input/output error"},
};

INSTANTIATE_TEST_SUITE_P(All, DecodeFailureTest, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace noded
