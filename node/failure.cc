#include <cerrno>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "node/shim_client.h"

namespace noded {
namespace {

using absl::StatusCode;
using node::shim::v1::Failure;
using node::shim::v1::FailureStep;

// What each step was doing, and what an errno of it is when no rule below says otherwise.
struct StepRule {
  FailureStep step;
  std::string_view doing;
  StatusCode code;
  std::string_view reason;
};

constexpr StepRule kSteps[] = {
    {node::shim::v1::FAILURE_STEP_UNSPECIFIED, "launch", StatusCode::kInternal,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_REQUEST, "read the request", StatusCode::kInternal,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_SOURCE, "mount", StatusCode::kFailedPrecondition,
     reason::kMountFailed},
    {node::shim::v1::FAILURE_STEP_NAMESPACE, "enter namespaces", StatusCode::kFailedPrecondition,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_ID_MAP, "write id map", StatusCode::kFailedPrecondition,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_CGROUP, "enter cgroup", StatusCode::kFailedPrecondition,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_ROOT, "set up root file system", StatusCode::kFailedPrecondition,
     reason::kMountFailed},
    {node::shim::v1::FAILURE_STEP_MOUNT, "mount", StatusCode::kFailedPrecondition,
     reason::kMountFailed},
    {node::shim::v1::FAILURE_STEP_DEVICE, "make device", StatusCode::kFailedPrecondition,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_HOSTNAME, "set host name", StatusCode::kFailedPrecondition,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_SYSCTL, "set sysctl", StatusCode::kInvalidArgument,
     reason::kInvalidArgument},
    {node::shim::v1::FAILURE_STEP_NETWORK, "bring up network", StatusCode::kFailedPrecondition,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_USER, "look up user", StatusCode::kInvalidArgument,
     reason::kUserNotFound},
    {node::shim::v1::FAILURE_STEP_RLIMIT, "set resource limit", StatusCode::kFailedPrecondition,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_OOM_SCORE, "set oom score", StatusCode::kFailedPrecondition,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_TERMINAL, "open terminal", StatusCode::kFailedPrecondition,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_CREDENTIALS, "change credentials",
     StatusCode::kFailedPrecondition, reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_SECCOMP, "install seccomp filter", StatusCode::kInvalidArgument,
     reason::kInvalidArgument},
    {node::shim::v1::FAILURE_STEP_WORKING_DIRECTORY, "enter working directory",
     StatusCode::kInvalidArgument, reason::kInvalidArgument},
    {node::shim::v1::FAILURE_STEP_EXEC, "execute", StatusCode::kInvalidArgument,
     reason::kCommandNotExecutable},
    {node::shim::v1::FAILURE_STEP_LOG, "open log", StatusCode::kInternal, reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_CHILD_LOST, "launch", StatusCode::kAborted,
     reason::kLaunchFailed},
    {node::shim::v1::FAILURE_STEP_NOT_RUNNING, "exec", StatusCode::kFailedPrecondition,
     reason::kWrongState},
};

const StepRule& RuleOf(FailureStep step) {
  for (const StepRule& rule : kSteps) {
    if (rule.step == step) return rule;
  }
  return kSteps[0];  // a step of a later supervisor
}

// The host has run out of something: the same request may succeed later.
bool IsExhaustion(int error) {
  switch (error) {
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case EAGAIN:  // clone3: the limit of tasks
      return true;
    default:
      return false;
  }
}

// What the step failed with, in words; the errno's text when the supervisor has none of its own.
std::string Because(const Failure& failure) {
  switch (failure.step()) {
    case node::shim::v1::FAILURE_STEP_CHILD_LOST:
      return "the process ended before it was ready";
    case node::shim::v1::FAILURE_STEP_NOT_RUNNING:
      return "the container has exited";
    case node::shim::v1::FAILURE_STEP_USER:
      if (failure.error() == 0 || failure.error() == ENOENT) {
        return "no such user or group in the container";
      }
      break;
    case node::shim::v1::FAILURE_STEP_EXEC:
      if (failure.error() == ENOENT) return "no such file or directory";
      if (failure.error() == ENOEXEC) return "not a program for this machine";
      break;
    default:
      break;
  }
  return failure.error() == 0 ? "" : ErrnoText(failure.error());
}

}  // namespace

absl::Status DecodeFailure(const Failure& failure) {
  const StepRule& rule = RuleOf(failure.step());
  std::string message(AsAbsl(rule.doing));
  if (!failure.object().empty()) absl::StrAppend(&message, " \"", failure.object(), "\"");
  if (!failure.detail().empty()) absl::StrAppend(&message, " ", failure.detail());
  std::string because = Because(failure);
  if (!because.empty()) absl::StrAppend(&message, ": ", because);

  if (IsExhaustion(failure.error())) {
    return WithReason(absl::ResourceExhaustedError(message), reason::kLimitReached);
  }
  if (failure.step() == node::shim::v1::FAILURE_STEP_EXEC && failure.error() == ENOENT) {
    return WithReason(absl::InvalidArgumentError(message), reason::kCommandNotFound);
  }
  if (failure.step() == node::shim::v1::FAILURE_STEP_RLIMIT && failure.error() == EINVAL) {
    return WithReason(absl::InvalidArgumentError(message), reason::kInvalidArgument);
  }
  return WithReason(absl::Status(rule.code, message), rule.reason);
}

}  // namespace noded
