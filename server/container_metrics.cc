#include "server/container_metrics.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "server/metric_families.h"

namespace noded::server {
namespace {

using google::protobuf::util::TimeUtil;
using node::v1::ContainerStats;
using node::v1::StatsSample;
using prometheus::MetricFamily;
using prometheus::MetricType;

using Samples = std::vector<LastSample>;

constexpr double kNanosecond = 1e-9;
constexpr double kMicrosecond = 1e-6;

struct LeftOut {
  size_t containers = 0, interfaces = 0, devices = 0, page_sizes = 0;
};

Labels LabelsOf(const LastSample& sample, size_t more = 0) {
  Labels labels;
  labels.reserve(2 + more);
  labels.push_back({"id", sample.id});
  labels.push_back({"name", sample.name});
  return labels;
}

Labels LabelsOf(const LastSample& sample, const char* key, std::string value) {
  Labels labels = LabelsOf(sample, 1);
  labels.push_back({key, std::move(value)});
  return labels;
}

// The value if the sample knows it.
#define KNOWN(message, field) \
  ((message).has_##field() ? std::optional<double>((message).field()) : std::nullopt)

// One number a container.
struct Plain {
  const char* name;
  const char* help;
  MetricType type;
  double unit;
  std::optional<double> (*value)(const ContainerStats&);
};

constexpr Plain kPlain[] = {
    {"noded_container_cpu_usage_seconds_total", "Processor time used.", MetricType::Counter,
     kNanosecond, [](const ContainerStats& s) { return KNOWN(s.cpu(), total_ns); }},
    {"noded_container_cpu_user_seconds_total", "Processor time used outside of the kernel.",
     MetricType::Counter, kNanosecond,
     [](const ContainerStats& s) { return KNOWN(s.cpu(), user_ns); }},
    {"noded_container_cpu_system_seconds_total", "Processor time used in the kernel.",
     MetricType::Counter, kNanosecond,
     [](const ContainerStats& s) { return KNOWN(s.cpu(), system_ns); }},
    {"noded_container_cpu_periods_total", "Quota periods in which it wanted to run.",
     MetricType::Counter, 1, [](const ContainerStats& s) { return KNOWN(s.cpu(), periods); }},
    {"noded_container_cpu_throttled_periods_total", "Quota periods in which its quota ran out.",
     MetricType::Counter, 1,
     [](const ContainerStats& s) { return KNOWN(s.cpu(), throttled_periods); }},
    {"noded_container_cpu_throttled_seconds_total", "Time it waited for a new quota period.",
     MetricType::Counter, kNanosecond,
     [](const ContainerStats& s) { return KNOWN(s.cpu(), throttled_ns); }},
    {"noded_container_cpu_limit_cpus", "Processors that the quota allows. Absent: no quota.",
     MetricType::Gauge, 1, [](const ContainerStats& s) { return KNOWN(s.cpu(), limit_cpus); }},
    {"noded_container_memory_usage_bytes", "Memory charged, page cache included.",
     MetricType::Gauge, 1, [](const ContainerStats& s) { return KNOWN(s.memory(), usage_bytes); }},
    {"noded_container_memory_working_set_bytes", "Usage without inactive page cache.",
     MetricType::Gauge, 1,
     [](const ContainerStats& s) { return KNOWN(s.memory(), working_set_bytes); }},
    {"noded_container_memory_rss_bytes", "Anonymous memory.", MetricType::Gauge, 1,
     [](const ContainerStats& s) { return KNOWN(s.memory(), rss_bytes); }},
    {"noded_container_memory_cache_bytes", "Page cache.", MetricType::Gauge, 1,
     [](const ContainerStats& s) { return KNOWN(s.memory(), cache_bytes); }},
    {"noded_container_memory_swap_bytes", "Swap used.", MetricType::Gauge, 1,
     [](const ContainerStats& s) { return KNOWN(s.memory(), swap_bytes); }},
    {"noded_container_memory_limit_bytes", "Memory limit. Absent: unlimited.", MetricType::Gauge, 1,
     [](const ContainerStats& s) { return KNOWN(s.memory(), limit_bytes); }},
    {"noded_container_memory_peak_bytes", "Most memory used at any time.", MetricType::Gauge, 1,
     [](const ContainerStats& s) { return KNOWN(s.memory(), peak_bytes); }},
    {"noded_container_memory_page_faults_total", "Page faults.", MetricType::Counter, 1,
     [](const ContainerStats& s) { return KNOWN(s.memory(), page_faults); }},
    {"noded_container_memory_major_page_faults_total", "Page faults that waited for a disk.",
     MetricType::Counter, 1,
     [](const ContainerStats& s) { return KNOWN(s.memory(), major_page_faults); }},
    {"noded_container_oom_kills_total", "Processes killed because memory ran out.",
     MetricType::Counter, 1, [](const ContainerStats& s) { return KNOWN(s.memory(), oom_kills); }},
    {"noded_container_oom_events_total", "Times that memory ran out.", MetricType::Counter, 1,
     [](const ContainerStats& s) { return KNOWN(s.memory(), oom_events); }},
    {"noded_container_memory_limit_hits_total", "Times that usage met the memory limit.",
     MetricType::Counter, 1, [](const ContainerStats& s) { return KNOWN(s.memory(), max_events); }},
    {"noded_container_pids", "Processes and threads.", MetricType::Gauge, 1,
     [](const ContainerStats& s) { return KNOWN(s.pids(), current); }},
    {"noded_container_pids_limit", "Most processes and threads. Absent: unlimited.",
     MetricType::Gauge, 1, [](const ContainerStats& s) { return KNOWN(s.pids(), limit); }},
    {"noded_container_writable_layer_bytes", "Disk space used by what it wrote to its root.",
     MetricType::Gauge, 1, [](const ContainerStats& s) { return KNOWN(s, writable_layer_bytes); }},
};

void AddPlain(const Samples& samples, std::vector<MetricFamily>* families) {
  for (const Plain& plain : kPlain) {
    FamilyBuilder family(plain.name, plain.help, plain.type);
    for (const LastSample& sample : samples) {
      if (const std::optional<double> value = plain.value(sample.sample->stats())) {
        family.Add(LabelsOf(sample), *value * plain.unit);
      }
    }
    family.MoveTo(families);
  }
}

// One number an element of what a container has several of.
template <typename Element>
struct Repeated {
  const char* name;
  const char* help;
  MetricType type;
  std::optional<double> (*value)(const Element&);
};

// The first `most` elements, each label value once. Returns how many are left out.
template <typename Element, size_t kFamilies, typename Elements, typename LabelOf>
size_t AddRepeated(const Samples& samples, const Repeated<Element> (&table)[kFamilies],
                   const char* label, size_t most, Elements elements, LabelOf label_of,
                   std::vector<MetricFamily>* families) {
  std::vector<FamilyBuilder> builders;
  for (const auto& family : table) builders.emplace_back(family.name, family.help, family.type);
  size_t left_out = 0;
  for (const LastSample& sample : samples) {
    std::set<std::string> told;
    for (const Element& element : elements(sample.sample->stats())) {
      const std::string value = label_of(element);
      if (told.count(value) != 0) continue;
      if (told.size() >= most) {
        ++left_out;
        continue;
      }
      told.insert(value);
      for (size_t i = 0; i < kFamilies; ++i) {
        if (const std::optional<double> number = table[i].value(element)) {
          builders[i].Add(LabelsOf(sample, label, value), *number);
        }
      }
    }
  }
  for (FamilyBuilder& builder : builders) builder.MoveTo(families);
  return left_out;
}

using Block = node::v1::BlockIoStats;
constexpr Repeated<Block> kBlock[] = {
    {"noded_container_block_read_bytes_total", "Bytes read from a block device.",
     MetricType::Counter, [](const Block& b) { return KNOWN(b, read_bytes); }},
    {"noded_container_block_written_bytes_total", "Bytes written to a block device.",
     MetricType::Counter, [](const Block& b) { return KNOWN(b, written_bytes); }},
    {"noded_container_block_reads_total", "Reads from a block device.", MetricType::Counter,
     [](const Block& b) { return KNOWN(b, read_operations); }},
    {"noded_container_block_writes_total", "Writes to a block device.", MetricType::Counter,
     [](const Block& b) { return KNOWN(b, write_operations); }},
};

using Network = node::v1::NetworkInterfaceStats;
using Number = std::optional<double>;
constexpr Repeated<Network> kNetwork[] = {
    {"noded_container_network_receive_bytes_total", "Bytes received.", MetricType::Counter,
     [](const Network& n) { return Number(n.received_bytes()); }},
    {"noded_container_network_receive_packets_total", "Packets received.", MetricType::Counter,
     [](const Network& n) { return Number(n.received_packets()); }},
    {"noded_container_network_receive_errors_total", "Errors while receiving.", MetricType::Counter,
     [](const Network& n) { return Number(n.receive_errors()); }},
    {"noded_container_network_receive_dropped_total", "Received packets dropped.",
     MetricType::Counter, [](const Network& n) { return Number(n.receive_dropped()); }},
    {"noded_container_network_transmit_bytes_total", "Bytes sent.", MetricType::Counter,
     [](const Network& n) { return Number(n.sent_bytes()); }},
    {"noded_container_network_transmit_packets_total", "Packets sent.", MetricType::Counter,
     [](const Network& n) { return Number(n.sent_packets()); }},
    {"noded_container_network_transmit_errors_total", "Errors while sending.", MetricType::Counter,
     [](const Network& n) { return Number(n.send_errors()); }},
    {"noded_container_network_transmit_dropped_total", "Packets dropped instead of sent.",
     MetricType::Counter, [](const Network& n) { return Number(n.send_dropped()); }},
};

using Hugetlb = node::v1::HugetlbStats;
constexpr Repeated<Hugetlb> kHugetlb[] = {
    {"noded_container_hugetlb_usage_bytes", "Huge pages used.", MetricType::Gauge,
     [](const Hugetlb& h) { return Number(h.usage_bytes()); }},
};

void AddPressure(const Samples& samples, std::vector<MetricFamily>* families) {
  FamilyBuilder family("noded_container_pressure_seconds_total",
                       "Time in which some, or all (full), of its tasks waited for a resource.",
                       MetricType::Counter);
  for (const LastSample& sample : samples) {
    const node::v1::PressureStats& all = sample.sample->stats().pressure();
    const auto line = [&](const char* resource, const char* kind, bool known,
                          const node::v1::PressureLine& pressure) {
      if (!known) return;
      Labels labels = LabelsOf(sample, 2);
      labels.push_back({"resource", resource});
      labels.push_back({"kind", kind});
      family.Add(std::move(labels), static_cast<double>(pressure.total_us()) * kMicrosecond);
    };
    const auto both = [&](const char* resource, const node::v1::Pressure& pressure) {
      line(resource, "some", pressure.has_some(), pressure.some());
      line(resource, "full", pressure.has_full(), pressure.full());
    };
    both("cpu", all.cpu());
    both("memory", all.memory());
    both("io", all.io());
  }
  family.MoveTo(families);
}

void AddSampleTimes(const Samples& samples, std::vector<MetricFamily>* families) {
  FamilyBuilder family("noded_container_sample_timestamp_seconds",
                       "When the sample that the other metrics tell of was taken.",
                       MetricType::Gauge);
  for (const LastSample& sample : samples) {
    family.Add(
        LabelsOf(sample),
        static_cast<double>(TimeUtil::TimestampToNanoseconds(sample.sample->time())) * kNanosecond);
  }
  family.MoveTo(families);
}

void AddLeftOut(const LeftOut& left_out, std::vector<MetricFamily>* families) {
  FamilyBuilder family("noded_metrics_left_out",
                       "Containers, and interfaces, devices and page sizes of the containers told "
                       "of, that are beyond what one scrape tells.",
                       MetricType::Gauge);
  family.Add({{"kind", "container"}}, static_cast<double>(left_out.containers));
  family.Add({{"kind", "interface"}}, static_cast<double>(left_out.interfaces));
  family.Add({{"kind", "device"}}, static_cast<double>(left_out.devices));
  family.Add({{"kind", "page_size"}}, static_cast<double>(left_out.page_sizes));
  family.MoveTo(families);
}

}  // namespace

std::vector<MetricFamily> ContainerMetrics(std::vector<LastSample> samples) {
  samples.erase(std::remove_if(samples.begin(), samples.end(),
                               [](const LastSample& one) { return one.sample == nullptr; }),
                samples.end());
  std::stable_sort(samples.begin(), samples.end(),
                   [](const LastSample& a, const LastSample& b) { return a.id < b.id; });
  samples.erase(std::unique(samples.begin(), samples.end(),
                            [](const LastSample& a, const LastSample& b) { return a.id == b.id; }),
                samples.end());
  LeftOut left_out;
  if (samples.size() > kMostMetricContainers) {
    left_out.containers = samples.size() - kMostMetricContainers;
    samples.resize(kMostMetricContainers);
  }
  std::vector<MetricFamily> families;
  AddPlain(samples, &families);
  left_out.devices = AddRepeated(
      samples, kBlock, "device", kMostMetricDevices,
      [](const ContainerStats& s) -> const auto& { return s.block_io(); },
      [](const Block& b) { return absl::StrCat(b.major(), ":", b.minor()); }, &families);
  left_out.interfaces = AddRepeated(
      samples, kNetwork, "interface", kMostMetricInterfaces,
      [](const ContainerStats& s) -> const auto& { return s.networks(); },
      [](const Network& n) { return n.name(); }, &families);
  left_out.page_sizes = AddRepeated(
      samples, kHugetlb, "page_size", kMostMetricPageSizes,
      [](const ContainerStats& s) -> const auto& { return s.hugetlb(); },
      [](const Hugetlb& h) { return h.page_size(); }, &families);
  AddPressure(samples, &families);
  AddSampleTimes(samples, &families);
  AddLeftOut(left_out, &families);
  return families;
}

#undef KNOWN

}  // namespace noded::server
