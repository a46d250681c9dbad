#include "node/stats_message.h"

#include <optional>
#include <vector>

namespace noded {

using node::v1::ContainerStats;

namespace {

template <typename Setter, typename Value>
void SetIfKnown(const std::optional<Value>& value, Setter set) {
  if (value) set(*value);
}

void CopyCpu(const cgroup::Stats& from, node::v1::CpuStats& to) {
  SetIfKnown(from.cpu_total_ns, [&](uint64_t v) { to.set_total_ns(v); });
  SetIfKnown(from.cpu_user_ns, [&](uint64_t v) { to.set_user_ns(v); });
  SetIfKnown(from.cpu_system_ns, [&](uint64_t v) { to.set_system_ns(v); });
  SetIfKnown(from.cpu_periods, [&](uint64_t v) { to.set_periods(v); });
  SetIfKnown(from.cpu_throttled_periods, [&](uint64_t v) { to.set_throttled_periods(v); });
  SetIfKnown(from.cpu_throttled_ns, [&](uint64_t v) { to.set_throttled_ns(v); });
}

void CopyMemory(const cgroup::Stats& from, node::v1::MemoryStats& to) {
  SetIfKnown(from.memory_usage_bytes, [&](uint64_t v) { to.set_usage_bytes(v); });
  SetIfKnown(from.memory_working_set_bytes, [&](uint64_t v) { to.set_working_set_bytes(v); });
  SetIfKnown(from.memory_rss_bytes, [&](uint64_t v) { to.set_rss_bytes(v); });
  SetIfKnown(from.memory_cache_bytes, [&](uint64_t v) { to.set_cache_bytes(v); });
  SetIfKnown(from.memory_swap_bytes, [&](uint64_t v) { to.set_swap_bytes(v); });
  SetIfKnown(from.memory_limit_bytes, [&](uint64_t v) { to.set_limit_bytes(v); });
  SetIfKnown(from.memory_peak_bytes, [&](uint64_t v) { to.set_peak_bytes(v); });
  SetIfKnown(from.page_faults, [&](uint64_t v) { to.set_page_faults(v); });
  SetIfKnown(from.major_page_faults, [&](uint64_t v) { to.set_major_page_faults(v); });
  SetIfKnown(from.oom_kills, [&](uint64_t v) { to.set_oom_kills(v); });
  SetIfKnown(from.oom_events, [&](uint64_t v) { to.set_oom_events(v); });
  SetIfKnown(from.memory_max_events, [&](uint64_t v) { to.set_max_events(v); });
}

void CopyPids(const cgroup::Stats& from, node::v1::PidsStats& to) {
  SetIfKnown(from.pids_current, [&](uint64_t v) { to.set_current(v); });
  SetIfKnown(from.pids_limit, [&](uint64_t v) { to.set_limit(v); });
}

void CopyBlockIo(const cgroup::Stats& from, ContainerStats& to) {
  for (const cgroup::BlockStats& device :
       from.block_devices.value_or(std::vector<cgroup::BlockStats>())) {
    node::v1::BlockIoStats& one = *to.add_block_io();
    one.set_major(device.major);
    one.set_minor(device.minor);
    SetIfKnown(device.read_bytes, [&](uint64_t v) { one.set_read_bytes(v); });
    SetIfKnown(device.written_bytes, [&](uint64_t v) { one.set_written_bytes(v); });
    SetIfKnown(device.read_operations, [&](uint64_t v) { one.set_read_operations(v); });
    SetIfKnown(device.write_operations, [&](uint64_t v) { one.set_write_operations(v); });
  }
}

void CopyHugetlb(const cgroup::Stats& from, ContainerStats& to) {
  for (const cgroup::HugetlbStats& size :
       from.hugetlb.value_or(std::vector<cgroup::HugetlbStats>())) {
    node::v1::HugetlbStats& one = *to.add_hugetlb();
    one.set_page_size(size.page_size);
    one.set_usage_bytes(size.usage_bytes);
  }
}

void CopyPressureLine(const cgroup::PressureLine& from, node::v1::PressureLine& to) {
  to.set_avg10(from.avg10);
  to.set_avg60(from.avg60);
  to.set_avg300(from.avg300);
  to.set_total_us(from.total_us);
}

void CopyPressure(const cgroup::Pressure& from, node::v1::Pressure& to) {
  if (from.some) CopyPressureLine(*from.some, *to.mutable_some());
  if (from.full) CopyPressureLine(*from.full, *to.mutable_full());
}

void CopyPressures(const cgroup::Stats& from, ContainerStats& to) {
  if (from.cpu_pressure) CopyPressure(*from.cpu_pressure, *to.mutable_pressure()->mutable_cpu());
  if (from.memory_pressure) {
    CopyPressure(*from.memory_pressure, *to.mutable_pressure()->mutable_memory());
  }
  if (from.io_pressure) CopyPressure(*from.io_pressure, *to.mutable_pressure()->mutable_io());
}

}  // namespace

void CopyStats(const cgroup::Stats& from, ContainerStats& to) {
  CopyCpu(from, *to.mutable_cpu());
  CopyMemory(from, *to.mutable_memory());
  CopyBlockIo(from, to);
  CopyHugetlb(from, to);
  CopyPressures(from, to);
  CopyPids(from, *to.mutable_pids());
}

}  // namespace noded
