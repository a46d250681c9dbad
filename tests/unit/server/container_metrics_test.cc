#include "server/container_metrics.h"

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metrics_text.h"

namespace noded::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

LastSample Sample(const std::string& id, const node::v1::ContainerStats& stats) {
  auto sample = std::make_shared<node::v1::StatsSample>();
  sample->mutable_time()->set_seconds(1700000000);
  *sample->mutable_stats() = stats;
  return {id, "name-" + id, sample};
}

// All that a sample may hold.
node::v1::ContainerStats FullStats() {
  node::v1::ContainerStats stats;
  node::v1::CpuStats& cpu = *stats.mutable_cpu();
  cpu.set_total_ns(2'500'000'000);
  cpu.set_user_ns(2'000'000'000);
  cpu.set_system_ns(500'000'000);
  cpu.set_periods(100);
  cpu.set_throttled_periods(7);
  cpu.set_throttled_ns(250'000'000);
  cpu.set_limit_cpus(1.5);
  node::v1::MemoryStats& memory = *stats.mutable_memory();
  memory.set_usage_bytes(64 << 20);
  memory.set_working_set_bytes(32 << 20);
  memory.set_rss_bytes(16 << 20);
  memory.set_cache_bytes(8 << 20);
  memory.set_swap_bytes(4096);
  memory.set_limit_bytes(128 << 20);
  memory.set_peak_bytes(100 << 20);
  memory.set_page_faults(1000);
  memory.set_major_page_faults(10);
  memory.set_oom_kills(3);
  memory.set_oom_events(2);
  memory.set_max_events(5);
  stats.mutable_pids()->set_current(4);
  stats.mutable_pids()->set_limit(100);
  stats.set_writable_layer_bytes(12288);
  node::v1::BlockIoStats& block = *stats.add_block_io();
  block.set_major(8);
  block.set_minor(16);
  block.set_read_bytes(1 << 20);
  block.set_written_bytes(2 << 20);
  block.set_read_operations(11);
  block.set_write_operations(12);
  node::v1::NetworkInterfaceStats& network = *stats.add_networks();
  network.set_name("eth0");
  network.set_received_bytes(1500);
  network.set_sent_bytes(3000);
  node::v1::HugetlbStats& hugetlb = *stats.add_hugetlb();
  hugetlb.set_page_size("2MB");
  hugetlb.set_usage_bytes(2 << 20);
  for (node::v1::Pressure* pressure :
       {stats.mutable_pressure()->mutable_cpu(), stats.mutable_pressure()->mutable_memory(),
        stats.mutable_pressure()->mutable_io()}) {
    pressure->mutable_some()->set_total_us(1'500'000);
    pressure->mutable_full()->set_total_us(500'000);
  }
  return stats;
}

std::string Text(std::vector<LastSample> samples) {
  return RenderMetrics(ContainerMetrics(std::move(samples)));
}

std::vector<std::string> LinesOf(const std::string& text, const std::string& name) {
  std::vector<std::string> lines;
  const std::vector<std::string> all = absl::StrSplit(text, '\n');
  for (const std::string& line : all) {
    if (absl::StartsWith(line, name + "{") || absl::StartsWith(line, name + " ")) {
      lines.push_back(line);
    }
  }
  return lines;
}

TEST(ContainerMetrics, TellsBaseUnits) {
  const std::string text = Text({Sample("a", FullStats())});
  for (
      const char* line : {
          R"(noded_container_cpu_usage_seconds_total{id="a",name="name-a"} 2.5)",
          R"(noded_container_cpu_throttled_seconds_total{id="a",name="name-a"} 0.25)",
          R"(noded_container_cpu_limit_cpus{id="a",name="name-a"} 1.5)",
          R"(noded_container_memory_usage_bytes{id="a",name="name-a"} 67108864)",
          R"(noded_container_oom_kills_total{id="a",name="name-a"} 3)",
          R"(noded_container_pids{id="a",name="name-a"} 4)",
          R"(noded_container_block_written_bytes_total{id="a",name="name-a",device="8:16"} 2097152)",
          R"(noded_container_network_transmit_bytes_total{id="a",name="name-a",interface="eth0"} 3000)",
          R"(noded_container_hugetlb_usage_bytes{id="a",name="name-a",page_size="2MB"} 2097152)",
          R"(noded_container_pressure_seconds_total{id="a",name="name-a",resource="io",kind="full"} 0.5)",
          R"(noded_container_sample_timestamp_seconds{id="a",name="name-a"} 1700000000)",
      }) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + line + "\n"));
  }
}

