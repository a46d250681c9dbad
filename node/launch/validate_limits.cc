// Rules of resource limits.
#include <set>
#include <string>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "node/launch/quote.h"
#include "node/launch/validation.h"

namespace noded::launch {
namespace {

constexpr int64_t kMinMemoryBytes = 6 << 20;
constexpr int64_t kMaxPids = 4194304;  // PID_MAX_LIMIT: above it pids.max is EINVAL
constexpr int64_t kMaxQuotaUs = (int64_t{1} << 44) - 1;  // the scheduler's own bound
// v1 keeps the low 32 bits of what is written, so that 2^32 would let nothing through at all
// (block/blk-throttle.c, tg_set_conf).
constexpr uint64_t kMaxOperations = UINT32_MAX;
constexpr int kMaxListNumber = 65535;
constexpr int kMaxEntries = 64;
constexpr size_t kMaxWord = 64;
constexpr char kWordLetters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:";

void CheckMemory(const node::v1::MemoryLimits& memory, Findings& findings) {
  const std::string field = "spec.limits.memory";
  if (memory.has_max_bytes()) {
    findings.Range(field + ".max_bytes", memory.max_bytes(), kMinMemoryBytes, INT64_MAX);
  }
  if (memory.has_swap_bytes()) {
    if (!memory.has_max_bytes()) findings.Add(field + ".swap_bytes", "needs max_bytes");
    // v1 limits the sum of both.
    int64_t most = memory.max_bytes() > 0 ? INT64_MAX - memory.max_bytes() : INT64_MAX;
    findings.Range(field + ".swap_bytes", memory.swap_bytes(), 0, most);
  }
  if (memory.has_reservation_bytes()) {
    findings.Range(field + ".reservation_bytes", memory.reservation_bytes(), 0,
                   memory.has_max_bytes() ? memory.max_bytes() : INT64_MAX);
  }
  if (memory.has_high_bytes()) {
    // Below what a start needs it would be throttled for ever.
    findings.Range(field + ".high_bytes", memory.high_bytes(), kMinMemoryBytes,
                   memory.has_max_bytes() ? memory.max_bytes() : INT64_MAX);
  }
}

bool ParseListNumber(std::string_view text, int* number) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos &&
         absl::SimpleAtoi(std::string(text), number) && *number <= kMaxListNumber;
}

// "0-2,5".
bool IsNumberList(const std::string& text) {
  for (const auto& part : absl::StrSplit(text, ',')) {
    std::string range(part);
    size_t dash = range.find('-');
    int first = 0, last = 0;
    if (!ParseListNumber(std::string_view(range).substr(0, dash), &first)) return false;
    if (dash == std::string::npos) continue;
    if (!ParseListNumber(std::string_view(range).substr(dash + 1), &last) || first > last) {
      return false;
    }
  }
  return true;
}

void CheckNumberList(const std::string& field, const std::string& value, Findings& findings) {
  if (value.size() <= 4095 && IsNumberList(value)) return;
  findings.Add(field, absl::StrCat(Quote(value), " must be a list like \"0-2,5\""));
}

// "8:16".
bool IsDeviceNumber(const std::string& text) {
  size_t colon = text.find(':');
  uint32_t number = 0;
  return colon != std::string::npos && text.find_first_not_of("0123456789:") == std::string::npos &&
         absl::SimpleAtoi(text.substr(0, colon), &number) &&
         absl::SimpleAtoi(text.substr(colon + 1), &number);
}

void CheckCpu(const node::v1::CpuLimits& cpu, Findings& findings) {
  const std::string field = "spec.limits.cpu";
  if (cpu.has_shares() && (cpu.shares() < 2 || cpu.shares() > 262144)) {
    findings.Add(field + ".shares", absl::StrCat(cpu.shares(), " must be 2 to 262144"));
  }
  if (cpu.has_quota_us()) findings.Range(field + ".quota_us", cpu.quota_us(), 1000, kMaxQuotaUs);
  if (cpu.has_period_us()) findings.Range(field + ".period_us", cpu.period_us(), 1000, 1000000);
  if (cpu.has_burst_us() && cpu.burst_us() != 0) {
    if (!cpu.has_quota_us()) {
      findings.Add(field + ".burst_us", "needs quota_us");
    } else {
      findings.Range(field + ".burst_us", cpu.burst_us(), 0, cpu.quota_us());
    }
  }
  if (cpu.idle() && cpu.has_shares()) {
    findings.Add(field + ".idle", "excludes shares: an idle container has no share");
  }
  if (cpu.has_cpuset_cpus()) {
    CheckNumberList(field + ".cpuset_cpus", cpu.cpuset_cpus(), findings);
  }
  if (cpu.has_cpuset_mems()) {
    CheckNumberList(field + ".cpuset_mems", cpu.cpuset_mems(), findings);
  }
}

void CheckBlockIo(const node::v1::BlockIoLimits& block_io, Findings& findings) {
  const std::string field = "spec.limits.block_io";
  if (block_io.has_weight()) findings.Range(field + ".weight", block_io.weight(), 1, 10000);
  if (!findings.Count(field + ".devices", block_io.devices_size(), kMaxEntries)) return;
  std::set<std::string> seen;
  for (int i = 0; i < block_io.devices_size(); ++i) {
    const node::v1::BlockIoDeviceLimit& one = block_io.devices(i);
    const std::string entry = Indexed(field + ".devices", i);
    if (one.device().starts_with("/")) {
      findings.AbsolutePath(entry + ".device", one.device());
    } else if (!IsDeviceNumber(one.device())) {
      findings.Add(entry + ".device",
                   absl::StrCat(Quote(one.device()),
                                " must be a path like \"/dev/vda\" or numbers like \"8:16\""));
    }
    if (!seen.insert(one.device()).second) {
      findings.Add(entry + ".device", absl::StrCat(Quote(one.device()), " is there already"));
    }
    auto rate = [&, &where = entry](bool has, uint64_t value, const char* name,
                                    uint64_t most = INT64_MAX) {
      if (has && (value == 0 || value > most)) {
        findings.Add(where + name, absl::StrCat(value, " must be 1 to ", most));
      }
      return has;
    };
    bool any = rate(one.has_read_bytes_per_second(), one.read_bytes_per_second(),
                    ".read_bytes_per_second");
    any |= rate(one.has_write_bytes_per_second(), one.write_bytes_per_second(),
                ".write_bytes_per_second");
    any |= rate(one.has_read_operations_per_second(), one.read_operations_per_second(),
                ".read_operations_per_second", kMaxOperations);
    any |= rate(one.has_write_operations_per_second(), one.write_operations_per_second(),
                ".write_operations_per_second", kMaxOperations);
    if (!any) findings.Add(entry, "must set at least one rate");
  }
}

// Names that become a word of a kernel file: no space, no line.
void CheckWord(const std::string& field, const std::string& value, Findings& findings) {
  bool fits = !value.empty() && value.size() <= kMaxWord &&
              value.find_first_not_of(kWordLetters) == std::string::npos;
  if (!fits) {
    findings.Add(field, absl::StrCat(Quote(value), " must be 1 to ", kMaxWord,
                                     " letters, digits, '_', '-', '.' or ':'"));
  }
}

template <typename List, typename Name>
void CheckNames(const std::string& field, const std::string& part, const List& list, Name name,
                Findings& findings) {
  if (!findings.Count(field, list.size(), kMaxEntries)) return;
  std::set<std::string> seen;
  for (int i = 0; i < list.size(); ++i) {
    const std::string entry = absl::StrCat(Indexed(field, i), ".", part);
    CheckWord(entry, name(list.Get(i)), findings);
    if (!seen.insert(name(list.Get(i))).second) {
      findings.Add(entry, absl::StrCat(Quote(name(list.Get(i))), " is there already"));
    }
  }
}

void CheckLists(const node::v1::Limits& limits, Findings& findings) {
  CheckNames(
      "spec.limits.hugetlb", "page_size", limits.hugetlb(),
      [](const node::v1::HugetlbLimit& one) { return one.page_size(); }, findings);
  for (int i = 0; i < limits.hugetlb_size(); ++i) {
    if (limits.hugetlb(i).max_bytes() <= INT64_MAX) continue;
    findings.Add(Indexed("spec.limits.hugetlb", i) + ".max_bytes",
                 absl::StrCat(limits.hugetlb(i).max_bytes(), " must be 0 to ", INT64_MAX));
  }
  CheckNames(
      "spec.limits.rdma", "device", limits.rdma(),
      [](const node::v1::RdmaLimit& one) { return one.device(); }, findings);
  CheckNames(
      "spec.limits.misc", "resource", limits.misc(),
      [](const node::v1::MiscLimit& one) { return one.resource(); }, findings);
  CheckNames(
      "spec.limits.net_priorities", "interface", limits.net_priorities(),
      [](const node::v1::InterfacePriority& one) { return one.interface(); }, findings);
}

}  // namespace

void CheckLimits(const node::v1::Limits& limits, Findings& findings) {
  CheckMemory(limits.memory(), findings);
  CheckCpu(limits.cpu(), findings);
  if (limits.has_pids()) findings.Range("spec.limits.pids", limits.pids(), 1, kMaxPids);
  CheckBlockIo(limits.block_io(), findings);
  CheckLists(limits, findings);
}

}  // namespace noded::launch
