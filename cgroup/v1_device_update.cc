// Writing the files of the v1 devices controller.
#include <fcntl.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cgroup/tree.h"
#include "cgroup/v1_devices.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

constexpr char kAllowsAll[] = "a *:* rwm";

// Lines of devices.list, or of writes that allow, one for each access letter: so that a difference
// in letters is a difference of lines. "c 1:3 r".
std::set<std::string> SingleAccesses(std::string_view line) {
  size_t space = line.rfind(' ');
  std::set<std::string> singles;
  if (space == std::string_view::npos) return singles;
  for (char letter : line.substr(space + 1)) {
    singles.insert(absl::StrCat(AsAbsl(line.substr(0, space)), " ", std::string(1, letter)));
  }
  return singles;
}

std::set<std::string> ListedAccesses(std::string_view device_list) {
  std::set<std::string> all;
  for (absl::string_view line : absl::StrSplit(AsAbsl(device_list), '\n', absl::SkipEmpty())) {
    all.merge(SingleAccesses(AsStd(line)));
  }
  return all;
}

bool AllowsAll(std::string_view device_list) {
  return device_list.find(kAllowsAll) != std::string_view::npos;
}

// From nothing to this list.
std::vector<DeviceWrite> WritesOf(std::string_view device_list) {
  if (AllowsAll(device_list)) return {{true, "a"}};
  std::vector<DeviceWrite> writes = {{false, "a"}};
  for (absl::string_view line : absl::StrSplit(AsAbsl(device_list), '\n', absl::SkipEmpty())) {
    writes.push_back({true, std::string(line)});
  }
  return writes;
}

absl::Status WriteBack(int dir, const std::vector<DeviceWrite>& undo, const absl::Status& why) {
  absl::Status back = WriteDevices(dir, "", undo);
  if (back.ok()) return why;
  return absl::InternalError(
      absl::StrCat(why.message(), "; and it could not be undone: ", back.message()));
}

}  // namespace

DeviceChange DevicesBetween(std::string_view device_list, const std::vector<DeviceWrite>& wanted) {
  DeviceChange change;
  bool allow_now = AllowsAll(device_list);
  bool allow_wanted = !wanted.empty() && wanted.front().allow;
  if (allow_now || allow_wanted) {
    // What is denied by exception is not in devices.list, so that is written whole.
    if (allow_now && allow_wanted && wanted.size() == 1) return change;
    change = {wanted, WritesOf(device_list), true};
    return change;
  }
  std::set<std::string> have = ListedAccesses(device_list), want;
  for (size_t i = 1; i < wanted.size(); ++i) want.merge(SingleAccesses(wanted[i].line));
  // What is added before what is taken away, so that nothing which both have is ever missing.
  for (const std::string& line : want) {
    if (have.contains(line)) continue;
    change.writes.push_back({true, line});
    change.undo.push_back({false, line});
  }
  for (const std::string& line : have) {
    if (want.contains(line)) continue;
    change.writes.push_back({false, line});
    change.undo.push_back({true, line});
  }
  return change;
}

absl::Status WriteDevices(int dir, const std::string& prefix,
                          const std::vector<DeviceWrite>& writes) {
  // Two descriptors for all rules: a usual container has some fifteen, and the kernel takes one a
  // write.
  ASSIGN_OR_RETURN(UniqueFd allow, OpenAt(dir, absl::StrCat(prefix, "devices.allow"), O_WRONLY));
  ASSIGN_OR_RETURN(UniqueFd deny, OpenAt(dir, absl::StrCat(prefix, "devices.deny"), O_WRONLY));
  for (const DeviceWrite& one : writes) {
    RETURN_IF_ERROR(Annotate(
        WriteAll(one.allow ? allow.get() : deny.get(), one.line),
        absl::StrCat("limits.devices: ", one.allow ? "allow" : "deny", " \"", one.line, "\"")));
  }
  return absl::OkStatus();
}

absl::Status UpdateDevices(int dir, const std::vector<DeviceWrite>& wanted) {
  ASSIGN_OR_RETURN(std::string list, ReadFileAt(dir, "devices.list"));
  DeviceChange change = DevicesBetween(list, wanted);
  if (change.writes.empty()) return absl::OkStatus();
  if (change.whole) {
    ASSIGN_OR_RETURN(auto below, Subgroups(dir));
    if (!below.empty()) {
      return absl::FailedPreconditionError(
          "limits.devices: to allow or deny all devices at once is not possible on cgroup v1 while "
          "the container has groups of its own");
    }
    absl::Status written = WriteDevices(dir, "", change.writes);
    return written.ok() ? written : WriteBack(dir, change.undo, written);
  }
  std::set<std::string> ours = ListedAccesses(list);
  std::vector<DeviceWrite> added;
  std::copy_if(change.writes.begin(), change.writes.end(), std::back_inserter(added),
               [](const DeviceWrite& one) { return one.allow; });
  bool top = true;
  auto enter = [&](int group) {
    if (std::exchange(top, false)) return WriteDevices(group, "", change.writes);
    auto theirs = ReadOptional(group, "devices.list");
    // Compared with what was ours before; what was taken away is gone from both by now.
    std::set<std::string> kept = ours;
    for (const DeviceWrite& one : change.writes) kept.erase(one.line);
    if (!theirs || added.empty() || ListedAccesses(*theirs) != kept) return absl::OkStatus();
    return WriteDevices(group, "", added);
  };
  absl::Status walked =
      WalkGroups(dir, enter, [](int, const std::string&) { return absl::OkStatus(); });
  // Denied again above, so also below.
  return walked.ok() ? walked : WriteBack(dir, change.undo, walked);
}

}  // namespace noded::cgroup
