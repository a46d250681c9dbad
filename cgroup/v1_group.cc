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
// What the kernel shows for no limit is 2^63 rounded down to a page; nobody means more than 2^60.
constexpr uint64_t kNoLimit = uint64_t{1} << 60;

// Read at every sample, or where an unexpected stranger must not be signalled.
bool HoldsDirectory(const Hierarchy& hierarchy) {
  if (hierarchy.unified) return true;
  for (const char* controller : {"memory", "cpu", "cpuacct", "pids", "freezer"}) {
    if (hierarchy.Has(controller)) return true;
  }
  return false;
}

absl::StatusOr<V1Group::Member> OpenMember(const Hierarchy& hierarchy, const std::string& name) {
  V1Group::Member member;
  struct stat info;
  if (HoldsDirectory(hierarchy)) {
    auto dir = OpenAt(hierarchy.parent.get(), name, kDirectoryFlags);
    if (absl::IsNotFound(dir.status())) return member;
    RETURN_IF_ERROR(dir.status());
    if (fstat(dir->get(), &info) != 0) return ErrnoStatus(errno, "look at cgroup");
    member.dir = *std::move(dir);
  } else if (fstatat(hierarchy.parent.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return member;
    return ErrnoStatus(errno, absl::StrCat("look at cgroup \"", name, "\""));
  }
  member.inode = info.st_ino;
  return member;
}

std::optional<uint64_t> NumberIn(int dir, const std::string& file) {
  auto content = ReadOptional(dir, file);
  return content ? ParseNumber(*content) : std::nullopt;
}

// The kill count of v1 is of one group alone, and a payload may have made groups below.
std::optional<uint64_t> CountOomKills(int dir) {
  std::optional<uint64_t> kills;
  auto enter = [&](int group) {
    auto content = ReadOptional(group, "memory.oom_control");
    auto here = content ? ParseKeyed(*content, "oom_kill") : std::nullopt;
    if (here) kills = kills.value_or(0) + *here;
    return absl::OkStatus();
  };
  // What was counted before an error is still true as a lower bound.
  WalkGroups(dir, enter, [](int, const std::string&) { return absl::OkStatus(); }).IgnoreError();
  return kills;
}

}  // namespace

absl::StatusOr<std::unique_ptr<V1Group>> OpenV1Group(std::shared_ptr<const V1Host> host,
                                                     const std::string& name) {
  std::vector<V1Group::Member> members;
  bool found = false;
  for (const Hierarchy& hierarchy : host->hierarchies) {
    ASSIGN_OR_RETURN(V1Group::Member member, OpenMember(hierarchy, name));
    found |= member.inode != 0;
    members.push_back(std::move(member));
  }
  if (!found) return absl::NotFoundError(absl::StrCat("open cgroup \"", name, "\": not there"));
  return std::make_unique<V1Group>(std::move(host), name, std::move(members));
}

int V1Group::DirOf(std::string_view controller) const {
  const Hierarchy* hierarchy = host_->Find(controller);
  return hierarchy == nullptr ? -1 : members_[host_->IndexOf(*hierarchy)].dir.get();
}

int V1Group::UnifiedDir() const {
  const Hierarchy* hierarchy = host_->Unified();
  return hierarchy == nullptr ? -1 : members_[host_->IndexOf(*hierarchy)].dir.get();
}

absl::StatusOr<int> V1Group::TasksDir() const {
  if (int dir = UnifiedDir(); dir >= 0) return dir;
  for (const char* controller : {"freezer", "pids", "memory", "cpuacct", "cpu"}) {
    if (int dir = DirOf(controller); dir >= 0) return dir;
  }
  return absl::NotFoundError(absl::StrCat("cgroup \"", name_, "\" is not there"));
}

