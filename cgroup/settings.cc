#include "cgroup/settings.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cgroup/values.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

constexpr int64_t kPageBytes = 4096;
constexpr int64_t kDefaultPeriodUs = 100000;

template <typename Number>
std::optional<std::string> Text(const std::optional<Number>& number) {
  if (!number) return std::nullopt;
  return absl::StrCat(*number);
}

std::optional<std::string> Flag(bool on) {
  return on ? std::optional<std::string>("1") : std::nullopt;
}

// "name=5" or "name=max".
std::string Rate(std::string_view name, const std::optional<uint64_t>& rate) {
  return absl::StrCat(AsAbsl(name), "=", rate.value_or(0) == 0 ? "max" : absl::StrCat(*rate));
}

std::string DeviceNumber(const BlockDeviceLimit& device) {
  return absl::StrCat(device.major, ":", device.minor);
}

absl::Status CheckContradictions(const Limits& limits) {
  if (limits.cpu_idle && limits.cpu_shares) {
    return InvalidField("limits.cpu.idle", "excludes limits.cpu.shares");
  }
  if (limits.cpu_burst_us.value_or(0) > limits.cpu_quota_us.value_or(0)) {
    return InvalidField("limits.cpu.burst_us", "must not be more than limits.cpu.quota_us");
  }
  std::set<std::string> devices;
  for (size_t i = 0; i < limits.block_devices.size(); ++i) {
    if (!devices.insert(DeviceNumber(limits.block_devices[i])).second) {
      return InvalidField(absl::StrCat("limits.block_io.devices[", i, "]"),
                          "names a device a second time");
    }
  }
  return absl::OkStatus();
}

void AddHugetlb(const Limits& limits, const std::vector<std::string>& page_sizes,
                std::string_view suffix, std::string_view initial, std::vector<Setting>& settings) {
  std::vector<HugetlbLimit> wanted = limits.hugetlb;
  for (const std::string& size : page_sizes) {
    auto it = std::find_if(wanted.begin(), wanted.end(),
                           [&](const HugetlbLimit& one) { return one.page_size == size; });
    Setting setting{"hugetlb", absl::StrCat("hugetlb.", size, AsAbsl(suffix)), "limits.hugetlb",
                    std::string(initial), std::nullopt};
    if (it != wanted.end()) {
      setting.value = absl::StrCat(it->max_bytes);
      wanted.erase(it);
    }
    settings.push_back(std::move(setting));
  }
  // Of sizes that are not there: their write fails by name.
  for (const HugetlbLimit& one : wanted) {
    settings.push_back({"hugetlb", absl::StrCat("hugetlb.", one.page_size, AsAbsl(suffix)),
                        "limits.hugetlb", std::string(initial), absl::StrCat(one.max_bytes)});
  }
}

// A line for each that is wanted, and one without a key, by which ChangesBetween finds the lines
// that are no longer.
template <typename List, typename Key, typename Value>
void AddLines(const Setting& file, const List& list, Key key, Value value,
              std::vector<Setting>& settings) {
  for (const auto& one : list) {
    Setting line = file;
    line.key = key(one);
    line.value = value(one);
    if (line.value) settings.push_back(std::move(line));
  }
  Setting rest = file;
  rest.key = "*";
  settings.push_back(std::move(rest));
}

std::string RdmaPart(std::string_view name, const std::optional<uint32_t>& number) {
  return absl::StrCat(AsAbsl(name), "=", number ? absl::StrCat(*number) : "max");
}

// The same files in both versions.
void AddSharedLines(const Limits& limits, std::vector<Setting>& settings) {
  AddLines(
      {"rdma", "rdma.max", "limits.rdma", "hca_handle=max hca_object=max", {}}, limits.rdma,
      [](const RdmaLimit& one) { return one.device; },
      [](const RdmaLimit& one) {
        return std::optional<std::string>(absl::StrCat(RdmaPart("hca_handle", one.hca_handles), " ",
                                                       RdmaPart("hca_object", one.hca_objects)));
      },
      settings);
  AddLines(
      {"misc", "misc.max", "limits.misc", "max", {}}, limits.scalars,
      [](const ScalarLimit& one) { return one.resource; },
      [](const ScalarLimit& one) { return std::optional<std::string>(absl::StrCat(one.max)); },
      settings);
  AddLines(
      {"net_prio", "net_prio.ifpriomap", "limits.net_priorities", "0", {}}, limits.net_priorities,
      [](const InterfacePriority& one) { return one.interface; },
      [](const InterfacePriority& one) {
        return std::optional<std::string>(absl::StrCat(one.priority));
      },
      settings);
  settings.push_back(
      {"net_cls", "net_cls.classid", "limits.net_class_id", "0", Text(limits.net_class_id)});
}

