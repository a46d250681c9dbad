#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "cgroup/tree.h"
#include "cgroup/unified.h"
#include "cgroup/v1.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr absl::Duration kFreezeBound = absl::Seconds(2);
// For Kill the freezer is only there to stop a fork race: a task that will not freeze (state D)
// must not keep the others alive for long.
constexpr absl::Duration kFreezeForKillBound = absl::Milliseconds(100);
}  // namespace

absl::StatusOr<std::unique_ptr<V1Group>> OpenV1Group(std::shared_ptr<const V1Host> host,
                                                     const std::string& name) {
  std::vector<ino_t> inodes;
  bool found = false;
  for (const Hierarchy& hierarchy : host->hierarchies) {
    struct stat info {};
    if (fstatat(hierarchy.parent.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) {
        return ErrnoStatus(errno, absl::StrCat("look at cgroup \"", name, "\""));
      }
      info.st_ino = 0;
    }
    found |= info.st_ino != 0;
    inodes.push_back(info.st_ino);
  }
  if (!found) return absl::NotFoundError(absl::StrCat("open cgroup \"", name, "\": not there"));
  return std::make_unique<V1Group>(std::move(host), name, std::move(inodes));
}

absl::StatusOr<UniqueFd> V1Group::OpenMember(size_t hierarchy) const {
  if (members_[hierarchy] != 0) {
    auto dir = OpenAt(host_->hierarchies[hierarchy].parent.get(), name_, kDirectoryFlags);
    struct stat info;
    if (!dir.ok() && !absl::IsNotFound(dir.status())) return dir.status();
    if (dir.ok() && fstat(dir->get(), &info) == 0 && info.st_ino == members_[hierarchy]) return dir;
  }
  return absl::NotFoundError(
      absl::StrCat("cgroup \"", host_->hierarchies[hierarchy].path, "/", name_, "\" is not there"));
}

absl::StatusOr<UniqueFd> V1Group::OpenDir(std::string_view controller) const {
  const Hierarchy* hierarchy = host_->Find(controller);
  if (hierarchy == nullptr) {
    return absl::NotFoundError(absl::StrCat("no ", AsAbsl(controller), " controller"));
  }
  return OpenMember(host_->IndexOf(*hierarchy));
}

absl::StatusOr<UniqueFd> V1Group::OpenUnified() const {
  const Hierarchy* hierarchy = host_->Unified();
  if (hierarchy == nullptr) return absl::NotFoundError("no cgroup2 mount");
  return OpenMember(host_->IndexOf(*hierarchy));
}

UniqueFd V1Group::UnifiedWith(const char* file) const {
  auto dir = OpenUnified();
  if (!dir.ok() || faccessat(dir->get(), file, F_OK, 0) != 0) return UniqueFd();
  return *std::move(dir);
}

absl::StatusOr<UniqueFd> V1Group::OpenTasks() const {
  if (auto dir = OpenUnified(); dir.ok()) return dir;
  for (const char* controller : {"freezer", "pids", "memory", "cpuacct", "cpu"}) {
    if (auto dir = OpenDir(controller); dir.ok()) return dir;
  }
  return absl::NotFoundError(absl::StrCat("cgroup \"", name_, "\" is not there"));
}

