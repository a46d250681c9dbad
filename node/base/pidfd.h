// Pidfd refers to one process for as long as it is held: a signal sent through it never reaches
// another process that got the same number later (pidfd_open(2)). Move-only; thread-compatible.
#ifndef NODE_BASE_PIDFD_H_
#define NODE_BASE_PIDFD_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/base/unique_fd.h"

namespace noded {

// How a process ended. Exactly one of `code` (exit status 0..255) and `signal` (1..64) is set.
struct ExitStatus {
  std::optional<int> code;
  std::optional<int> signal;
  bool operator==(const ExitStatus&) const = default;
};

class Pidfd {
 public:
  Pidfd() = default;
  // Takes over a descriptor made by clone3(CLONE_PIDFD), pidfd_open or received by SCM_RIGHTS.
  explicit Pidfd(UniqueFd fd) : fd_(std::move(fd)) {}

  // NOT_FOUND when no such process exists (any more).
  static absl::StatusOr<Pidfd> Open(pid_t pid);

  int get() const { return fd_.get(); }
  bool valid() const { return fd_.valid(); }

  // NOT_FOUND (ESRCH) when the process has been reaped or is gone.
  absl::Status Signal(int signal) const;
  // Whether the process has ended (it may still be a zombie). Does not block, does not reap.
  bool Ended() const;
  // Reaps an own (or, for a subreaper, adopted) child. nullopt: not ended yet. NOT_FOUND: not our
  // child, or reaped already. Does not block.
  absl::StatusOr<std::optional<ExitStatus>> TryWait() const;

 private:
  UniqueFd fd_;
};

// Start time of a process in clock ticks since boot, field 22 of /proc/PID/stat (proc(5)): together
// with the pid it names one process of this boot. NOT_FOUND when there is no such process.
absl::StatusOr<uint64_t> ProcessStartTicks(pid_t pid);

}  // namespace noded

#endif  // NODE_BASE_PIDFD_H_