void AddThrottle(const Limits& limits, const char* file, const char* name,
                 std::optional<uint64_t> BlockDeviceLimit::*rate, std::vector<Setting>& settings) {
  AddLines(
      {"blkio",
       absl::StrCat("blkio.throttle.", file),
       absl::StrCat("limits.block_io.devices.", name),
       "0",
       {}},
      limits.block_devices, DeviceNumber,
      [&](const BlockDeviceLimit& one) { return Text(one.*rate); }, settings);
}

bool Same(const Setting& setting, std::string_view a, std::string_view b) {
  std::optional<int64_t> left = LimitNumber(a), right = LimitNumber(b);
  if (!left || !right || a.find(' ') != std::string_view::npos) return a == b;
  // The kernel counts whole pages.
  bool bytes = setting.controller == "memory" && setting.file != "memory.oom.group";
  return bytes ? *left / kPageBytes == *right / kPageBytes : left == right;
}

Change ToChange(const Setting& setting, std::string key, std::string from) {
  return {setting.controller, setting.file,    setting.field,
          std::move(key),     std::move(from), setting.value.value_or(setting.initial)};
}

// "8:16 1048576" of "8:16"; nullopt when there is no such line.
std::vector<std::pair<std::string, std::string>> Lines(std::string_view content) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (absl::string_view line : absl::StrSplit(AsAbsl(content), '\n', absl::SkipEmpty())) {
    std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    lines.emplace_back(std::string(parts.first), std::string(TrimEnd(AsStd(parts.second))));
  }
  return lines;
}

void CompareLine(const Setting& setting, const std::string& content,
                 const std::vector<Setting>& settings, std::vector<Change>& changes) {
  auto lines = Lines(content);
  if (setting.key != "*") {
    auto it = std::find_if(lines.begin(), lines.end(),
                           [&](const auto& line) { return line.first == setting.key; });
    std::string from = it == lines.end() ? setting.initial : it->second;
    if (!Same(setting, from, *setting.value)) {
      changes.push_back(ToChange(setting, setting.key, from));
    }
    return;
  }
  for (const auto& [key, value] : lines) {
    bool wanted = std::any_of(settings.begin(), settings.end(), [&, &name = key](const Setting& s) {
      return s.file == setting.file && s.key == name;
    });
    if (!wanted && !Same(setting, value, setting.initial)) {
      changes.push_back(ToChange(setting, key, value));
    }
  }
}

}  // namespace

absl::Status CheckCpusets(const std::vector<Setting>& settings,
                          absl::FunctionRef<std::optional<std::string>(const Setting&)> parents) {
  for (const Setting& setting : settings) {
    if (setting.controller != "cpuset" || !setting.value) continue;
    std::optional<std::string> allowed = parents(setting);
    // What is not known the kernel judges.
    if (!allowed || TrimEnd(*allowed).empty() || ListIsWithin(*setting.value, *allowed)) continue;
    return InvalidField(setting.field, absl::StrCat("\"", *setting.value, "\" must be within \"",
                                                    AsAbsl(TrimEnd(*allowed)), "\""));
  }
  return absl::OkStatus();
}

uint32_t BfqWeight(uint32_t weight) {
  return weight <= 100 ? std::max(weight, 1u) : 100 + (std::min(weight, 10000u) - 100) * 900 / 9900;
}

std::string Change::Line(std::string_view value) const {
  if (!key.empty()) return absl::StrCat(key, " ", AsAbsl(value));
  // A write of no byte at all does not reach the kernel's file.
  return value.empty() ? "\n" : std::string(value);
}

