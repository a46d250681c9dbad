#include "server/metrics_text.h"

#include <charconv>
#include <cmath>
#include <string_view>

namespace noded::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Whole numbers up to here are exact as a double.
constexpr double kMostWhole = 9007199254740992;  // 2^53
// What a line takes besides its name, so that the text grows in few steps: labels `id` and `name`.
constexpr size_t kUsualLineBytes = 128;

void AppendNumber(double value, std::string* text) {
  if (std::isnan(value)) {
    text->append("NaN");
  } else if (std::isinf(value)) {
    text->append(value < 0 ? "-Inf" : "+Inf");
  } else {
    char digits[32];
    const bool whole = std::abs(value) < kMostWhole && value == std::trunc(value);
    const auto [end, error] =
        whole ? std::to_chars(digits, digits + sizeof(digits), static_cast<int64_t>(value))
              : std::to_chars(digits, digits + sizeof(digits), value, std::chars_format::general);
    if (error == std::errc()) text->append(digits, end);
  }
}

// A label's value is in quotes, which a help text is not.
void AppendEscaped(std::string_view value, bool quoted, std::string* text) {
  // Nearly always there is nothing to escape, and a search is much quicker than a loop.
  while (!value.empty()) {
    const size_t plain = value.find_first_of(quoted ? "\\\n\"" : "\\\n");
    text->append(value.substr(0, plain));
    if (plain == std::string_view::npos) return;
    text->push_back('\\');
    text->push_back(value[plain] == '\n' ? 'n' : value[plain]);
    value.remove_prefix(plain + 1);
  }
}

void AppendLabel(std::string_view name, std::string_view value, bool first, std::string* text) {
  text->push_back(first ? '{' : ',');
  text->append(name).append("=\"");
  AppendEscaped(value, /*quoted=*/true, text);
  text->push_back('"');
}

void AppendHead(const std::string& name, std::string_view suffix, const ClientMetric& metric,
                std::string* text) {
  text->append(name).append(suffix);
  for (const ClientMetric::Label& label : metric.label) {
    AppendLabel(label.name, label.value, &label == &metric.label.front(), text);
  }
}

void AppendSample(const std::string& name, std::string_view suffix, const ClientMetric& metric,
                  double value, std::string* text) {
  AppendHead(name, suffix, metric, text);
  text->append(metric.label.empty() ? " " : "} ");
  AppendNumber(value, text);
  text->push_back('\n');
}

void AppendHistogram(const std::string& name, const ClientMetric& metric, std::string* text) {
  const ClientMetric::Histogram& histogram = metric.histogram;
  AppendSample(name, "_count", metric, static_cast<double>(histogram.sample_count), text);
  AppendSample(name, "_sum", metric, histogram.sample_sum, text);
  for (const ClientMetric::Bucket& bucket : histogram.bucket) {
    AppendHead(name, "_bucket", metric, text);
    std::string bound;
    AppendNumber(bucket.upper_bound, &bound);
    AppendLabel("le", bound, metric.label.empty(), text);
    text->append("} ");
    AppendNumber(static_cast<double>(bucket.cumulative_count), text);
    text->push_back('\n');
  }
}

void AppendFamily(const MetricFamily& family, std::string* text) {
  text->append("# HELP ").append(family.name).push_back(' ');
  AppendEscaped(family.help, /*quoted=*/false, text);
  const bool counter = family.type == MetricType::Counter;
  const bool histogram = family.type == MetricType::Histogram;
  text->append("\n# TYPE ").append(family.name);
  text->append(counter ? " counter\n" : histogram ? " histogram\n" : " gauge\n");
  for (const ClientMetric& metric : family.metric) {
    if (histogram) {
      AppendHistogram(family.name, metric, text);
    } else {
      AppendSample(family.name, "", metric, counter ? metric.counter.value : metric.gauge.value,
                   text);
    }
  }
}

}  // namespace

std::string RenderMetrics(const std::vector<MetricFamily>& families) {
  size_t bytes = 0;
  for (const MetricFamily& family : families) {
    bytes += family.metric.size() * (family.name.size() + kUsualLineBytes);
  }
  std::string text;
  text.reserve(bytes);
  for (const MetricFamily& family : families) AppendFamily(family, &text);
  return text;
}

}  // namespace noded::server
