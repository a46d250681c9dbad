#include "node/record_changes.h"

#include <google/protobuf/util/time_util.h>
#include <signal.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "node/container_state.h"

namespace noded {
namespace {

using google::protobuf::util::TimeUtil;
using node::shim::v1::ExitRecord;
using node::state::v1::ContainerRecord;
using node::v1::Container;
using node::v1::ExitReason;

ExitReason ReasonOf(const ContainerRecord& record, const ExitRecord& exit) {
  if (!exit.has_code() && !exit.has_signal()) return node::v1::EXIT_REASON_UNKNOWN;
  if (record.stop_requested()) return node::v1::EXIT_REASON_STOPPED;
  if (record.container().oom_killed() && exit.signal() == SIGKILL)
    return node::v1::EXIT_REASON_OOM_KILLED;
  if (exit.has_signal()) return node::v1::EXIT_REASON_SIGNALED;
  return node::v1::EXIT_REASON_COMPLETED;
}

}  // namespace

absl::Status WrongState(const Container& container) {
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat("container ", container.name(), " is ",
                                                 AsAbsl(StateName(container.state())))),
      reason::kWrongState);
}

absl::Status ContainerGone() {
  return WithReason(absl::NotFoundError("the container was removed"), reason::kContainerNotFound);
}

absl::Status SupervisorLost() {
  return WithReason(absl::UnavailableError("the container's supervisor has ended"),
                    reason::kSupervisorLost);
}

bool MayHaveProcess(const Container& container) {
  return HasProcess(container.state()) || container.state() == node::v1::CONTAINER_STATE_STARTING ||
         (container.state() == node::v1::CONTAINER_STATE_UNKNOWN && container.pid() != 0);
}

void MarkStarting(ContainerRecord& record) {
  Container& container = *record.mutable_container();
  container.set_state(node::v1::CONTAINER_STATE_STARTING);
  container.set_pid(0);
  container.clear_finish_time();
  container.clear_exit_status();
  container.clear_exit_reason();
  container.clear_oom_killed();
  container.clear_oom_kills();
  container.clear_last_oom_kill();
  container.clear_error();
  container.clear_exec_ids();
  record.set_start_ticks(0);
  record.set_shim_pid(0);
  record.set_stop_requested(false);
}

void MarkRunning(ContainerRecord& record, const node::shim::v1::RunningRecord& launched,
                 const std::string& boot_id) {
  Container& container = *record.mutable_container();
  container.set_state(node::v1::CONTAINER_STATE_RUNNING);
  container.set_pid(launched.pid());
  *container.mutable_start_time() = TimeUtil::NanosecondsToTimestamp(launched.start_time_ns());
  container.set_start_count(container.start_count() + 1);
  record.set_boot_id(boot_id);
  record.set_shim_pid(launched.shim_pid());
  record.set_start_ticks(launched.start_ticks());
  record.set_discard_unless_started(false);
}

void MarkStartFailed(ContainerRecord& record, const std::string& why) {
  Container& container = *record.mutable_container();
  container.set_state(node::v1::CONTAINER_STATE_EXITED);
  container.set_exit_reason(node::v1::EXIT_REASON_START_FAILED);
  container.set_error(why);
  *container.mutable_finish_time() = TimestampNow();
}

void MarkExited(ContainerRecord& record, const ExitRecord& exit, const std::string& error) {
  Container& container = *record.mutable_container();
  // What is wrong with a damaged record stays to be said.
  if (container.state() != node::v1::CONTAINER_STATE_UNKNOWN) container.set_error(error);
  container.set_state(node::v1::CONTAINER_STATE_EXITED);
  container.set_pid(0);
  container.clear_exec_ids();
  node::v1::ExitStatus& status = *container.mutable_exit_status();
  status.Clear();
  if (exit.has_code()) status.set_code(exit.code());
  if (exit.has_signal()) status.set_signal(exit.signal());
  *container.mutable_finish_time() = TimeUtil::NanosecondsToTimestamp(exit.time_ns());
  container.set_exit_reason(ReasonOf(record, exit));
}

void MarkOomKilled(ContainerRecord& record, uint64_t kills,
                   const std::optional<node::v1::OomKill>& last) {
  Container& container = *record.mutable_container();
  container.set_oom_killed(kills > 0);
  container.set_oom_kills(kills);
  if (last) *container.mutable_last_oom_kill() = *last;
}

void MarkExecStarted(ContainerRecord& record, const std::string& exec_id) {
  record.mutable_container()->add_exec_ids(exec_id);
}

void MarkExecEnded(ContainerRecord& record, const std::string& exec_id) {
  auto& ids = *record.mutable_container()->mutable_exec_ids();
  ids.erase(std::remove(ids.begin(), ids.end(), exec_id), ids.end());
}

google::protobuf::Timestamp TimestampNow() {
  return TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(absl::Now()));
}

ExitRecord UnknownExit(int64_t pid) {
  ExitRecord exit;
  exit.set_pid(static_cast<int32_t>(pid));
  exit.set_time_ns(absl::ToUnixNanos(absl::Now()));
  return exit;
}

}  // namespace noded