absl::StatusOr<std::vector<Setting>> SettingsV1(const Limits& limits,
                                                const std::vector<std::string>& page_sizes) {
  RETURN_IF_ERROR(CheckContradictions(limits));
  std::optional<int64_t> both;
  if (limits.swap_bytes) {
    if (!limits.memory_bytes) {
      return InvalidField("limits.memory.swap_bytes",
                          "needs limits.memory.max_bytes too on cgroup v1");
    }
    both = *limits.memory_bytes + *limits.swap_bytes;
  }
  std::vector<Setting> settings = {
      {"memory", "memory.limit_in_bytes", "limits.memory.max_bytes", "-1",
       Text(limits.memory_bytes)},
      {"memory", "memory.memsw.limit_in_bytes", "limits.memory.swap_bytes", "-1", Text(both)},
      {"memory", "memory.soft_limit_in_bytes", "limits.memory.reservation_bytes", "-1",
       Text(limits.memory_low_bytes)},
      // Not there on v1; named here so that they are refused and not forgotten.
      {"memory", "memory.high", "limits.memory.high_bytes", "max", Text(limits.memory_high_bytes)},
      {"memory", "memory.oom.group", "limits.memory.oom_group", "0", Flag(limits.oom_group)},
      {"cpu", "cpu.shares", "limits.cpu.shares", "1024", Text(limits.cpu_shares)},
      {"cpu", "cpu.idle", "limits.cpu.idle", "0", Flag(limits.cpu_idle)},
      {"cpu", "cpu.cfs_period_us", "limits.cpu.period_us", absl::StrCat(kDefaultPeriodUs),
       Text(limits.cpu_period_us)},
      {"cpu", "cpu.cfs_quota_us", "limits.cpu.quota_us", "-1", Text(limits.cpu_quota_us)},
      {"cpu", "cpu.cfs_burst_us", "limits.cpu.burst_us", "0", Text(limits.cpu_burst_us)},
      // Initially what the parent has; the driver fills that in.
      {"cpuset", "cpuset.cpus", "limits.cpu.cpuset_cpus", "", limits.cpuset_cpus},
      {"cpuset", "cpuset.mems", "limits.cpu.cpuset_mems", "", limits.cpuset_mems},
      {"pids", "pids.max", "limits.pids", "max", Text(limits.pids_max)},
  };
  std::optional<uint32_t> weight;
  if (limits.block_weight) weight = BfqWeight(*limits.block_weight);
  settings.push_back({"blkio", "blkio.bfq.weight", "limits.block_io.weight", "100", Text(weight)});
  AddThrottle(limits, "read_bps_device", "read_bytes_per_second", &BlockDeviceLimit::read_bytes,
              settings);
  AddThrottle(limits, "write_bps_device", "write_bytes_per_second", &BlockDeviceLimit::write_bytes,
              settings);
  AddThrottle(limits, "read_iops_device", "read_operations_per_second",
              &BlockDeviceLimit::read_operations, settings);
  AddThrottle(limits, "write_iops_device", "write_operations_per_second",
              &BlockDeviceLimit::write_operations, settings);
  AddHugetlb(limits, page_sizes, ".limit_in_bytes", "-1", settings);
  AddSharedLines(limits, settings);
  return settings;
}