absl::StatusOr<AttachFds> V1Group::OpenAttach() const {
  AttachFds fds;
  for (size_t i = 0; i < members_.size(); ++i) {
    const Hierarchy& hierarchy = host_->hierarchies[i];
    std::string path = absl::StrCat(hierarchy.path, "/", name_);
    struct stat info;
    bool same = members_[i] != 0 &&
                fstatat(hierarchy.parent.get(), name_.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                info.st_ino == members_[i];
    if (!same) return absl::NotFoundError(absl::StrCat("cgroup \"", path, "\" is not there"));
    if (hierarchy.unified) {
      ASSIGN_OR_RETURN(fds.into, OpenAt(hierarchy.parent.get(), name_, kDirectoryFlags));
      continue;
    }
    ASSIGN_OR_RETURN(UniqueFd tasks,
                     OpenAt(hierarchy.parent.get(), absl::StrCat(name_, "/tasks"), O_WRONLY));
    fds.tasks.push_back(std::move(tasks));
  }
  return fds;
}

absl::StatusOr<std::vector<pid_t>> V1Group::Pids() const {
  ASSIGN_OR_RETURN(UniqueFd dir, OpenTasks());
  return TreePids(dir.get());
}

absl::Status V1Group::SetFreezerState(std::string_view state, absl::Duration bound) {
  auto dir = OpenDir("freezer");
  if (host_->Find("freezer") == nullptr) return MissingController("freeze", "freezer");
  RETURN_IF_ERROR(dir.status());
  return WriteAndAwait(
      dir->get(), "freezer.state", state, "freezer.state",
      [&](std::string_view now) { return TrimEnd(now) == state; }, bound);
}

absl::Status V1Group::Freeze() {
  // The v2 freezer where there is one, because a task frozen by it can still be killed.
  if (UniqueFd dir = UnifiedWith("cgroup.freeze")) return FreezeUnified(dir.get(), kFreezeBound);
  absl::Status frozen = SetFreezerState("FROZEN", kFreezeBound);
  // Half-frozen helps nobody.
  if (absl::IsDeadlineExceeded(frozen)) Thaw().IgnoreError();
  return frozen;
}

absl::Status V1Group::Thaw() {
  if (UniqueFd dir = UnifiedWith("cgroup.freeze")) {
    RETURN_IF_ERROR(ThawUnified(dir.get(), kFreezeBound));
  }
  // Also after the v2 freezer was used: the group may have been frozen by hand or by an older
  // version.
  if (host_->Find("freezer") == nullptr) return absl::OkStatus();
  return SetFreezerState("THAWED", kFreezeBound);
}

absl::StatusOr<bool> V1Group::frozen() const {
  if (UniqueFd dir = UnifiedWith("cgroup.freeze")) {
    ASSIGN_OR_RETURN(bool by_unified, FrozenUnified(dir.get()));
    if (by_unified) return true;
  }
  if (host_->Find("freezer") == nullptr) return false;
  ASSIGN_OR_RETURN(UniqueFd dir, OpenDir("freezer"));
  ASSIGN_OR_RETURN(std::string state, ReadFileAt(dir.get(), "freezer.state"));
  return TrimEnd(state) != "THAWED";
}

absl::Status V1Group::Kill() {
  auto unified = OpenUnified();
  if (unified.ok() && WriteExistingAt(unified->get(), "cgroup.kill", "1").ok()) {
    // A task in a frozen v1 group dies when it is thawed, not before.
    return host_->Find("freezer") == nullptr ? absl::OkStatus()
                                             : SetFreezerState("THAWED", kFreezeBound);
  }
  ASSIGN_OR_RETURN(UniqueFd tasks, OpenTasks());
  bool freezer = host_->Find("freezer") != nullptr;
  // Frozen tasks cannot fork, so one pass finds them all.
  if (freezer) SetFreezerState("FROZEN", kFreezeForKillBound).IgnoreError();
  absl::Status signalled = SignalTree(tasks.get(), SIGKILL);
  // Whatever happened before: tasks left frozen would hold their SIGKILL for ever.
  absl::Status thawed = freezer ? SetFreezerState("THAWED", kFreezeBound) : absl::OkStatus();
  return signalled.ok() ? thawed : signalled;
}

absl::Status V1Group::Remove(absl::Duration bound) {
  std::vector<RemovalTarget> targets;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i] != 0) {
      targets.push_back({host_->hierarchies[i].parent.get(), members_[i]});
    }
  }
  return RemoveGroups(*host_->fs, targets, name_, bound);
}

bool HasStats(const Hierarchy& hierarchy) {
  if (hierarchy.unified) return true;
  for (const char* controller : {"memory", "cpu", "cpuacct", "pids", "blkio", "hugetlb"}) {
    if (hierarchy.Has(controller)) return true;
  }
  return false;
}

}  // namespace noded::cgroup
