#include "cgroup/v2_group.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "cgroup/memory_use.h"
#include "cgroup/support.h"
#include "cgroup/tree.h"
#include "cgroup/unified.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded::cgroup {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr absl::Duration kFreezeBound = absl::Seconds(2);

std::optional<uint64_t> NumberIn(int dir, const std::string& file) {
  auto content = ReadOptional(dir, file);
  return content ? ParseNumber(*content) : std::nullopt;
}

class V2Group : public Group {
 public:
  V2Group(std::shared_ptr<const V2Host> host, std::string name, UniqueFd dir, ino_t inode)
      : host_(std::move(host)), name_(std::move(name)), dir_(std::move(dir)), inode_(inode) {}

  absl::StatusOr<AttachFds> OpenAttach() const override {
    AttachFds fds;
    ASSIGN_OR_RETURN(fds.into, OpenAt(dir_.get(), kPayloadGroup, kDirectoryFlags));
    return fds;
  }

  absl::StatusOr<std::unique_ptr<Sampler>> OpenSampler(
      const SampleOptions& options) const override {
    return OpenV2Sampler(*host_, name_, dir_.get(), options);
  }

  std::optional<uint64_t> OomKills() const override {
    // Of the groups below too.
    auto content = ReadOptional(dir_.get(), "memory.events");
    return content ? ParseKeyed(*content, "oom_kill") : std::nullopt;
  }
  absl::Status TellOom(OomWatch& watch) const override { return watch.AddV2(name_, dir_.get()); }

  absl::Status Update(const Limits& next, const UpdateOptions& options) override;

  absl::StatusOr<std::vector<pid_t>> Pids() const override { return TreePids(dir_.get()); }

  absl::Status Freeze() override { return FreezeUnified(dir_.get(), kFreezeBound); }
  absl::Status Thaw() override { return ThawUnified(dir_.get(), kFreezeBound); }
  absl::StatusOr<bool> frozen() const override { return FrozenUnified(dir_.get()); }

  absl::Status Kill() override {
    // Reaches frozen tasks too, other than on v1.
    return Annotate(WriteExistingAt(dir_.get(), "cgroup.kill", "1"),
                    absl::StrCat("kill cgroup \"", name_, "\""));
  }

  absl::Status Remove(absl::Duration bound) override {
    return RemoveGroups(*host_->fs, {{host_->parent.get(), inode_}}, name_, bound);
  }

 private:
  absl::Status LowerMemory(const Change& change, const std::string& value, bool force);
  absl::Status LowerWhileStill(const Change& change, const std::string& value, bool force);
  void Reclaim(int64_t limit);

  std::shared_ptr<const V2Host> host_;
  std::string name_;
  UniqueFd dir_;
  ino_t inode_;
};

// Down to `limit`, as far as it goes.
void V2Group::Reclaim(int64_t limit) {
  for (int i = 0; i < kReclaimTries; ++i) {
    std::optional<uint64_t> use = NumberIn(dir_.get(), "memory.current");
    if (!use || *use <= static_cast<uint64_t>(limit)) return;
    // EAGAIN: less than that was found. Whatever it says, the use is looked at again.
    std::string bytes = absl::StrCat(*use - static_cast<uint64_t>(limit));
    absl::Status reclaimed = WriteExistingAt(dir_.get(), "memory.reclaim", bytes);
    if (faccessat(dir_.get(), "memory.reclaim", F_OK, 0) == 0) continue;
    // Before Linux 5.19: a write to memory.high reclaims down to it, and never kills.
    auto high = ReadOptional(dir_.get(), "memory.high");
    if (!high) return;
    WriteExistingAt(dir_.get(), "memory.high", absl::StrCat(limit)).IgnoreError();
    WriteExistingAt(dir_.get(), "memory.high", TrimEnd(*high)).IgnoreError();
  }
}

absl::Status V2Group::LowerWhileStill(const Change& change, const std::string& value, bool force) {
  int64_t limit = LimitNumber(value).value_or(INT64_MAX);
  if (force) Reclaim(limit);
  std::optional<uint64_t> use = NumberIn(dir_.get(), "memory.current");
  if (!use || *use > static_cast<uint64_t>(limit)) {
    return MemoryInUse(change.field, limit, use, force);
  }
  return WriteLimit(dir_.get(), change.file, value, change.field);
}

