#include "cgroup/v1.h"

#include <algorithm>
#include <set>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "cgroup/tree.h"
#include "cgroup/v1_devices.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

// One file to write. Limits become a list of these before anything is made, so that a limit that
// cannot be kept is refused while there is nothing to undo.
struct LimitWrite {
  const Hierarchy* hierarchy;
  std::string file;
  std::string value;
  std::string field;
};

class LimitPlan {
 public:
  explicit LimitPlan(const V1Host& host) : host_(host) {}

  template <typename Value>
  void Add(const std::optional<Value>& value, std::string_view controller, std::string file,
           std::string_view field) {
    if (!value) return;
    std::string name = absl::StrCat("limits.", AsAbsl(field));
    const Hierarchy* hierarchy = host_.Find(controller);
    if (hierarchy == nullptr) {
      if (status_.ok()) status_ = MissingController(name, controller);
      return;
    }
    writes_.push_back({hierarchy, std::move(file), absl::StrCat(*value), std::move(name)});
  }

  absl::StatusOr<std::vector<LimitWrite>> Take() && {
    if (!status_.ok()) return status_;
    return std::move(writes_);
  }

 private:
  const V1Host& host_;
  std::vector<LimitWrite> writes_;
  absl::Status status_;
};

absl::StatusOr<std::vector<LimitWrite>> PlanLimits(const V1Host& host, const Limits& limits) {
  LimitPlan plan(host);
  plan.Add(limits.memory_bytes, "memory", "memory.limit_in_bytes", "memory_bytes");
  if (limits.swap_bytes) {
    if (!limits.memory_bytes) {
      return InvalidField("limits.swap_bytes", "needs limits.memory_bytes too on cgroup v1");
    }
    // After memory.limit_in_bytes, because memsw must never be the smaller of the two.
    std::optional<int64_t> both = *limits.memory_bytes + *limits.swap_bytes;
    plan.Add(both, "memory", "memory.memsw.limit_in_bytes", "swap_bytes");
  }
  plan.Add(limits.memory_low_bytes, "memory", "memory.soft_limit_in_bytes", "memory_low_bytes");
  plan.Add(limits.cpu_shares, "cpu", "cpu.shares", "cpu_shares");
  // The period first, because the kernel checks a quota against the period that is in force.
  plan.Add(limits.cpu_period_us, "cpu", "cpu.cfs_period_us", "cpu_period_us");
  plan.Add(limits.cpu_quota_us, "cpu", "cpu.cfs_quota_us", "cpu_quota_us");
  plan.Add(limits.cpuset_cpus, "cpuset", "cpuset.cpus", "cpuset_cpus");
  plan.Add(limits.cpuset_mems, "cpuset", "cpuset.mems", "cpuset_mems");
  plan.Add(limits.pids_max, "pids", "pids.max", "pids_max");
  return std::move(plan).Take();
}

absl::StatusOr<std::vector<DeviceWrite>> PlanDevices(const V1Host& host, const Limits& limits) {
  if (limits.devices.empty()) return std::vector<DeviceWrite>();
  if (host.Find("devices") == nullptr) return MissingController("limits.devices", "devices");
  return FoldDeviceRules(limits.devices);
}

absl::Status WriteDevices(int group, const std::vector<DeviceWrite>& writes) {
  // Two descriptors for all rules: a usual container has some fifteen.
  ASSIGN_OR_RETURN(UniqueFd allow, OpenAt(group, "devices.allow", O_WRONLY));
  ASSIGN_OR_RETURN(UniqueFd deny, OpenAt(group, "devices.deny", O_WRONLY));
  for (const DeviceWrite& one : writes) {
    RETURN_IF_ERROR(Annotate(
        WriteAll(one.allow ? allow.get() : deny.get(), one.line),
        absl::StrCat("limits.devices: ", one.allow ? "allow" : "deny", " \"", one.line, "\"")));
  }
  return absl::OkStatus();
}

class V1Driver : public Driver {
 public:
  explicit V1Driver(std::shared_ptr<const V1Host> host) : host_(std::move(host)) {}

  Mode mode() const override { return host_->Unified() != nullptr ? Mode::kHybrid : Mode::kV1; }

