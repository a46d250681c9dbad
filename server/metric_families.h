// Metrics as values, being built: what container_metrics and daemon_metrics are written with.
#ifndef SERVER_METRIC_FAMILIES_H_
#define SERVER_METRIC_FAMILIES_H_

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/duration_histogram.h"

namespace noded::server {

using Labels = std::vector<prometheus::ClientMetric::Label>;

// One family's metrics. A family that got none is left out of the result, because a name without a
// value says nothing. Thread-compatible.
class FamilyBuilder {
 public:
  FamilyBuilder(std::string name, std::string help, prometheus::MetricType type);

  // Of a counter or a gauge, whichever the family is.
  void Add(Labels labels, double value);
  void AddHistogram(Labels labels, const DurationHistogram::Values& values);

  void MoveTo(std::vector<prometheus::MetricFamily>* families);

 private:
  prometheus::MetricFamily family_;
};

}  // namespace noded::server

#endif  // SERVER_METRIC_FAMILIES_H_