TEST(ContainerMetrics, NamesFollowPrometheusRules) {
  std::set<std::string> names;
  for (const prometheus::MetricFamily& family : ContainerMetrics({Sample("a", FullStats())})) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name << " comes twice";
    EXPECT_TRUE(std::regex_match(family.name, std::regex("noded_[a-z_]+"))) << family.name;
    EXPECT_FALSE(family.help.empty()) << family.name;
    EXPECT_EQ(absl::EndsWith(family.name, "_total"), family.type == prometheus::MetricType::Counter)
        << family.name;
    EXPECT_EQ(family.name.find("_ns"), std::string::npos) << family.name;
    EXPECT_EQ(family.name.find("_us_"), std::string::npos) << family.name;
  }
  EXPECT_EQ(names.size(), 38u);
}

TEST(ContainerMetrics, WhatASampleDoesNotKnowIsAbsentAndNotZero) {
  node::v1::ContainerStats stats;
  stats.mutable_memory()->set_usage_bytes(0);
  stats.mutable_pressure()->mutable_cpu()->mutable_some()->set_total_us(0);
  std::vector<std::string> names;
  for (const auto& family : ContainerMetrics({Sample("a", stats)})) names.push_back(family.name);
  EXPECT_THAT(
      names,
      ElementsAre("noded_container_memory_usage_bytes", "noded_container_pressure_seconds_total",
                  "noded_container_sample_timestamp_seconds", "noded_metrics_left_out"));
  EXPECT_THAT(LinesOf(Text({Sample("a", stats)}), "noded_container_pressure_seconds_total"),
              ElementsAre(HasSubstr("resource=\"cpu\",kind=\"some\"")));
}

TEST(ContainerMetrics, NoContainerLeavesTheCountOfWhatIsLeftOut) {
  EXPECT_THAT(LinesOf(Text({}), "noded_metrics_left_out"),
              ElementsAre(R"(noded_metrics_left_out{kind="container"} 0)",
                          R"(noded_metrics_left_out{kind="interface"} 0)",
                          R"(noded_metrics_left_out{kind="device"} 0)",
                          R"(noded_metrics_left_out{kind="page_size"} 0)"));
}

TEST(ContainerMetrics, TheSameContainersAreLeftOutWhateverTheirOrder) {
  std::vector<LastSample> samples;
  node::v1::ContainerStats stats;
  stats.mutable_pids()->set_current(1);
  for (size_t i = 0; i < kMostMetricContainers + 5; ++i) {
    samples.push_back(Sample(absl::StrFormat("%08d", i), stats));
  }
  const std::string text = Text(samples);
  std::reverse(samples.begin(), samples.end());
  EXPECT_EQ(text, Text(samples));
  EXPECT_EQ(LinesOf(text, "noded_container_pids").size(), kMostMetricContainers);
  EXPECT_THAT(text, HasSubstr("noded_metrics_left_out{kind=\"container\"} 5\n"));
  EXPECT_THAT(text, Not(HasSubstr(absl::StrFormat("%08d", kMostMetricContainers))));
}

TEST(ContainerMetrics, InterfacesDevicesAndPageSizesAreBounded) {
  node::v1::ContainerStats stats;
  for (size_t i = 0; i < kMostMetricInterfaces + 3; ++i) {
    stats.add_networks()->set_name(absl::StrCat("eth", i));
  }
  for (size_t i = 0; i < kMostMetricDevices + 2; ++i) {
    node::v1::BlockIoStats& device = *stats.add_block_io();
    device.set_major(8);
    device.set_minor(static_cast<uint32_t>(i));
    device.set_read_bytes(i);
  }
  for (size_t i = 0; i < kMostMetricPageSizes + 1; ++i) {
    stats.add_hugetlb()->set_page_size(absl::StrCat(i, "MB"));
  }
  const std::string text = Text({Sample("a", stats), Sample("b", stats)});
  EXPECT_EQ(LinesOf(text, "noded_container_network_receive_bytes_total").size(),
            2 * kMostMetricInterfaces);
  EXPECT_EQ(LinesOf(text, "noded_container_block_read_bytes_total").size(), 2 * kMostMetricDevices);
  EXPECT_EQ(LinesOf(text, "noded_container_hugetlb_usage_bytes").size(), 2 * kMostMetricPageSizes);
  EXPECT_THAT(LinesOf(text, "noded_metrics_left_out"),
              ElementsAre(R"(noded_metrics_left_out{kind="container"} 0)",
                          R"(noded_metrics_left_out{kind="interface"} 6)",
                          R"(noded_metrics_left_out{kind="device"} 4)",
                          R"(noded_metrics_left_out{kind="page_size"} 2)"));
}

TEST(ContainerMetrics, NoSeriesComesTwice) {
  node::v1::ContainerStats stats;
  stats.add_networks()->set_name("eth0");
  stats.add_networks()->set_name("eth0");
  const std::string text = Text({Sample("a", stats), Sample("a", stats), {"b", "b", nullptr}});
  std::map<std::string, int> series;
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  for (const std::string& line : lines) {
    EXPECT_EQ(++series[line.substr(0, line.rfind(' '))], 1) << line;
  }
  EXPECT_THAT(text, Not(HasSubstr("\"b\"")));
}

}  // namespace
}  // namespace noded::server
