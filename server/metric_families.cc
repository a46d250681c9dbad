#include "server/metric_families.h"

#include <limits>

namespace noded::server {

using prometheus::ClientMetric;
using prometheus::MetricType;

FamilyBuilder::FamilyBuilder(std::string name, std::string help, MetricType type) {
  family_.name = std::move(name);
  family_.help = std::move(help);
  family_.type = type;
}

void FamilyBuilder::Add(Labels labels, double value) {
  ClientMetric& metric = family_.metric.emplace_back();
  metric.label = std::move(labels);
  (family_.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
}

void FamilyBuilder::AddHistogram(Labels labels, const DurationHistogram::Values& values) {
  ClientMetric& metric = family_.metric.emplace_back();
  metric.label = std::move(labels);
  uint64_t cumulative = 0;
  for (size_t i = 0; i < values.counts.size(); ++i) {
    cumulative += values.counts[i];
    metric.histogram.bucket.push_back(
        {.cumulative_count = cumulative,
         .upper_bound = i < kDurationBounds.size() ? kDurationBounds[i]
                                                   : std::numeric_limits<double>::infinity()});
  }
  metric.histogram.sample_count = cumulative;
  metric.histogram.sample_sum = values.sum_seconds;
}

void FamilyBuilder::MoveTo(std::vector<prometheus::MetricFamily>* families) {
  if (!family_.metric.empty()) families->push_back(std::move(family_));
}

}  // namespace noded::server
