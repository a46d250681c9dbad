#include "node/start_phases.h"

namespace noded {

std::array<DurationHistogram::Values, kStartPhaseNames.size()> StartPhases::Read() const {
  std::array<DurationHistogram::Values, kStartPhaseNames.size()> values;
  for (size_t i = 0; i < histograms_.size(); ++i) values[i] = histograms_[i].Read();
  return values;
}

}  // namespace noded