// A write to memory.max below what is in use makes the kernel kill, so it is only done when the use
// is below, and with the group frozen, because between the look and the write it could grow.
absl::Status V2Group::LowerMemory(const Change& change, const std::string& value, bool force) {
  auto events = ReadOptional(dir_.get(), "cgroup.events");
  bool populated = !events || ParseKeyed(*events, "populated").value_or(1) != 0;
  ASSIGN_OR_RETURN(bool was_frozen, frozen());
  if (!populated || was_frozen) return LowerWhileStill(change, value, force);
  std::optional<uint64_t> use = NumberIn(dir_.get(), "memory.current");
  int64_t limit = LimitNumber(value).value_or(INT64_MAX);
  if (!force && use && *use > static_cast<uint64_t>(limit)) {
    return MemoryInUse(change.field, limit, use, force);
  }
  RETURN_IF_ERROR(Annotate(Freeze(), absl::StrCat(change.field, ": hold the container still")));
  absl::Status lowered = LowerWhileStill(change, value, force);
  absl::Status thawed = Thaw();
  return lowered.ok() ? thawed : lowered;
}

absl::Status V2Group::Update(const Limits& next, const UpdateOptions& options) {
  bool bfq = faccessat(dir_.get(), "io.bfq.weight", F_OK, 0) == 0 && HasBfqDisk(*host_->fs);
  ASSIGN_OR_RETURN(auto settings, SettingsV2(next, host_->page_sizes, bfq));
  RETURN_IF_ERROR(CheckControllersV2(*host_, settings, next));
  for (Setting& setting : settings) {
    if (setting.controller != "cpuset") continue;
    auto parents = ReadOptional(host_->parent.get(), absl::StrCat(setting.file, ".effective"));
    if (parents) setting.initial = std::string(TrimEnd(*parents));
  }
  auto changes = ChangesBetween(
      settings, [&](const Setting& setting) { return ReadOptional(dir_.get(), setting.file); });
  auto write = [&](const Change& change, const std::string& value) {
    bool undo = value == change.from;
    std::optional<int64_t> before = LimitNumber(undo ? change.to : change.from);
    if (change.file == "memory.max" && LimitNumber(value) < before) {
      return LowerMemory(change, value, options.force && !undo);
    }
    return WriteLimit(dir_.get(), change.file, change.Line(value), change.field);
  };
  RETURN_IF_ERROR(ApplyAll(changes, write));
  if (next.devices.empty()) return absl::OkStatus();
  // Last, because one program takes the other's place in one step and there is nothing to undo.
  absl::Status attached =
      Annotate(host_->fs->AttachDevices(dir_.get(), next.devices), "limits.devices");
  return attached.ok() ? attached : TakeBack(changes, changes.size(), attached, write);
}

}  // namespace

bool V2Host::Has(std::string_view controller) const {
  return std::find(controllers.begin(), controllers.end(), controller) != controllers.end();
}

absl::Status CheckControllersV2(const V2Host& host, const std::vector<Setting>& settings,
                                const Limits& limits) {
  for (const Setting& setting : settings) {
    if (setting.value && !host.Has(setting.controller)) {
      return MissingController(setting.field, setting.controller);
    }
  }
  if (!limits.devices.empty() && !host.devices) {
    return MissingController("limits.devices", "devices");
  }
  return CheckCpusets(settings, [&](const Setting& setting) {
    return ReadOptional(host.parent.get(), absl::StrCat(setting.file, ".effective"));
  });
}

absl::StatusOr<std::unique_ptr<Group>> WrapV2Group(std::shared_ptr<const V2Host> host,
                                                   const std::string& name, UniqueFd dir) {
  struct stat info;
  if (fstat(dir.get(), &info) != 0) return ErrnoStatus(errno, "look at cgroup");
  return std::make_unique<V2Group>(std::move(host), name, std::move(dir), info.st_ino);
}

}  // namespace noded::cgroup
