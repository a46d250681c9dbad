#include "node/duration_histogram.h"

#include <algorithm>

namespace noded {

void DurationHistogram::Observe(absl::Duration duration) {
  duration = std::max(duration, absl::ZeroDuration());
  const auto bound = std::lower_bound(kDurationBounds.begin(), kDurationBounds.end(),
                                      absl::ToDoubleSeconds(duration));
  // Relaxed, because nothing else is published by them.
  counts_[static_cast<size_t>(bound - kDurationBounds.begin())].fetch_add(
      1, std::memory_order_relaxed);
  sum_ns_.fetch_add(static_cast<uint64_t>(absl::ToInt64Nanoseconds(duration)),
                    std::memory_order_relaxed);
}

DurationHistogram::Values DurationHistogram::Read() const {
  Values values;
  for (size_t i = 0; i < counts_.size(); ++i) {
    values.counts[i] = counts_[i].load(std::memory_order_relaxed);
  }
  values.sum_seconds = static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) / 1e9;
  return values;
}

}  // namespace noded
