#include "cgroup/v1.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "cgroup/settings.h"
#include "cgroup/support.h"
#include "cgroup/tree.h"
#include "cgroup/v1_devices.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

absl::StatusOr<std::vector<DeviceWrite>> PlanDevices(const V1Host& host, const Limits& limits) {
  if (limits.devices.empty()) return std::vector<DeviceWrite>();
  if (host.Find("devices") == nullptr) return MissingController("limits.devices", "devices");
  return FoldDeviceRules(limits.devices);
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

  std::vector<Support> Enforceable() const override { return ListSupport(MakeProbe()); }
  std::vector<Unkept> Unenforceable(const Limits& limits) const override {
    return FindUnkept(MakeProbe(), limits);
  }

  absl::Status Check(const Limits& limits) const override {
    ASSIGN_OR_RETURN(auto settings, SettingsV1(limits, host_->page_sizes));
    RETURN_IF_ERROR(CheckControllersV1(*host_, settings));
    return PlanDevices(*host_, limits).status();
  }

  absl::StatusOr<std::unique_ptr<Group>> Create(const std::string& name,
                                                const Limits& limits) override {
    RETURN_IF_ERROR(CheckGroupName(name));
    // Before anything is made, so that a limit that cannot be kept is refused while there is
    // nothing to undo.
    ASSIGN_OR_RETURN(auto settings, SettingsV1(limits, host_->page_sizes));
    RETURN_IF_ERROR(CheckControllersV1(*host_, settings));
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
    RETURN_IF_ERROR(Apply(name, InitialChanges(settings), devices));
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
  absl::Status Apply(const std::string& name, const std::vector<Change>& changes,
                     const std::vector<DeviceWrite>& devices) const {
    for (const Change& one : changes) {
      RETURN_IF_ERROR(WriteLimit(host_->Find(one.controller)->parent.get(),
                                 absl::StrCat(name, "/", one.file), one.Line(one.to), one.field));
    }
    // Below a parent of ours the kernel has filled the cpuset by itself (PrepareCpuset).
    const Hierarchy* cpuset = host_->Find("cpuset");
    if (cpuset != nullptr && host_->root_parent) {
      ASSIGN_OR_RETURN(UniqueFd group, OpenAt(cpuset->parent.get(), name, kDirectoryFlags));
      RETURN_IF_ERROR(FillCpuset(cpuset->parent.get(), group.get()));
    }
    if (devices.empty()) return absl::OkStatus();
    return WriteDevices(host_->Find("devices")->parent.get(), absl::StrCat(name, "/"), devices);
  }

  Probe MakeProbe() const {
    Probe probe;
    probe.v1 = true;
    probe.fs = host_->fs.get();
    probe.has_controller = [host = host_](std::string_view controller) {
      return host->Find(controller) != nullptr;
    };
    probe.has_file = [host = host_](std::string_view controller, std::string_view file) {
      return host->root_parent ||
             MayHaveFile(host->Find(controller)->parent.get(), std::string(file));
    };
    if (const Hierarchy* unified = host_->Unified()) {
      int dir = unified->parent.get();
      probe.unified_freezer = host_->root_parent || faccessat(dir, "cgroup.freeze", F_OK, 0) == 0;
      probe.pressure = faccessat(dir, "cpu.pressure", F_OK, 0) == 0;
    }
    return probe;
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

absl::Status CheckControllersV1(const V1Host& host, const std::vector<Setting>& settings) {
  for (const Setting& setting : settings) {
    if (setting.value && host.Find(setting.controller) == nullptr) {
      return MissingController(setting.field, setting.controller);
    }
  }
  return CheckCpusets(settings, [&](const Setting& setting) {
    return ReadOptional(host.Find("cpuset")->parent.get(), setting.file);
  });
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
  host->root_parent = parents.empty();
  if (host->Find("hugetlb") != nullptr) host->page_sizes = HugePageSizes(*fs);
  host->fs = std::move(fs);
  return std::make_unique<V1Driver>(std::move(host));
}

}  // namespace noded::cgroup
