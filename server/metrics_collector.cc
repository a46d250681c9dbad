#include "server/metrics_collector.h"

#include <iterator>
#include <utility>

#include "server/container_metrics.h"
#include "server/daemon_metrics.h"

namespace noded::server {
namespace {

using prometheus::MetricFamily;

void MoveTo(std::vector<MetricFamily>* all, std::vector<MetricFamily> more) {
  all->insert(all->end(), std::make_move_iterator(more.begin()),
              std::make_move_iterator(more.end()));
}

}  // namespace

std::vector<MetricFamily> MetricsCollector::Collect() const {
  std::vector<MetricFamily> families = ProcessFamilies(start_, version_);
  MoveTo(&families, RequestFamilies(*requests_));
  MoveTo(&families, StateFamilies(engine_->CountStates()));
  MoveTo(&families, StartFamilies(engine_->StartDurations()));
  MoveTo(&families, ContainerMetrics(engine_->LastSamples()));
  return families;
}

}  // namespace noded::server
