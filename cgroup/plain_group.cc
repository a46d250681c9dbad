#include "cgroup/plain_group.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cgroup/tree.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded::cgroup {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

// Those in which a service manager makes groups for its units, and takes them away again: in others
// an empty one would stay behind. Not cpuset, where a new group holds no processors and refuses
// processes until somebody decides on some.
constexpr std::array<std::string_view, 7> kManaged = {
    "blkio", "cpu", "cpuacct", "devices", "memory", "name=systemd", "pids"};

bool Has(const V1Mount& mount, std::string_view controller) {
  return std::find(mount.controllers.begin(), mount.controllers.end(), controller) !=
         mount.controllers.end();
}

bool IsManaged(const V1Mount& mount) {
  return std::any_of(kManaged.begin(), kManaged.end(),
                     [&](std::string_view name) { return Has(mount, name); });
}

std::optional<std::string> TrackingPath(const Mounts& mounts) {
  if (mounts.v2_path) return mounts.v2_path;
  for (const V1Mount& mount : mounts.v1) {
    if (Has(mount, "name=systemd")) return mount.path;
  }
  return std::nullopt;
}

absl::Status EnterBelow(int parent, const std::string& name, pid_t process, CgroupFs& fs) {
  ASSIGN_OR_RETURN(UniqueFd group, MakeOrOpenGroup(fs, parent, name));
  return WriteExistingAt(group.get(), "cgroup.procs", absl::StrCat(process));
}

}  // namespace

absl::Status EnterPlainGroup(const Mounts& mounts, const std::string& parent,
                             const std::string& name, pid_t process, CgroupFs& fs) {
  RETURN_IF_ERROR(CheckGroupName(name));
  ASSIGN_OR_RETURN(std::vector<std::string> parents, ParentComponents(parent));
  const std::optional<std::string> tracking = TrackingPath(mounts);
  if (!tracking) return absl::NotFoundError("no cgroup hierarchy tracks a service manager's units");
  ASSIGN_OR_RETURN(UniqueFd tracked, OpenAt(AT_FDCWD, *tracking + parent, kDirectoryFlags));
  RETURN_IF_ERROR(EnterBelow(tracked.get(), name, process, fs));
  for (const V1Mount& mount : mounts.v1) {
    if (mount.path == *tracking || !IsManaged(mount)) continue;
    ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(AT_FDCWD, mount.path, O_RDONLY | O_DIRECTORY));
    for (const std::string& component : parents) {
      ASSIGN_OR_RETURN(dir, MakeOrOpenGroup(fs, dir.get(), component));
    }
    RETURN_IF_ERROR(EnterBelow(dir.get(), name, process, fs));
  }
  return absl::OkStatus();
}

bool IsPopulated(const Mounts& mounts, const std::string& group) {
  const std::optional<std::string> tracking = TrackingPath(mounts);
  if (!tracking) return false;
  auto dir = OpenAt(AT_FDCWD, *tracking + group, kDirectoryFlags);
  if (!dir.ok()) return false;
  if (auto events = ReadOptional(dir->get(), "cgroup.events")) {
    return ParseKeyed(*events, "populated") == 1u;
  }
  auto pids = TreePids(dir->get());
  return pids.ok() && !pids->empty();
}

}  // namespace noded::cgroup
