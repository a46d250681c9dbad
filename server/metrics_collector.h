// All that one scrape tells, from what is in memory: no container is sampled for it.
#ifndef SERVER_METRICS_COLLECTOR_H_
#define SERVER_METRICS_COLLECTOR_H_

#include <prometheus/collectable.h>

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "node/engine.h"
#include "server/request_metrics.h"

namespace noded::server {

// Thread-safe.
class MetricsCollector final : public prometheus::Collectable {
 public:
  // Both outlive this.
  MetricsCollector(Engine* engine, const RequestMetrics* requests, std::string version)
      : engine_(engine), requests_(requests), version_(std::move(version)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Engine* const engine_;
  const RequestMetrics* const requests_;
  const std::string version_;
  const absl::Time start_ = absl::Now();
};

}  // namespace noded::server

#endif  // SERVER_METRICS_COLLECTOR_H_
