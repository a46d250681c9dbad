// What the time of a start goes into, of all starts since the daemon began. The supervisor works on
// what it was sent while noded makes the cgroup, so the phases' sum is not the start's duration.
#ifndef NODE_START_PHASES_H_
#define NODE_START_PHASES_H_

#include <array>
#include <string_view>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "node/duration_histogram.h"

namespace noded {

enum class StartPhase {
  kSupervisor,  // the spare one is taken, or a new one is started
  kFiles,       // directories of the container, and the record that it starts
  kPlan,        // the launch plan is compiled and sent
  kCgroup,      // the group is made, its limits set, and it is sent
  kAnswer,  // from then until the supervisor's answer: the container's init has reached its exec
  kRecord,  // the record that it runs
};
inline constexpr std::array<std::string_view, 6> kStartPhaseNames = {
    "supervisor", "files", "plan", "cgroup", "answer", "record"};

// Thread-safe.
class StartPhases {
 public:
  void Observe(StartPhase phase, absl::Duration duration) {
    histograms_[static_cast<size_t>(phase)].Observe(duration);
  }
  std::array<DurationHistogram::Values, kStartPhaseNames.size()> Read() const;

 private:
  std::array<DurationHistogram, kStartPhaseNames.size()> histograms_;
};

// One start's time, told phase by phase: each begins where the one before was finished. One thread
// at a time; `phases` outlives it.
class StartClock {
 public:
  explicit StartClock(StartPhases* phases) : phases_(phases) {}
  void Finish(StartPhase phase) {
    const absl::Time now = absl::Now();
    phases_->Observe(phase, now - begin_);
    begin_ = now;
  }

 private:
  StartPhases* const phases_;
  absl::Time begin_ = absl::Now();
};

}  // namespace noded

#endif  // NODE_START_PHASES_H_
