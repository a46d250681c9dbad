// What a scrape tells of containers: their last samples as metric families. Pure; thread-safe.
#ifndef SERVER_CONTAINER_METRICS_H_
#define SERVER_CONTAINER_METRICS_H_

#include <prometheus/metric_family.h>

#include <cstddef>
#include <vector>

#include "node/engine.h"

namespace noded::server {

// What one scrape tells at most, since each label value is a time series that Prometheus keeps for
// weeks. What is beyond is counted in noded_metrics_left_out.
inline constexpr size_t kMostMetricContainers = 2000;
inline constexpr size_t kMostMetricInterfaces = 16;  // a container
inline constexpr size_t kMostMetricDevices = 16;     // a container
inline constexpr size_t kMostMetricPageSizes = 8;    // a container

// Every metric has the labels `id`, the whole id, and `name`. What a sample does not know has no
// metric. Containers are told in the order of their ids, so that the same ones are left out by
// every scrape. A container that comes twice is told once: a name twice in a scrape would have
// Prometheus refuse all of it.
std::vector<prometheus::MetricFamily> ContainerMetrics(std::vector<LastSample> samples);

}  // namespace noded::server

#endif  // SERVER_CONTAINER_METRICS_H_
