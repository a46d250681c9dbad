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

}  // namespace

cgroup::Limits CompileLimits(const node::v1::ContainerSpec& spec,
                             const std::vector<ResolvedDevice>& devices) {
  const node::v1::MemoryLimits& memory = spec.limits().memory();
  const node::v1::CpuLimits& cpu = spec.limits().cpu();
  cgroup::Limits limits;
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
