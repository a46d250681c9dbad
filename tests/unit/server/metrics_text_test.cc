#include "server/metrics_text.h"

#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>
#include <string>

#include "gtest/gtest.h"

namespace noded::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Gauge(double value, std::vector<ClientMetric::Label> labels = {}) {
  MetricFamily family{"g", "Help.", MetricType::Gauge, {}};
  family.metric.emplace_back().gauge.value = value;
  family.metric.back().label = std::move(labels);
  return family;
}

std::string Value(double value) {
  const std::string text = RenderMetrics({Gauge(value)});
  const size_t blank = text.rfind(' ');
  return text.substr(blank + 1, text.size() - blank - 2);
}

// What the library itself writes for the same.
std::string Theirs(const std::vector<MetricFamily>& families) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return text.str();
}

TEST(RenderMetrics, WritesWhatTheLibraryWrites) {
  MetricFamily counter{"c_total", "A counter.", MetricType::Counter, {}};
  for (const double value : {0.0, 1.0, 2.5, 0.001, 1048576.0, 0.0005}) {
    ClientMetric& metric = counter.metric.emplace_back();
    metric.label = {{"id", std::string(64, 'a')}, {"name", "web"}};
    metric.counter.value = value;
  }
  MetricFamily histogram{"h_seconds", "A histogram.", MetricType::Histogram, {}};
  for (const bool labelled : {false, true}) {
    ClientMetric& metric = histogram.metric.emplace_back();
    if (labelled) metric.label = {{"phase", "plan"}};
    metric.histogram.bucket = {{2, 0.0005}, {3, 10}, {5, std::numeric_limits<double>::infinity()}};
    metric.histogram.sample_count = 5;
    metric.histogram.sample_sum = 33.25;
  }
  const std::vector<MetricFamily> families = {
      counter,
      histogram,
      Gauge(-3),
      Gauge(std::numeric_limits<double>::infinity()),
      Gauge(-std::numeric_limits<double>::infinity()),
      Gauge(1, {{"a", "back\\slash"}, {"b", "new\nline"}, {"c", "\"quoted\""}, {"d", "ümlaut"}})};
  EXPECT_EQ(RenderMetrics(families), Theirs(families));
}

TEST(RenderMetrics, EscapesLabelValues) {
  EXPECT_EQ(RenderMetrics({Gauge(1, {{"name", "a\\b\n\"c\"\\"}, {"empty", ""}})}),
            "# HELP g Help.\n# TYPE g gauge\ng{name=\"a\\\\b\\n\\\"c\\\"\\\\\",empty=\"\"} 1\n");
}

TEST(RenderMetrics, EscapesHelp) {
  MetricFamily family = Gauge(1);
  family.help = "two\nlines, a \\ and \"quotes\"";
  EXPECT_EQ(RenderMetrics({family}),
            "# HELP g two\\nlines, a \\\\ and \"quotes\"\n# TYPE g gauge\ng 1\n");
}

TEST(RenderMetrics, TellsNumbersExactly) {
  EXPECT_EQ(Value(0), "0");
  EXPECT_EQ(Value(100000), "100000");
  EXPECT_EQ(Value(-7), "-7");
  EXPECT_EQ(Value(9007199254740991), "9007199254740991");
  EXPECT_EQ(Value(0.1), "0.1");
  EXPECT_EQ(Value(std::numeric_limits<double>::quiet_NaN()), "NaN");
  for (const double value :
       {1e300, 1.8446744073709552e19, 2.5e-308, 1.0 / 3, 123456789.123456789}) {
    EXPECT_EQ(std::stod(Value(value)), value) << Value(value);
  }
}

}  // namespace
}  // namespace noded::server