absl::StatusOr<std::vector<Setting>> SettingsV2(const Limits& limits,
                                                const std::vector<std::string>& page_sizes,
                                                bool bfq) {
  RETURN_IF_ERROR(CheckContradictions(limits));
  std::optional<uint64_t> weight;
  if (limits.cpu_shares) weight = CpuWeight(*limits.cpu_shares);
  std::optional<std::string> max;
  if (limits.cpu_quota_us || limits.cpu_period_us) {
    max = absl::StrCat(limits.cpu_quota_us ? absl::StrCat(*limits.cpu_quota_us) : "max", " ",
                       limits.cpu_period_us.value_or(kDefaultPeriodUs));
  }
  std::vector<Setting> settings = {
      {"memory", "memory.max", "limits.memory.max_bytes", "max", Text(limits.memory_bytes)},
      {"memory", "memory.swap.max", "limits.memory.swap_bytes", "max", Text(limits.swap_bytes)},
      {"memory", "memory.low", "limits.memory.reservation_bytes", "0",
       Text(limits.memory_low_bytes)},
      {"memory", "memory.high", "limits.memory.high_bytes", "max", Text(limits.memory_high_bytes)},
      {"memory", "memory.oom.group", "limits.memory.oom_group", "0", Flag(limits.oom_group)},
      {"cpu", "cpu.weight", "limits.cpu.shares", "100", Text(weight)},
      {"cpu", "cpu.idle", "limits.cpu.idle", "0", Flag(limits.cpu_idle)},
      {"cpu", "cpu.max", limits.cpu_quota_us ? "limits.cpu.quota_us" : "limits.cpu.period_us",
       absl::StrCat("max ", kDefaultPeriodUs), max},
      {"cpu", "cpu.max.burst", "limits.cpu.burst_us", "0", Text(limits.cpu_burst_us)},
      {"cpuset", "cpuset.cpus", "limits.cpu.cpuset_cpus", "", limits.cpuset_cpus},
      {"cpuset", "cpuset.mems", "limits.cpu.cpuset_mems", "", limits.cpuset_mems},
      {"pids", "pids.max", "limits.pids", "max", Text(limits.pids_max)},
  };
  std::optional<std::string> block_weight;
  if (limits.block_weight) {
    block_weight =
        absl::StrCat("default ", bfq ? BfqWeight(*limits.block_weight) : *limits.block_weight);
  }
  settings.push_back({"io", bfq ? "io.bfq.weight" : "io.weight", "limits.block_io.weight",
                      "default 100", block_weight});
  AddLines(
      {"io", "io.max", "limits.block_io.devices", "rbps=max wbps=max riops=max wiops=max", {}},
      limits.block_devices, DeviceNumber,
      [](const BlockDeviceLimit& one) {
        return std::optional<std::string>(absl::StrCat(
            Rate("rbps", one.read_bytes), " ", Rate("wbps", one.write_bytes), " ",
            Rate("riops", one.read_operations), " ", Rate("wiops", one.write_operations)));
      },
      settings);
  AddHugetlb(limits, page_sizes, ".max", "max", settings);
  AddSharedLines(limits, settings);
  return settings;
}

std::vector<Change> InitialChanges(const std::vector<Setting>& settings) {
  std::vector<Change> changes;
  for (const Setting& setting : settings) {
    if (!setting.value || Same(setting, *setting.value, setting.initial)) continue;
    changes.push_back(ToChange(setting, setting.key, setting.initial));
  }
  return InOrder(std::move(changes));
}

std::vector<Change> ChangesBetween(
    const std::vector<Setting>& settings,
    absl::FunctionRef<std::optional<std::string>(const Setting&)> read) {
  std::vector<Change> changes;
  bool idle = false;
  for (const Setting& setting : settings) {
    if (setting.file != "cpu.idle") continue;
    std::optional<std::string> content = read(setting);
    idle = content && TrimEnd(*content) == "1";
  }
  for (const Setting& setting : settings) {
    std::optional<std::string> content = read(setting);
    if (!content) {
      if (setting.value) changes.push_back(ToChange(setting, setting.key, setting.initial));
      continue;
    }
    if (!setting.key.empty()) {
      CompareLine(setting, *content, settings, changes);
      continue;
    }
    std::string from(TrimEnd(*content));
    // What an idle group shows is its idle weight, and it gets the initial one when it ends to be.
    bool weight = setting.file == "cpu.shares" || setting.file == "cpu.weight";
    if (idle && weight) from = setting.initial;
    // An empty cpuset has what its parent has, and once it holds tasks it can get a list but never
    // be empty again (ENOSPC); so going back to that list is what undoes.
    if (setting.controller == "cpuset" && from.empty()) from = setting.initial;
    if (!Same(setting, from, setting.value.value_or(setting.initial))) {
      changes.push_back(ToChange(setting, "", std::move(from)));
    }
  }
  return InOrder(std::move(changes));
}

}  // namespace noded::cgroup
