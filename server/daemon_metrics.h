// What a scrape tells of the daemon itself: requests, containers by state, phases of starts, and
// the process. Thread-safe.
#ifndef SERVER_DAEMON_METRICS_H_
#define SERVER_DAEMON_METRICS_H_

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "node/engine.h"
#include "server/request_metrics.h"

namespace noded::server {

std::vector<prometheus::MetricFamily> RequestFamilies(const RequestMetrics& requests);
// Every state of the API but UNSPECIFIED, also those that no container is in, so that an alert on
// one does not miss its first.
std::vector<prometheus::MetricFamily> StateFamilies(const Engine::StateCounts& counts);
std::vector<prometheus::MetricFamily> StartFamilies(const StartPhases& phases);
// The names that every client library of Prometheus gives. What /proc does not tell is absent.
std::vector<prometheus::MetricFamily> ProcessFamilies(absl::Time start, const std::string& version);

}  // namespace noded::server

#endif  // SERVER_DAEMON_METRICS_H_
