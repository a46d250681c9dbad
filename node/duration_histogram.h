// How long something took, counted in fixed buckets: what a metrics scrape shows of requests and of
// the phases of a start. Thread-safe and without a lock: an observation is two atomic additions.
#ifndef NODE_DURATION_HISTOGRAM_H_
#define NODE_DURATION_HISTOGRAM_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "absl/time/time.h"

namespace noded {

// Upper bounds of the buckets in seconds, inclusive. From what one phase of a start takes to the
// longest time that a start may; what is longer is counted beyond them.
inline constexpr std::array<double, 16> kDurationBounds = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

class DurationHistogram {
 public:
  struct Values {
    // Not cumulative; the last one is of what is beyond all bounds.
    std::array<uint64_t, kDurationBounds.size() + 1> counts{};
    double sum_seconds = 0;
  };

  // A negative duration, of a clock that was set back, counts as zero.
  void Observe(absl::Duration duration);
  // Observations made meanwhile may be in the counts and not yet in the sum.
  Values Read() const;

 private:
  std::array<std::atomic<uint64_t>, kDurationBounds.size() + 1> counts_{};
  std::atomic<uint64_t> sum_ns_ = 0;
};

}  // namespace noded

#endif  // NODE_DURATION_HISTOGRAM_H_
