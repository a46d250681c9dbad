// Limits as the files that hold them: a value for each file, and the order in which a change from
// one set of values to another is written. Pure and thread-safe.
#ifndef CGROUP_SETTINGS_H_
#define CGROUP_SETTINGS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cgroup/limits.h"

namespace noded::cgroup {

// One file of one controller, or one line of a file that has a line for each device or resource.
struct Setting {
  std::string controller;
  std::string file;
  std::string field;                 // of the API: "limits.memory.max_bytes"
  std::string initial;               // what a new group has
  std::optional<std::string> value;  // what is wanted; absent: initial
  std::string key = {};              // of the line: "8:16"
};

// Every file that the version has for limits, device control aside. `page_sizes` of the host's huge
// pages ("2MB"); `bfq`: weights of block devices are bfq's and not io.cost's. INVALID_ARGUMENT for
// limits that contradict each other.
absl::StatusOr<std::vector<Setting>> SettingsV1(const Limits& limits,
                                                const std::vector<std::string>& page_sizes);
absl::StatusOr<std::vector<Setting>> SettingsV2(const Limits& limits,
                                                const std::vector<std::string>& page_sizes,
                                                bool bfq);

// blkio.bfq.weight and io.bfq.weight (1..1000) for a weight of 1..10000; both have 100 in the
// middle. The curve is systemd's.
uint32_t BfqWeight(uint32_t weight);

// INVALID_ARGUMENT for a cpuset that names what the parent's does not have. `parents` gives that.
absl::Status CheckCpusets(const std::vector<Setting>& settings,
                          absl::FunctionRef<std::optional<std::string>(const Setting&)> parents);

// A file that is to be written, with what takes it back.
struct Change {
  std::string controller, file, field;
  std::string key;       // empty but for a file of many lines
  std::string from, to;  // trimmed values, without the key
  bool operator==(const Change&) const = default;

  // What is written for a value.
  std::string Line(std::string_view value) const;
};

// For a new group: what is wanted and not initial. In the order to be written.
std::vector<Change> InitialChanges(const std::vector<Setting>& settings);
// For an existing one, with what the parent has as the initial cpuset: what differs. `read` gives a
// file's content, nullopt when it is not there; a wanted setting without a file is a change all the
// same, so that its write fails by name.
std::vector<Change> ChangesBetween(
    const std::vector<Setting>& settings,
    absl::FunctionRef<std::optional<std::string>(const Setting&)> read);

// The order in which the kernel takes the changes one by one. Written back in reverse after any of
// them, every state on the way is one that the kernel took before.
std::vector<Change> InOrder(std::vector<Change> changes);

// Number of a limit: "max" and -1 are the largest, as is all above 2^60 (v1 shows 2^63 less a page
// for no limit). Of "50000 100000" the first. nullopt for what is no number.
std::optional<int64_t> LimitNumber(std::string_view text);

// Writes the changes by `write`; when one fails, those before it are written back in reverse, and
// the answer is its error. INTERNAL when that fails too.
absl::Status ApplyAll(
    const std::vector<Change>& changes,
    absl::FunctionRef<absl::Status(const Change&, const std::string& value)> write);
// The second half of it.
absl::Status TakeBack(
    const std::vector<Change>& changes, size_t written, const absl::Status& why,
    absl::FunctionRef<absl::Status(const Change&, const std::string& value)> write);

}  // namespace noded::cgroup

#endif  // CGROUP_SETTINGS_H_
