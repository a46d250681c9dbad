// Operations on one group and what a payload made below it, the same for every hierarchy. Directory
// descriptors are borrowed. Thread-safe.
#ifndef CGROUP_TREE_H_
#define CGROUP_TREE_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cgroup/cgroupfs.h"
#include "node/base/unique_fd.h"

namespace noded::cgroup {

// A name that stands for one directory below a parent. INVALID_ARGUMENT otherwise.
absl::Status CheckGroupName(const std::string& name);
// "a" and "b" of "/a/b". INVALID_ARGUMENT for a relative path and for "..".
absl::StatusOr<std::vector<std::string>> ParentComponents(const std::string& parent);

// Makes the group unless it exists and opens it.
absl::StatusOr<UniqueFd> MakeOrOpenGroup(CgroupFs& fs, int parent, const std::string& name);
absl::StatusOr<std::vector<std::string>> Subgroups(int dir);
// Why MakeGroup failed for `path`: ALREADY_EXISTS, NOT_FOUND when the parent is gone, or the
// errno's code.
absl::Status MakeGroupError(int error, const std::string& path);

// Calls `enter` for the group `dir` and everything below, parents first, and `leave` for everything
// below, children first. Groups that vanish meanwhile are skipped. One descriptor at any depth, and
// a bound on the number of groups, because a payload may nest as many as it likes.
absl::Status WalkGroups(int dir, absl::FunctionRef<absl::Status(int dir)> enter,
                        absl::FunctionRef<absl::Status(int parent, const std::string& name)> leave);

// Every process of the group and below.
absl::StatusOr<std::vector<pid_t>> TreePids(int dir);
// Signals every process of the group and below, through pidfds that were seen to belong to it.
// Repeats while new ones appear, a bounded number of times; freeze first to have none appear.
absl::Status SignalTree(int dir, int signal);

// Removes the groups `name` below each parent, with everything below them, retrying EBUSY with
// backoff for `bound` at most. A parent whose group is not `inode` (made again, or gone) is left
// alone.
struct RemovalTarget {
  int parent;
  ino_t inode;
};
absl::Status RemoveGroups(CgroupFs& fs, const std::vector<RemovalTarget>& targets,
                          const std::string& name, absl::Duration bound);

// Writes a limit. `field` names it to the client ("limits.pids_max"): INVALID_ARGUMENT when the
// kernel refuses the value, FAILED_PRECONDITION when it has no such file.
absl::Status WriteLimit(int dir, const std::string& file, std::string_view value,
                        std::string_view field);
// FAILED_PRECONDITION for a limit whose controller is not there.
absl::Status MissingController(std::string_view field, std::string_view controller);

// Whether groups below `parent` have this file, as it has it itself. A parent that was removed, as
// a scope is when it is empty, tells nothing: true, and making the group will tell.
bool MayHaveFile(int parent, const std::string& file);

// Content of a file of the group; nullopt when it is not there or cannot be read.
std::optional<std::string> ReadOptional(int dir, const std::string& file);

// Writes `word` to `file` of the group, then waits until `reached` says yes of `state_file`.
// DEADLINE_EXCEEDED after `bound`. For both freezers, which work asynchronously.
absl::Status WriteAndAwait(int dir, const std::string& file, std::string_view word,
                           const std::string& state_file,
                           absl::FunctionRef<bool(std::string_view state)> reached,
                           absl::Duration bound);

}  // namespace noded::cgroup

#endif  // CGROUP_TREE_H_
