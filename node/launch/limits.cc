// The spec's limits and devices as the cgroup room takes them.
#include <sys/stat.h>

#include "node/launch/plan.h"

namespace noded::launch {
namespace {

using cgroup::DeviceRule;

// What every container may open; all others are denied. The order is of no importance: each only
// allows.
std::vector<DeviceRule> DefaultDevices() {
  return {
      // Making any node is harmless as long as it cannot be opened, and package managers and tar do
      // it.
      {.type = 'c', .access = "m"},          {.type = 'b', .access = "m"},
      {.type = 'c', .major = 1, .minor = 3},  // null
      {.type = 'c', .major = 1, .minor = 5},  // zero
      {.type = 'c', .major = 1, .minor = 7},  // full
      {.type = 'c', .major = 1, .minor = 8},  // random
      {.type = 'c', .major = 1, .minor = 9},  // urandom
      {.type = 'c', .major = 5, .minor = 0},  // tty
      {.type = 'c', .major = 5, .minor = 1},  // console
      {.type = 'c', .major = 5, .minor = 2},  // ptmx
      {.type = 'c', .major = 136},            // pts/*
  };
}

template <typename T>
std::optional<T> Present(bool has, T value) {
  return has ? std::optional<T>(std::move(value)) : std::nullopt;
}

void CompileBlockIo(const node::v1::BlockIoLimits& block_io,
                    const std::vector<BlockDevice>& resolved, cgroup::Limits& limits) {
  limits.block_weight = Present(block_io.has_weight(), block_io.weight());
  for (int i = 0; i < block_io.devices_size() && static_cast<size_t>(i) < resolved.size(); ++i) {
    const node::v1::BlockIoDeviceLimit& one = block_io.devices(i);
    limits.block_devices.push_back(
        {.major = resolved[i].major,
         .minor = resolved[i].minor,
         .read_bytes = Present(one.has_read_bytes_per_second(), one.read_bytes_per_second()),
         .write_bytes = Present(one.has_write_bytes_per_second(), one.write_bytes_per_second()),
         .read_operations =
             Present(one.has_read_operations_per_second(), one.read_operations_per_second()),
         .write_operations =
             Present(one.has_write_operations_per_second(), one.write_operations_per_second())});
  }
}

void CompileLists(const node::v1::Limits& from, cgroup::Limits& limits) {
  for (const auto& one : from.hugetlb()) {
    limits.hugetlb.push_back({one.page_size(), one.max_bytes()});
  }
  for (const auto& one : from.rdma()) {
    limits.rdma.push_back({one.device(), Present(one.has_hca_handles(), one.hca_handles()),
                           Present(one.has_hca_objects(), one.hca_objects())});
  }
  for (const auto& one : from.misc()) limits.scalars.push_back({one.resource(), one.max()});
  for (const auto& one : from.net_priorities()) {
    limits.net_priorities.push_back({one.interface(), one.priority()});
  }
  limits.net_class_id = Present(from.has_net_class_id(), from.net_class_id());
}

}  // namespace

cgroup::Limits CompileLimits(const node::v1::ContainerSpec& spec,
                             const std::vector<ResolvedDevice>& devices,
                             const std::vector<BlockDevice>& block_devices) {
  const node::v1::MemoryLimits& memory = spec.limits().memory();
  const node::v1::CpuLimits& cpu = spec.limits().cpu();
  cgroup::Limits limits;
  CompileBlockIo(spec.limits().block_io(), block_devices, limits);
  CompileLists(spec.limits(), limits);
  limits.memory_high_bytes = Present(memory.has_high_bytes(), memory.high_bytes());
  limits.oom_group = memory.oom_group();
  limits.cpu_burst_us = Present(cpu.has_burst_us(), cpu.burst_us());
  limits.cpu_idle = cpu.idle();
  limits.memory_bytes = Present(memory.has_max_bytes(), memory.max_bytes());
  limits.swap_bytes = Present(memory.has_swap_bytes(), memory.swap_bytes());
  limits.memory_low_bytes = Present(memory.has_reservation_bytes(), memory.reservation_bytes());
  limits.cpu_shares = Present(cpu.has_shares(), cpu.shares());
  limits.cpu_quota_us = Present(cpu.has_quota_us(), cpu.quota_us());
  limits.cpu_period_us = Present(cpu.has_period_us(), cpu.period_us());
  limits.cpuset_cpus = Present(cpu.has_cpuset_cpus(), cpu.cpuset_cpus());
  limits.cpuset_mems = Present(cpu.has_cpuset_mems(), cpu.cpuset_mems());
  limits.pids_max = Present(spec.limits().has_pids(), spec.limits().pids());

  if (spec.security().privileged()) {
    limits.devices = {DeviceRule{}};
    return limits;
  }
  limits.devices = DefaultDevices();
  for (const ResolvedDevice& device : devices) {
    limits.devices.push_back({.type = S_ISBLK(device.mode) ? 'b' : 'c',
                              .major = device.major,
                              .minor = device.minor,
                              .access = device.permissions.empty() ? "rwm" : device.permissions});
  }
  return limits;
}

}  // namespace noded::launch
