// The freezer of a cgroup v2 directory (borrowed), which the v2 driver and hybrid hosts share.
// Thread-safe.
#ifndef CGROUP_UNIFIED_H_
#define CGROUP_UNIFIED_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace noded::cgroup {

// Returns when every task is frozen. After `bound` the group is thawed again: DEADLINE_EXCEEDED.
absl::Status FreezeUnified(int dir, absl::Duration bound);
absl::Status ThawUnified(int dir, absl::Duration bound);
// Whether it was told to freeze, even if a task of it has not yet.
absl::StatusOr<bool> FrozenUnified(int dir);

}  // namespace noded::cgroup

#endif  // CGROUP_UNIFIED_H_
