// The order of writes: a table of what the kernel demands of two files at every moment.
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cgroup/settings.h"
#include "cgroup/values.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

enum class Rule {
  kAtMost,    // the first is never more than the second, else EINVAL
  kShareOf,   // the first each second: what it may use of a processor
  kExcludes,  // while the first is 1 the second takes no write, and is reset when it becomes 0
};

struct Row {
  const char *first, *second;
  Rule rule;
};

// Documentation/admin-guide/cgroup-v1/memory.rst and scheduler/sched-bwc.rst; the rest is in
// kernel/sched/core.c (tg_set_cfs_bandwidth, sched_group_set_idle).
constexpr std::array kRows = {
    Row{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", Rule::kAtMost},
    Row{"cpu.cfs_burst_us", "cpu.cfs_quota_us", Rule::kAtMost},
    Row{"cpu.max.burst", "cpu.max", Rule::kAtMost},
    Row{"cpu.cfs_quota_us", "cpu.cfs_period_us", Rule::kShareOf},
    Row{"cpu.idle", "cpu.shares", Rule::kExcludes},
    Row{"cpu.idle", "cpu.weight", Rule::kExcludes},
};

// Memory must not be lowered in vain, and is what fails most often: before all others.
int Rank(const Change& change) { return change.controller == "memory" ? 0 : 1; }

// As a fraction of processors. No quota is none here: the kernel takes it below any parent, whose
// own then holds.
double Share(std::string_view quota, std::string_view period) {
  int64_t part = LimitNumber(quota).value_or(INT64_MAX);
  if (part == INT64_MAX) return 0;
  return static_cast<double>(part) / static_cast<double>(LimitNumber(period).value_or(1));
}

// Whether `first` is to be written before `second`, by the row for both.
bool FirstComesFirst(Rule rule, const Change& first, const Change& second) {
  switch (rule) {
    case Rule::kAtMost:
      // Room is made before it is used: (first, second) is within the rule at both ends, so it is
      // in between when the second is moved up early and down late.
      return LimitNumber(second.to) < LimitNumber(second.from);
    case Rule::kShareOf:
      // A group may not have more of a processor than its parent (EINVAL), not even for a moment:
      // the smaller of the two states between is never above both ends.
      return Share(first.to, second.from) < Share(first.from, second.to);
    case Rule::kExcludes:
      return first.to == "0";
  }
  return true;
}

bool MustWait(const Change& change, const Change& other) {
  for (const Row& row : kRows) {
    if (change.file == row.second && other.file == row.first) {
      return FirstComesFirst(row.rule, other, change);
    }
    if (change.file == row.first && other.file == row.second) {
      return !FirstComesFirst(row.rule, change, other);
    }
  }
  return false;
}

}  // namespace

std::optional<int64_t> LimitNumber(std::string_view text) {
  constexpr int64_t kNoLimit = int64_t{1} << 60;
  std::string_view word = text.substr(0, text.find_first_of(" \n"));
  if (word == "max" || word == "-1") return INT64_MAX;
  uint64_t number = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number >= static_cast<uint64_t>(kNoLimit) ? INT64_MAX : static_cast<int64_t>(number);
}

std::vector<Change> InOrder(std::vector<Change> changes) {
  std::stable_sort(changes.begin(), changes.end(),
                   [](const Change& a, const Change& b) { return Rank(a) < Rank(b); });
  // No file is in more than two rows and the rows make no circle, so there is always one that need
  // not wait; the bound of the loop is the list.
  std::vector<Change> ordered;
  while (!changes.empty()) {
    auto next = std::find_if(changes.begin(), changes.end(), [&](const Change& change) {
      return std::none_of(changes.begin(), changes.end(),
                          [&](const Change& other) { return MustWait(change, other); });
    });
    if (next == changes.end()) next = changes.begin();
    ordered.push_back(std::move(*next));
    changes.erase(next);
  }
  return ordered;
}

absl::Status TakeBack(const std::vector<Change>& changes, size_t written, const absl::Status& why,
                      absl::FunctionRef<absl::Status(const Change&, const std::string&)> write) {
  std::string failed;
  for (size_t i = written; i-- > 0;) {
    absl::Status back = write(changes[i], changes[i].from);
    if (!back.ok()) absl::StrAppend(&failed, "; ", changes[i].field, ": ", back.message());
  }
  if (failed.empty()) return why;
  return absl::InternalError(
      absl::StrCat(why.message(), "; and what was changed before it could not be undone", failed));
}

absl::Status ApplyAll(const std::vector<Change>& changes,
                      absl::FunctionRef<absl::Status(const Change&, const std::string&)> write) {
  for (size_t i = 0; i < changes.size(); ++i) {
    absl::Status status = write(changes[i], changes[i].to);
    if (!status.ok()) return TakeBack(changes, i, status, write);
  }
  return absl::OkStatus();
}

}  // namespace noded::cgroup
