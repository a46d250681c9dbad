#include "node/start_phases.h"

#include <numeric>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace noded {
namespace {

uint64_t Count(const DurationHistogram::Values& values) {
  return std::accumulate(values.counts.begin(), values.counts.end(), uint64_t{0});
}

TEST(DurationHistogram, BoundsAreInclusiveAndWhatIsLongerIsBeyondThem) {
  DurationHistogram histogram;
  histogram.Observe(absl::Microseconds(499));
  histogram.Observe(absl::Microseconds(500));
  histogram.Observe(absl::Microseconds(501));
  histogram.Observe(absl::Seconds(60));
  histogram.Observe(absl::Seconds(61));
  const DurationHistogram::Values values = histogram.Read();
  EXPECT_EQ(values.counts.front(), 2u);
  EXPECT_EQ(values.counts[1], 1u);
  EXPECT_EQ(values.counts[kDurationBounds.size() - 1], 1u);
  EXPECT_EQ(values.counts.back(), 1u);
  EXPECT_NEAR(values.sum_seconds, 121.0015, 1e-6);
}

TEST(DurationHistogram, AClockThatWasSetBackCountsAsZero) {
  DurationHistogram histogram;
  histogram.Observe(-absl::Hours(1));
  const DurationHistogram::Values values = histogram.Read();
  EXPECT_EQ(values.counts.front(), 1u);
  EXPECT_EQ(values.sum_seconds, 0);
}

TEST(DurationHistogram, ThreadsLoseNothing) {
  DurationHistogram histogram;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) histogram.Observe(absl::Milliseconds(n % 100));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Count(histogram.Read()), 4000u);
  EXPECT_NEAR(histogram.Read().sum_seconds, 4 * 10 * 4.95, 1e-6);
}

TEST(StartClock, GivesEachPhaseWhatPassedSinceTheOneBefore) {
  StartPhases phases;
  StartClock clock(&phases);
  clock.Finish(StartPhase::kSupervisor);
  clock.Finish(StartPhase::kPlan);
  clock.Finish(StartPhase::kPlan);
  const auto values = phases.Read();
  EXPECT_EQ(Count(values[static_cast<size_t>(StartPhase::kSupervisor)]), 1u);
  EXPECT_EQ(Count(values[static_cast<size_t>(StartPhase::kFiles)]), 0u);
  EXPECT_EQ(Count(values[static_cast<size_t>(StartPhase::kPlan)]), 2u);
  EXPECT_EQ(values.size(), kStartPhaseNames.size());
}

}  // namespace
}  // namespace noded
