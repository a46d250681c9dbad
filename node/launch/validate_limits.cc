// Rules of resource limits.
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
constexpr int kMaxListNumber = 65535;

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
  if (memory.has_high_bytes()) findings.Add(field + ".high_bytes", kNotServed);
  if (memory.oom_group()) findings.Add(field + ".oom_group", kNotServed);
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

void CheckCpu(const node::v1::CpuLimits& cpu, Findings& findings) {
  const std::string field = "spec.limits.cpu";
  if (cpu.has_shares() && (cpu.shares() < 2 || cpu.shares() > 262144)) {
    findings.Add(field + ".shares", absl::StrCat(cpu.shares(), " must be 2 to 262144"));
  }
  if (cpu.has_quota_us()) findings.Range(field + ".quota_us", cpu.quota_us(), 1000, kMaxQuotaUs);
  if (cpu.has_period_us()) findings.Range(field + ".period_us", cpu.period_us(), 1000, 1000000);
  if (cpu.has_burst_us() && cpu.burst_us() != 0) findings.Add(field + ".burst_us", kNotServed);
  if (cpu.idle()) findings.Add(field + ".idle", kNotServed);
  if (cpu.has_cpuset_cpus()) {
    CheckNumberList(field + ".cpuset_cpus", cpu.cpuset_cpus(), findings);
  }
  if (cpu.has_cpuset_mems()) {
    CheckNumberList(field + ".cpuset_mems", cpu.cpuset_mems(), findings);
  }
}

}  // namespace

void CheckLimits(const node::v1::Limits& limits, Findings& findings) {
  CheckMemory(limits.memory(), findings);
  CheckCpu(limits.cpu(), findings);
  if (limits.has_pids()) findings.Range("spec.limits.pids", limits.pids(), 1, kMaxPids);
  if (limits.block_io().has_weight() || !limits.block_io().devices().empty()) {
    findings.Add("spec.limits.block_io", kNotServed);
  }
  if (!limits.hugetlb().empty()) findings.Add("spec.limits.hugetlb", kNotServed);
  if (limits.best_effort()) findings.Add("spec.limits.best_effort", kNotServed);
}

}  // namespace noded::launch
