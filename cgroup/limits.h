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

struct Limits {
  std::optional<int64_t> memory_bytes;      // hard limit; v1 memory.limit_in_bytes, v2 memory.max
  std::optional<int64_t> swap_bytes;        // swap alone, as on v2 (v1: memsw = memory + swap)
  std::optional<int64_t> memory_low_bytes;  // v1 memory.soft_limit_in_bytes, v2 memory.low
  std::optional<uint64_t> cpu_shares;       // v1 scale 2..262144; v2 weight is derived from it
  std::optional<int64_t> cpu_quota_us;      // time a period, all cpus together
  std::optional<int64_t> cpu_period_us;     // default 100000
  std::optional<std::string> cpuset_cpus;   // "0-1,3", cpuset(7) list format
  std::optional<std::string> cpuset_mems;
  std::optional<int64_t> pids_max;
  // Evaluated in order, the last match wins, nothing matched: denied. Empty: no device control.
  std::vector<DeviceRule> devices;
};

// Each field is absent when this kernel or hierarchy does not tell it; never a made-up 0.
struct Stats {
  std::optional<uint64_t> cpu_total_ns, cpu_user_ns, cpu_system_ns;
  std::optional<uint64_t> cpu_periods, cpu_throttled_periods, cpu_throttled_ns;
  std::optional<uint64_t> memory_usage_bytes, memory_working_set_bytes, memory_rss_bytes,
      memory_cache_bytes, memory_swap_bytes, memory_limit_bytes, memory_peak_bytes;
  std::optional<uint64_t> page_faults, major_page_faults;
  std::optional<uint64_t> oom_kills;  // tasks killed, not events
  std::optional<uint64_t> pids_current, pids_limit;
};

}  // namespace noded::cgroup

#endif  // CGROUP_LIMITS_H_