  std::vector<std::string> controllers() const override {
    std::vector<std::string> names;
    for (const Hierarchy& hierarchy : host_->hierarchies) {
      for (const std::string& name : hierarchy.controllers) {
        if (!name.starts_with("name=")) names.push_back(name);
      }
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::StatusOr<std::unique_ptr<Group>> Create(const std::string& name,
                                                const Limits& limits) override {
    RETURN_IF_ERROR(CheckGroupName(name));
    ASSIGN_OR_RETURN(auto writes, PlanLimits(*host_, limits));
    ASSIGN_OR_RETURN(auto devices, PlanDevices(*host_, limits));
    size_t made = 0;
    auto undo = absl::MakeCleanup([&] {
      for (size_t i = 0; i < made; ++i) {
        host_->fs->RemoveGroup(host_->hierarchies[i].parent.get(), name.c_str());
      }
    });
    for (const Hierarchy& hierarchy : host_->hierarchies) {
      if (host_->fs->MakeGroup(hierarchy.parent.get(), name.c_str()) != 0) {
        return MakeGroupError(errno, absl::StrCat(hierarchy.path, "/", name));
      }
      ++made;
    }
    RETURN_IF_ERROR(Apply(name, writes, devices));
    ASSIGN_OR_RETURN(std::unique_ptr<Group> group, OpenV1Group(host_, name));
    std::move(undo).Cancel();
    return group;
  }

  absl::StatusOr<std::unique_ptr<Group>> Open(const std::string& name) override {
    RETURN_IF_ERROR(CheckGroupName(name));
    return OpenV1Group(host_, name);
  }

  absl::StatusOr<std::vector<std::string>> List() override {
    // A crash may have left a group in some hierarchies only.
    std::set<std::string> names;
    for (const Hierarchy& hierarchy : host_->hierarchies) {
      ASSIGN_OR_RETURN(auto here, Subgroups(hierarchy.parent.get()));
      names.insert(here.begin(), here.end());
    }
    return std::vector<std::string>(names.begin(), names.end());
  }

 private:
  absl::Status Apply(const std::string& name, const std::vector<LimitWrite>& writes,
                     const std::vector<DeviceWrite>& devices) const {
    auto in_group = [&](const std::string& file) { return absl::StrCat(name, "/", file); };
    for (const LimitWrite& one : writes) {
      RETURN_IF_ERROR(
          WriteLimit(one.hierarchy->parent.get(), in_group(one.file), one.value, one.field));
    }
    if (const Hierarchy* cpuset = host_->Find("cpuset")) {
      ASSIGN_OR_RETURN(UniqueFd group, OpenAt(cpuset->parent.get(), name, kDirectoryFlags));
      RETURN_IF_ERROR(FillCpuset(cpuset->parent.get(), group.get()));
    }
    if (devices.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(UniqueFd group,
                     OpenAt(host_->Find("devices")->parent.get(), name, kDirectoryFlags));
    return WriteDevices(group.get(), devices);
  }

  std::shared_ptr<const V1Host> host_;
};

absl::StatusOr<Hierarchy> OpenHierarchy(CgroupFs& fs, const std::string& mount_path,
                                        const std::vector<std::string>& parents) {
  Hierarchy hierarchy;
  hierarchy.path = mount_path;
  ASSIGN_OR_RETURN(hierarchy.parent, OpenAt(AT_FDCWD, mount_path, O_RDONLY | O_DIRECTORY));
  for (const std::string& name : parents) {
    absl::StrAppend(&hierarchy.path, "/", name);
    ASSIGN_OR_RETURN(hierarchy.parent, MakeOrOpenGroup(fs, hierarchy.parent.get(), name));
  }
  return hierarchy;
}

// The parents of a cpuset group need cpus too, and a child copies them from its parent when made.
absl::Status PrepareCpuset(const std::string& mount_path, const std::vector<std::string>& parents) {
  ASSIGN_OR_RETURN(UniqueFd group, OpenAt(AT_FDCWD, mount_path, O_RDONLY | O_DIRECTORY));
  for (const std::string& name : parents) {
    ASSIGN_OR_RETURN(UniqueFd child, OpenAt(group.get(), name, kDirectoryFlags));
    RETURN_IF_ERROR(FillCpuset(group.get(), child.get()));
    group = std::move(child);
  }
  // The kernel then fills a new group itself, without the rebuild of all scheduling domains that a
  // write to cpuset.cpus sets off.
  if (parents.empty()) return absl::OkStatus();
  return WriteExistingAt(group.get(), "cgroup.clone_children", "1");
}

}  // namespace

bool Hierarchy::Has(std::string_view controller) const {
  return std::find(controllers.begin(), controllers.end(), controller) != controllers.end();
}

const Hierarchy* V1Host::Find(std::string_view controller) const {
  for (const Hierarchy& hierarchy : hierarchies) {
    if (hierarchy.Has(controller)) return &hierarchy;
  }
  return nullptr;
}

const Hierarchy* V1Host::Unified() const {
  for (const Hierarchy& hierarchy : hierarchies) {
    if (hierarchy.unified) return &hierarchy;
  }
  return nullptr;
}

absl::Status FillCpuset(int parent, int group) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    ASSIGN_OR_RETURN(std::string own, ReadFileAt(group, file));
    if (!TrimEnd(own).empty()) continue;
    ASSIGN_OR_RETURN(std::string parents, ReadFileAt(parent, file));
    RETURN_IF_ERROR(WriteExistingAt(group, file, TrimEnd(parents)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Driver>> OpenV1Driver(const Mounts& mounts,
                                                     const std::string& parent,
                                                     std::shared_ptr<CgroupFs> fs) {
  ASSIGN_OR_RETURN(auto parents, ParentComponents(parent));
  auto host = std::make_shared<V1Host>();
  for (const V1Mount& mount : mounts.v1) {
    ASSIGN_OR_RETURN(Hierarchy hierarchy, OpenHierarchy(*fs, mount.path, parents));
    hierarchy.controllers = mount.controllers;
    if (hierarchy.Has("cpuset")) RETURN_IF_ERROR(PrepareCpuset(mount.path, parents));
    host->hierarchies.push_back(std::move(hierarchy));
  }
  if (mounts.v2_path) {
    ASSIGN_OR_RETURN(Hierarchy hierarchy, OpenHierarchy(*fs, *mounts.v2_path, parents));
    hierarchy.unified = true;
    host->hierarchies.push_back(std::move(hierarchy));
  }
  host->fs = std::move(fs);
  return std::make_unique<V1Driver>(std::move(host));
}

}  // namespace noded::cgroup