absl::StatusOr<AttachFds> V1Group::OpenAttach() const {
  AttachFds fds;
  for (size_t i = 0; i < members_.size(); ++i) {
    const Hierarchy& hierarchy = host_->hierarchies[i];
    std::string path = absl::StrCat(hierarchy.path, "/", name_);
    struct stat info;
    bool same = members_[i].inode != 0 &&
                fstatat(hierarchy.parent.get(), name_.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                info.st_ino == members_[i].inode;
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

void V1Group::ReadMemory(Stats& stats) const {
  int dir = DirOf("memory");
  if (dir < 0) return;
  stats.memory_usage_bytes = NumberIn(dir, "memory.usage_in_bytes");
  stats.memory_peak_bytes = NumberIn(dir, "memory.max_usage_in_bytes");
  stats.oom_kills = CountOomKills(dir);
  auto content = ReadOptional(dir, "memory.stat");
  if (!content) return;
  // "total_" counts the groups below too.
  stats.memory_rss_bytes = ParseKeyed(*content, "total_rss");
  stats.memory_cache_bytes = ParseKeyed(*content, "total_cache");
  stats.memory_swap_bytes = ParseKeyed(*content, "total_swap");
  stats.page_faults = ParseKeyed(*content, "total_pgfault");
  stats.major_page_faults = ParseKeyed(*content, "total_pgmajfault");
  auto limit = ParseKeyed(*content, "hierarchical_memory_limit");
  if (limit && *limit < kNoLimit) stats.memory_limit_bytes = limit;
  auto inactive = ParseKeyed(*content, "total_inactive_file");
  if (stats.memory_usage_bytes && inactive) {
    // Two files, read one after the other: the difference may come out below 0.
    stats.memory_working_set_bytes =
        *stats.memory_usage_bytes - std::min(*stats.memory_usage_bytes, *inactive);
  }
}

void V1Group::ReadCpu(Stats& stats) const {
  if (int dir = DirOf("cpuacct"); dir >= 0) {
    stats.cpu_total_ns = NumberIn(dir, "cpuacct.usage");
    stats.cpu_user_ns = NumberIn(dir, "cpuacct.usage_user");
    stats.cpu_system_ns = NumberIn(dir, "cpuacct.usage_sys");
  }
  if (int dir = DirOf("cpu"); dir >= 0) {
    auto content = ReadOptional(dir, "cpu.stat");
    if (!content) return;
    stats.cpu_periods = ParseKeyed(*content, "nr_periods");
    stats.cpu_throttled_periods = ParseKeyed(*content, "nr_throttled");
    stats.cpu_throttled_ns = ParseKeyed(*content, "throttled_time");
  }
}

absl::StatusOr<Stats> V1Group::ReadStats() const {
  ASSIGN_OR_RETURN(int tasks, TasksDir());
  // A removed group's held directory is empty: no file opens in it.
  if (faccessat(tasks, "cgroup.procs", F_OK, 0) != 0) {
    return absl::NotFoundError(absl::StrCat("cgroup \"", name_, "\" is gone"));
  }
  Stats stats;
  ReadMemory(stats);
  ReadCpu(stats);
  if (int dir = DirOf("pids"); dir >= 0) {
    stats.pids_current = NumberIn(dir, "pids.current");
    stats.pids_limit = NumberIn(dir, "pids.max");
  }
  return stats;
}

absl::StatusOr<std::vector<pid_t>> V1Group::Pids() const {
  ASSIGN_OR_RETURN(int dir, TasksDir());
  return TreePids(dir);
}

absl::Status V1Group::SetFreezerState(std::string_view state, absl::Duration bound) {
  int dir = DirOf("freezer");
  if (dir < 0) return MissingController("freeze", "freezer");
  return WriteAndAwait(
      dir, "freezer.state", state, "freezer.state",
      [&](std::string_view now) { return TrimEnd(now) == state; }, bound);
}

absl::Status V1Group::Freeze() {
  // The v2 freezer where there is one, because a task frozen by it can still be killed.
  if (int dir = UnifiedDir(); dir >= 0 && faccessat(dir, "cgroup.freeze", F_OK, 0) == 0) {
    return FreezeUnified(dir, kFreezeBound);
  }
  absl::Status frozen = SetFreezerState("FROZEN", kFreezeBound);
  // Half-frozen helps nobody.
  if (absl::IsDeadlineExceeded(frozen)) Thaw().IgnoreError();
  return frozen;
}

absl::Status V1Group::Thaw() {
  if (int dir = UnifiedDir(); dir >= 0 && faccessat(dir, "cgroup.freeze", F_OK, 0) == 0) {
    RETURN_IF_ERROR(ThawUnified(dir, kFreezeBound));
  }
  // Also after the v2 freezer was used: the group may have been frozen by hand or by an older
  // version.
  if (DirOf("freezer") < 0) return absl::OkStatus();
  return SetFreezerState("THAWED", kFreezeBound);
}

absl::Status V1Group::Kill() {
  if (int dir = UnifiedDir(); dir >= 0 && WriteExistingAt(dir, "cgroup.kill", "1").ok()) {
    // A task in a frozen v1 group dies when it is thawed, not before.
    return DirOf("freezer") < 0 ? absl::OkStatus() : SetFreezerState("THAWED", kFreezeBound);
  }
  ASSIGN_OR_RETURN(int tasks, TasksDir());
  bool freezer = DirOf("freezer") >= 0;
  // Frozen tasks cannot fork, so one pass finds them all.
  if (freezer) SetFreezerState("FROZEN", kFreezeForKillBound).IgnoreError();
  absl::Status signalled = SignalTree(tasks, SIGKILL);
  // Whatever happened before: tasks left frozen would hold their SIGKILL for ever.
  absl::Status thawed = freezer ? SetFreezerState("THAWED", kFreezeBound) : absl::OkStatus();
  return signalled.ok() ? thawed : signalled;
}

absl::Status V1Group::Remove(absl::Duration bound) {
  std::vector<RemovalTarget> targets;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].inode == 0) continue;
    targets.push_back({host_->hierarchies[i].parent.get(), members_[i].inode});
  }
  return RemoveGroups(*host_->fs, targets, name_, bound);
}

}  // namespace noded::cgroup
