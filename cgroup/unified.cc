#include "cgroup/unified.h"

#include "cgroup/tree.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded::cgroup {

absl::Status ThawUnified(int dir, absl::Duration bound) {
  return WriteAndAwait(
      dir, "cgroup.freeze", "0", "cgroup.events",
      [](std::string_view now) { return ParseKeyed(now, "frozen") == 0u; }, bound);
}

absl::Status FreezeUnified(int dir, absl::Duration bound) {
  absl::Status frozen = WriteAndAwait(
      dir, "cgroup.freeze", "1", "cgroup.events",
      [](std::string_view now) { return ParseKeyed(now, "frozen") == 1u; }, bound);
  // Half-frozen helps nobody.
  if (absl::IsDeadlineExceeded(frozen)) ThawUnified(dir, bound).IgnoreError();
  return frozen;
}

absl::StatusOr<bool> FrozenUnified(int dir) {
  ASSIGN_OR_RETURN(std::string told, ReadFileAt(dir, "cgroup.freeze"));
  return TrimEnd(told) == "1";
}

}  // namespace noded::cgroup
