// What is done about limits that the host does not keep: refused by name, or taken away.
#include <charconv>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cgroup/driver.h"
#include "node/base/status.h"

namespace noded::cgroup {
namespace {

// The number in brackets after `list`; nullopt when the field is not in that list.
std::optional<size_t> IndexIn(std::string_view field, std::string_view list) {
  if (!field.starts_with(list) || field.size() <= list.size() || field[list.size()] != '[') {
    return std::nullopt;
  }
  size_t index = 0;
  const char* begin = field.data() + list.size() + 1;
  auto [end, error] = std::from_chars(begin, field.data() + field.size(), index);
  if (error != std::errc()) return std::nullopt;
  return index;
}

template <typename List>
bool EraseIn(std::string_view field, std::string_view list, List& values) {
  std::optional<size_t> index = IndexIn(field, list);
  if (!index) return false;
  if (*index < values.size()) values.erase(values.begin() + static_cast<ptrdiff_t>(*index));
  return true;
}

void StripRate(std::string_view field, Limits& limits) {
  std::optional<size_t> index = IndexIn(field, "limits.block_io.devices");
  if (!index || *index >= limits.block_devices.size()) return;
  BlockDeviceLimit& device = limits.block_devices[*index];
  if (field.ends_with(".read_bytes_per_second")) device.read_bytes.reset();
  if (field.ends_with(".write_bytes_per_second")) device.write_bytes.reset();
  if (field.ends_with(".read_operations_per_second")) device.read_operations.reset();
  if (field.ends_with(".write_operations_per_second")) device.write_operations.reset();
}

void StripScalar(std::string_view field, Limits& limits) {
  if (field == "limits.memory.max_bytes") limits.memory_bytes.reset();
  if (field == "limits.memory.swap_bytes") limits.swap_bytes.reset();
  if (field == "limits.memory.reservation_bytes") limits.memory_low_bytes.reset();
  if (field == "limits.memory.high_bytes") limits.memory_high_bytes.reset();
  if (field == "limits.memory.oom_group") limits.oom_group = false;
  if (field == "limits.cpu.shares") limits.cpu_shares.reset();
  if (field == "limits.cpu.quota_us") limits.cpu_quota_us.reset();
  if (field == "limits.cpu.period_us") limits.cpu_period_us.reset();
  if (field == "limits.cpu.burst_us") limits.cpu_burst_us.reset();
  if (field == "limits.cpu.idle") limits.cpu_idle = false;
  if (field == "limits.cpu.cpuset_cpus") limits.cpuset_cpus.reset();
  if (field == "limits.cpu.cpuset_mems") limits.cpuset_mems.reset();
  if (field == "limits.pids") limits.pids_max.reset();
  if (field == "limits.block_io.weight") limits.block_weight.reset();
  if (field == "limits.net_class_id") limits.net_class_id.reset();
  if (field == "limits.devices") limits.devices.clear();
}

}  // namespace

absl::Status UnkeptStatus(const std::vector<Unkept>& unkept) {
  if (unkept.empty()) return absl::OkStatus();
  std::string text = absl::StrJoin(unkept, "; ", [](std::string* out, const Unkept& one) {
    absl::StrAppend(out, one.field, ": ", one.reason, " (what would help: ", one.remedy, ")");
  });
  return WithReason(absl::FailedPreconditionError(text), reason::kNotSupported);
}

void StripUnkept(const std::vector<Unkept>& unkept, Limits& limits) {
  // Backwards, so that an index still means what it did when an earlier one is erased.
  for (auto one = unkept.rbegin(); one != unkept.rend(); ++one) {
    if (one->in_part) continue;
    if (EraseIn(one->field, "limits.hugetlb", limits.hugetlb) ||
        EraseIn(one->field, "limits.rdma", limits.rdma) ||
        EraseIn(one->field, "limits.misc", limits.scalars) ||
        EraseIn(one->field, "limits.net_priorities", limits.net_priorities)) {
      continue;
    }
    StripRate(one->field, limits);
    StripScalar(one->field, limits);
  }
  std::erase_if(limits.block_devices, [](const BlockDeviceLimit& one) {
    return !one.read_bytes && !one.write_bytes && !one.read_operations && !one.write_operations;
  });
}

}  // namespace noded::cgroup
