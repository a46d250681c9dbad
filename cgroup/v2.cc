// The v2 driver: finds and makes groups.
#include "cgroup/v2.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cgroup/support.h"
#include "cgroup/tree.h"
#include "cgroup/v2_group.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

// Those that limits and stats are made of. One that is not used costs next to nothing.
constexpr std::array<const char*, 8> kWanted = {"cpuset",  "cpu",  "io",   "memory",
                                                "hugetlb", "pids", "rdma", "misc"};

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

// "+cpu +memory"; empty for none.
std::string EnableLine(const std::vector<std::string>& controllers) {
  return absl::StrJoin(controllers, " ", [](std::string* out, const std::string& name) {
    absl::StrAppend(out, "+", name);
  });
}

// Lets the groups in `dir` have the wanted controllers, as far as `dir` has them itself.
absl::Status EnableControllers(int dir, const std::string& path) {
  ASSIGN_OR_RETURN(std::string available, ReadFileAt(dir, "cgroup.controllers"));
  ASSIGN_OR_RETURN(std::string enabled, ReadFileAt(dir, "cgroup.subtree_control"));
  std::vector<std::string> have = ParseWords(available), on = ParseWords(enabled);
  auto contains = [](const std::vector<std::string>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  for (const char* name : kWanted) {
    if (!contains(have, name) || contains(on, name)) continue;
    // One at a time, because a write of several is refused whole when one of them cannot be had.
    absl::Status written = WriteExistingAt(dir, "cgroup.subtree_control", absl::StrCat("+", name));
    // FAILED_PRECONDITION is EBUSY here: the group holds processes itself (the "no internal
    // processes" rule), and every controller would say the same.
    if (absl::IsFailedPrecondition(written)) {
      return Annotate(written, absl::StrCat("enable controllers below cgroup \"", path, "\""));
    }
    // Anything else leaves this one out; a limit that needs it is then refused by name.
  }
  return absl::OkStatus();
}

class V2Driver : public Driver {
 public:
  explicit V2Driver(std::shared_ptr<const V2Host> host)
      : host_(std::move(host)), enable_line_(EnableLine(host_->controllers)) {}

  Mode mode() const override { return Mode::kV2; }

  std::vector<std::string> controllers() const override {
    std::vector<std::string> names = host_->controllers;
    names.push_back("freezer");
    if (host_->devices) names.push_back("devices");
    std::sort(names.begin(), names.end());
    return names;
  }

  std::vector<Support> Enforceable() const override { return ListSupport(MakeProbe()); }
  std::vector<Unkept> Unenforceable(const Limits& limits) const override {
    return FindUnkept(MakeProbe(), limits);
  }

  absl::Status Check(const Limits& limits) const override {
    ASSIGN_OR_RETURN(auto settings, SettingsV2(limits, host_->page_sizes, HasBfq(limits)));
    return CheckControllersV2(*host_, settings, limits);
  }

  absl::StatusOr<std::unique_ptr<Group>> Create(const std::string& name,
                                                const Limits& limits) override {
    RETURN_IF_ERROR(CheckGroupName(name));
    ASSIGN_OR_RETURN(auto settings, SettingsV2(limits, host_->page_sizes, HasBfq(limits)));
    RETURN_IF_ERROR(CheckControllersV2(*host_, settings, limits));
    if (host_->fs->MakeGroup(host_->parent.get(), name.c_str()) != 0) {
      return MakeGroupError(errno, absl::StrCat(host_->path, "/", name));
    }
    std::string leaf = absl::StrCat(name, "/", kPayloadGroup);
    auto undo = absl::MakeCleanup([&] {
      host_->fs->RemoveGroup(host_->parent.get(), leaf.c_str());
      host_->fs->RemoveGroup(host_->parent.get(), name.c_str());
    });
    ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(host_->parent.get(), name, kDirectoryFlags));
    RETURN_IF_ERROR(Fill(dir.get(), InitialChanges(settings), limits.devices));
    ASSIGN_OR_RETURN(auto group, WrapV2Group(host_, name, std::move(dir)));
    std::move(undo).Cancel();
    return group;
  }

  absl::StatusOr<std::unique_ptr<Group>> Open(const std::string& name) override {
    RETURN_IF_ERROR(CheckGroupName(name));
    ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(host_->parent.get(), name, kDirectoryFlags));
    return WrapV2Group(host_, name, std::move(dir));
  }

  absl::StatusOr<std::vector<std::string>> List() override {
    return Subgroups(host_->parent.get());
  }

 private:
  // A look at every disk, for those alone who want a weight.
  bool HasBfq(const Limits& limits) const {
    return limits.block_weight.has_value() && HasBfqDisk(*host_->fs);
  }

  Probe MakeProbe() const {
    Probe probe;
    probe.fs = host_->fs.get();
    probe.has_controller = [host = host_](std::string_view controller) {
      return controller == "freezer" || host->Has(controller);
    };
    probe.has_file = [host = host_](std::string_view, std::string_view file) {
      return host->root_parent || MayHaveFile(host->parent.get(), std::string(file));
    };
    probe.device_programs = host_->devices;
    probe.unified_freezer = true;
    probe.pressure = faccessat(host_->parent.get(), "cpu.pressure", F_OK, 0) == 0;
    return probe;
  }

  absl::Status Fill(int dir, const std::vector<Change>& changes,
                    const std::vector<DeviceRule>& devices) const {
    // Before anything is in the group, because afterwards the "no internal processes" rule forbids
    // it. The leaf gets the controllers too, so that a payload can manage groups of its own.
    if (!enable_line_.empty()) {
      RETURN_IF_ERROR(WriteExistingAt(dir, "cgroup.subtree_control", enable_line_));
    }
    for (const Change& one : changes) {
      RETURN_IF_ERROR(WriteLimit(dir, one.file, one.Line(one.to), one.field));
    }
    if (!devices.empty()) {
      RETURN_IF_ERROR(Annotate(host_->fs->AttachDevices(dir, devices), "limits.devices"));
    }
    if (host_->fs->MakeGroup(dir, kPayloadGroup) != 0)
      return ErrnoStatus(errno, "make payload cgroup");
    return absl::OkStatus();
  }

  std::shared_ptr<const V2Host> host_;
  std::string enable_line_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Driver>> OpenV2Driver(const std::string& mount_path,
                                                     const std::string& parent,
                                                     std::shared_ptr<CgroupFs> fs) {
  ASSIGN_OR_RETURN(auto parents, ParentComponents(parent));
  auto host = std::make_shared<V2Host>();
  host->path = mount_path;
  ASSIGN_OR_RETURN(host->parent, OpenAt(AT_FDCWD, mount_path, O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(EnableControllers(host->parent.get(), host->path));
  for (const std::string& name : parents) {
    absl::StrAppend(&host->path, "/", name);
    ASSIGN_OR_RETURN(host->parent, MakeOrOpenGroup(*fs, host->parent.get(), name));
    RETURN_IF_ERROR(EnableControllers(host->parent.get(), host->path));
  }
  ASSIGN_OR_RETURN(std::string enabled, ReadFileAt(host->parent.get(), "cgroup.subtree_control"));
  host->controllers = ParseWords(enabled);
  host->root_parent = parents.empty();
  host->devices = fs->DeviceProgramsWork();
  if (host->Has("hugetlb")) host->page_sizes = HugePageSizes(*fs);
  host->fs = std::move(fs);
  return std::make_unique<V2Driver>(std::move(host));
}

}  // namespace noded::cgroup
