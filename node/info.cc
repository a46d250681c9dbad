// GetInfo: what this node is and can do.
#include <fcntl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "node/base/file.h"
#include "node/base/string_view.h"
#include "node/engine_impl.h"

namespace noded {
namespace {

using node::v1::GetInfoResponse;

std::string OperatingSystem() {
  absl::StatusOr<std::string> release = ReadFileAt(AT_FDCWD, "/etc/os-release");
  if (!release.ok()) return "";
  for (absl::string_view line : absl::StrSplit(*release, '\n')) {
    if (!absl::ConsumePrefix(&line, "PRETTY_NAME=")) continue;
    absl::ConsumePrefix(&line, "\"");
    absl::ConsumeSuffix(&line, "\"");
    return std::string(line);
  }
  return "";
}

void AddMachine(GetInfoResponse& info) {
  utsname name{};
  uname(&name);
  info.set_kernel_version(name.release);
  info.set_architecture(name.machine);
  info.set_hostname(name.nodename);
  info.set_operating_system(OperatingSystem());
  info.set_cpus(static_cast<int32_t>(sysconf(_SC_NPROCESSORS_ONLN)));
  struct sysinfo memory {};
  sysinfo(&memory);
  info.set_memory_bytes(static_cast<int64_t>(memory.totalram) * memory.mem_unit);
}

void AddFeature(GetInfoResponse& info, const std::string& name, const std::string& why_not) {
  node::v1::Feature& feature = *info.add_features();
  feature.set_name(name);
  feature.set_available(why_not.empty());
  feature.set_reason(why_not);
}

std::string MissingFile(const char* path, const std::string& why_not) {
  return access(path, F_OK) == 0 ? "" : why_not;
}

void AddLimits(const cgroup::Driver& driver, GetInfoResponse& info) {
  for (const cgroup::Support& one : driver.Enforceable()) {
    AddFeature(info, one.field,
               one.enforceable ? "" : absl::StrCat(one.reason, "; what would help: ", one.remedy));
  }
}

void AddFeatures(const cgroup::Driver& driver, GetInfoResponse& info) {
  AddFeature(info, "seccomp",
             MissingFile("/proc/sys/kernel/seccomp/actions_avail",
                         "the kernel was built without seccomp filters"));
  AddFeature(info, "user_namespaces",
             MissingFile("/proc/self/ns/user", "the kernel was built without user namespaces"));
  AddLimits(driver, info);
  AddFeature(info, "update", "");
}

void Count(const std::vector<Snapshot>& all, node::v1::ContainerCounts& counts) {
  counts.set_total(static_cast<int32_t>(all.size()));
  for (const Snapshot& snapshot : all) {
    switch (snapshot->container().state()) {
      case node::v1::CONTAINER_STATE_RUNNING:
        counts.set_running(counts.running() + 1);
        break;
      case node::v1::CONTAINER_STATE_PAUSED:
        counts.set_paused(counts.paused() + 1);
        break;
      case node::v1::CONTAINER_STATE_CREATED:
        counts.set_created(counts.created() + 1);
        break;
      case node::v1::CONTAINER_STATE_EXITED:
        counts.set_exited(counts.exited() + 1);
        break;
      default:
        break;
    }
  }
}

}  // namespace

node::v1::GetInfoResponse EngineImpl::GetInfo() {
  GetInfoResponse info;
  info.set_version(options_.version);
  info.add_api_versions("node.v1");
  AddMachine(info);
  if (absl::StatusOr<std::shared_ptr<cgroup::Driver>> driver = DriverFor(options_.cgroup_parent);
      driver.ok()) {
    node::v1::CgroupInfo& cgroup = *info.mutable_cgroup();
    cgroup.set_mode(std::string(cgroup::ModeName((*driver)->mode())));
    cgroup.set_parent(options_.cgroup_parent);
    for (const std::string& name : (*driver)->controllers()) cgroup.add_controllers(name);
    AddFeatures(**driver, info);
  }
  Count(registry_->All(), *info.mutable_containers());
  info.set_root_directory(options_.root);
  info.set_state_directory(options_.state_dir);
  info.set_pid(getpid());
  info.set_revision(registry_->revision());
  info.set_boot_id(boot_id_);
  return info;
}

}  // namespace noded
