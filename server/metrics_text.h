// Metrics in Prometheus' text format 0.0.4, which every version of it takes:
// https://prometheus.io/docs/instrumenting/exposition_formats/
#ifndef SERVER_METRICS_TEXT_H_
#define SERVER_METRICS_TEXT_H_

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

namespace noded::server {

inline constexpr char kMetricsContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// What prometheus::TextSerializer writes, but whole numbers are told without an exponent. Counters,
// gauges and histograms; names are taken as they are, label values and help texts are escaped.
// Pure; thread-safe.
std::string RenderMetrics(const std::vector<prometheus::MetricFamily>& families);

}  // namespace noded::server

#endif  // SERVER_METRICS_TEXT_H_
