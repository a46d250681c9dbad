// What the steps of a life change in a record. Pure; thread-safe.
#ifndef NODE_RECORD_CHANGES_H_
#define NODE_RECORD_CHANGES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "google/protobuf/timestamp.pb.h"
#include "node/shim/v1/plan.pb.h"
#include "node/shim/v1/shim.pb.h"
#include "node/state/v1/record.pb.h"
#include "node/v1/container.pb.h"

namespace noded {

// FAILED_PRECONDITION: "container web-1 is running".
absl::Status WrongState(const node::v1::Container& container);
// NOT_FOUND: it was removed while the operation waited for its turn.
absl::Status ContainerGone();
// UNAVAILABLE: the supervisor has ended.
absl::Status SupervisorLost();
// There is a process, or may be one that we know too little of.
bool MayHaveProcess(const node::v1::Container& container);

void MarkStarting(node::state::v1::ContainerRecord& record);
void MarkRunning(node::state::v1::ContainerRecord& record,
                 const node::shim::v1::RunningRecord& launched, const std::string& boot_id);
void MarkStartFailed(node::state::v1::ContainerRecord& record, const std::string& why);
// After MarkOomKilled, if that is due: the reason depends on it. `error`: what went wrong besides,
// empty when nothing did.
void MarkExited(node::state::v1::ContainerRecord& record, const node::shim::v1::ExitRecord& exit,
                const std::string& error);
// So many kills in this run. `last`: what is known of the last one.
void MarkOomKilled(node::state::v1::ContainerRecord& record, uint64_t kills,
                   const std::optional<node::v1::OomKill>& last);
void MarkExecStarted(node::state::v1::ContainerRecord& record, const std::string& exec_id);
void MarkExecEnded(node::state::v1::ContainerRecord& record, const std::string& exec_id);

// Now, with nanoseconds: TimeUtil::GetCurrentTime tells whole seconds.
google::protobuf::Timestamp TimestampNow();

// An end that nobody has seen.
node::shim::v1::ExitRecord UnknownExit(int64_t pid);

}  // namespace noded

#endif  // NODE_RECORD_CHANGES_H_
