// Values of the cgroup room: what is limited and what is measured. No system calls here.
#ifndef CGROUP_LIMITS_H_
#define CGROUP_LIMITS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace noded::cgroup {

// Absent: not limited by us. Ranges are validated by node/launch; the drivers validate again only
// what the kernel would accept wrongly.
struct DeviceRule {
  bool allow = true;
  char type = 'a';                // 'a' all, 'b' block, 'c' char
  std::optional<uint32_t> major;  // absent: every
  std::optional<uint32_t> minor;
  std::string access = "rwm";  // subset of r, w, m(knod)
  bool operator==(const DeviceRule&) const = default;
};

// Rates of one block device, a second. 0 is no rate, neither is absent: both are unlimited.
struct BlockDeviceLimit {
  uint32_t major = 0, minor = 0;
  std::optional<uint64_t> read_bytes, write_bytes, read_operations, write_operations;
  bool operator==(const BlockDeviceLimit&) const = default;
};

struct HugetlbLimit {
  std::string page_size;  // as the kernel names it in its files: "2MB", "1GB"
  uint64_t max_bytes = 0;
  bool operator==(const HugetlbLimit&) const = default;
};

// InfiniBand resources of one device.
struct RdmaLimit {
  std::string device;  // "mlx5_0"
  std::optional<uint32_t> hca_handles, hca_objects;
  bool operator==(const RdmaLimit&) const = default;
};

// A scalar resource of the misc controller ("sev", "sev_es").
struct ScalarLimit {
  std::string resource;
  uint64_t max = 0;
  bool operator==(const ScalarLimit&) const = default;
};

struct InterfacePriority {
  std::string interface;  // of the host's network namespace
  uint32_t priority = 0;
  bool operator==(const InterfacePriority&) const = default;
};

struct Limits {
  std::optional<int64_t> memory_bytes;       // hard limit; v1 memory.limit_in_bytes, v2 memory.max
  std::optional<int64_t> swap_bytes;         // swap alone, as on v2 (v1: memsw = memory + swap)
  std::optional<int64_t> memory_low_bytes;   // v1 memory.soft_limit_in_bytes, v2 memory.low
  std::optional<int64_t> memory_high_bytes;  // v2 memory.high
  bool oom_group = false;                    // v2 memory.oom.group
  std::optional<uint64_t> cpu_shares;        // v1 scale 2..262144; v2 weight is derived from it
  std::optional<int64_t> cpu_quota_us;       // time a period, all cpus together
  std::optional<int64_t> cpu_period_us;      // default 100000
  std::optional<int64_t> cpu_burst_us;       // at most the quota; default 0
  bool cpu_idle = false;                     // excludes cpu_shares
  std::optional<std::string> cpuset_cpus;    // "0-1,3", cpuset(7) list format
  std::optional<std::string> cpuset_mems;
  std::optional<int64_t> pids_max;
  std::optional<uint32_t> block_weight;  // 1..10000, 100 is what a group has without
  std::vector<BlockDeviceLimit> block_devices;
  std::vector<HugetlbLimit> hugetlb;
  std::vector<RdmaLimit> rdma;
  std::vector<ScalarLimit> scalars;  // the misc controller
  std::optional<uint32_t> net_class_id;
  std::vector<InterfacePriority> net_priorities;
  // Evaluated in order, the last match wins, nothing matched: denied. Empty: no device control.
  std::vector<DeviceRule> devices;
};

// Counters since the group was made.
struct BlockStats {
  uint32_t major = 0, minor = 0;
  std::optional<uint64_t> read_bytes, written_bytes, read_operations, write_operations;
  bool operator==(const BlockStats&) const = default;
};

struct HugetlbStats {
  std::string page_size;
  uint64_t usage_bytes = 0;
  bool operator==(const HugetlbStats&) const = default;
};

// How long tasks waited for a resource: averages in percent of the last 10, 60 and 300 s.
struct PressureLine {
  double avg10 = 0, avg60 = 0, avg300 = 0;
  uint64_t total_us = 0;
  bool operator==(const PressureLine&) const = default;
};
struct Pressure {
  std::optional<PressureLine> some;  // at least one task waited
  std::optional<PressureLine> full;  // all that were not idle did
  bool operator==(const Pressure&) const = default;
};

// Each field is absent when this kernel or hierarchy does not tell it; never a made-up 0.
struct Stats {
  std::optional<uint64_t> cpu_total_ns, cpu_user_ns, cpu_system_ns;
  std::optional<uint64_t> cpu_periods, cpu_throttled_periods, cpu_throttled_ns;
  std::optional<uint64_t> memory_usage_bytes, memory_working_set_bytes, memory_rss_bytes,
      memory_cache_bytes, memory_swap_bytes, memory_limit_bytes, memory_peak_bytes;
  std::optional<uint64_t> page_faults, major_page_faults;
  std::optional<uint64_t> memory_max_events;  // times that the hard limit was met
  std::optional<uint64_t> oom_events;         // times that memory ran out; v2 only
  std::optional<uint64_t> oom_kills;          // tasks killed: several an event with oom_group
  std::optional<uint64_t> pids_current, pids_limit;
  std::optional<std::vector<BlockStats>> block_devices;  // absent: no block io controller
  std::optional<std::vector<HugetlbStats>> hugetlb;      // absent: no hugetlb controller
  std::optional<Pressure> cpu_pressure, memory_pressure, io_pressure;
};

}  // namespace noded::cgroup

#endif  // CGROUP_LIMITS_H_
