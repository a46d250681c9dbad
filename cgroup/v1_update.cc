// Changing the limits of a v1 group that may be in use.
#include <fcntl.h>

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cgroup/memory_use.h"
#include "cgroup/settings.h"
#include "cgroup/tree.h"
#include "cgroup/v1.h"
#include "cgroup/v1_devices.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

bool IsMemoryLimit(const Change& change) {
  return change.file == "memory.limit_in_bytes" || change.file == "memory.memsw.limit_in_bytes";
}

// The kernel reclaims by itself until it gets nowhere, and then says EBUSY (FAILED_PRECONDITION
// here). It never kills for it.
absl::Status WriteMemoryLimit(int dir, const Change& change, const std::string& value, bool force) {
  absl::Status written = WriteLimit(dir, change.file, value, change.field);
  for (int i = 0; force && i < kReclaimTries && absl::IsFailedPrecondition(written); ++i) {
    // Everything that can be reclaimed, page by page, with no regard to when it was used last.
    RETURN_IF_ERROR(WriteExistingAt(dir, "memory.force_empty", "0"));
    written = WriteLimit(dir, change.file, value, change.field);
  }
  if (!absl::IsFailedPrecondition(written) || ReasonOf(written)) return written;
  bool both = change.file == "memory.memsw.limit_in_bytes";
  auto use = ReadOptional(dir, both ? "memory.memsw.usage_in_bytes" : "memory.usage_in_bytes");
  return MemoryInUse(change.field, LimitNumber(value), use ? ParseNumber(*use) : std::nullopt,
                     force);
}

}  // namespace

absl::Status V1Group::SetInitialCpuset(std::vector<Setting>& settings) const {
  const Hierarchy* hierarchy = host_->Find("cpuset");
  if (hierarchy == nullptr) return absl::OkStatus();
  for (Setting& setting : settings) {
    if (setting.controller != "cpuset") continue;
    ASSIGN_OR_RETURN(std::string content, ReadFileAt(hierarchy->parent.get(), setting.file));
    setting.initial = std::string(TrimEnd(content));
  }
  return absl::OkStatus();
}

absl::Status V1Group::Update(const Limits& next, const UpdateOptions& options) {
  ASSIGN_OR_RETURN(auto settings, SettingsV1(next, host_->page_sizes));
  RETURN_IF_ERROR(CheckControllersV1(*host_, settings));
  RETURN_IF_ERROR(SetInitialCpuset(settings));
  std::vector<DeviceWrite> devices;
  if (!next.devices.empty()) {
    if (host_->Find("devices") == nullptr) return MissingController("limits.devices", "devices");
    ASSIGN_OR_RETURN(devices, FoldDeviceRules(next.devices));
  }
  std::map<std::string, UniqueFd> dirs;
  for (const Setting& setting : settings) {
    if (host_->Find(setting.controller) == nullptr || dirs.contains(setting.controller)) continue;
    ASSIGN_OR_RETURN(dirs[setting.controller], OpenDir(setting.controller));
  }
  auto changes =
      ChangesBetween(settings, [&](const Setting& setting) -> std::optional<std::string> {
        auto dir = dirs.find(setting.controller);
        if (dir == dirs.end()) return std::nullopt;
        return ReadOptional(dir->second.get(), setting.file);
      });
  auto write = [&](const Change& change, const std::string& value) {
    int dir = dirs[change.controller].get();
    if (IsMemoryLimit(change)) return WriteMemoryLimit(dir, change, value, options.force);
    return WriteLimit(dir, change.file, change.Line(value), change.field);
  };
  RETURN_IF_ERROR(ApplyAll(changes, write));
  if (devices.empty()) return absl::OkStatus();
  // Last, because it undoes itself when it fails.
  auto dir = OpenDir("devices");
  absl::Status updated = dir.ok() ? UpdateDevices(dir->get(), devices) : dir.status();
  return updated.ok() ? updated : TakeBack(changes, changes.size(), updated, write);
}

}  // namespace noded::cgroup
