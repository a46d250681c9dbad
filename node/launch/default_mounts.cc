// What every container finds mounted: Docker's set.
#include <initializer_list>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "node/base/syscalls.h"
#include "node/launch/filesystem.h"
#include "node/launch/paths.h"

namespace noded::launch {
namespace {

using node::shim::v1::LaunchPlan;
using node::shim::v1::NewMount;

constexpr uint64_t kNoSuidDevExec = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
constexpr char kCgroupRoot[] = "/sys/fs/cgroup";

bool IsHost(node::v1::NamespaceMode mode) { return mode == node::v1::NAMESPACE_MODE_HOST; }
bool IsPrivate(node::v1::NamespaceMode mode) { return mode == node::v1::NAMESPACE_MODE_PRIVATE; }

NewMount* AddMount(LaunchPlan& plan, const std::string& type, const std::string& target,
                   uint64_t attributes, std::initializer_list<const char*> options = {}) {
  NewMount* mount = plan.add_steps()->mutable_new_mount();
  mount->set_type(type);
  mount->set_source(type);
  mount->set_target(target);
  mount->set_attributes(attributes);
  for (const char* option : options) mount->add_options(option);
  return mount;
}

// A part of the host's tree with all below it. Not id-mapped: proc and sysfs cannot be.
void BindHost(LaunchPlan& plan, const std::string& path, uint64_t attributes) {
  AddTree(plan, path, path)->set_recursive(true);
  node::shim::v1::AttachMount* attach = AttachLast(plan, path);
  attach->set_attributes(attributes);
  attach->set_recursive_attributes(true);
}

void AddProc(const Context& context, LaunchPlan& plan) {
  if (context.namespaces.private_user() && !IsPrivate(context.namespaces.pid)) {
    // Only the owner of a pid namespace may mount its proc, and here that is another user namespace
    // (EPERM).
    BindHost(plan, "/proc", kNoSuidDevExec);
    return;
  }
  AddMount(plan, "proc", "/proc", kNoSuidDevExec);
}

void AddSharedMemory(const Context& context, LaunchPlan& plan) {
  if (IsHost(context.namespaces.ipc)) {
    BindHost(plan, "/dev/shm", kNoSuidDevExec);
    return;
  }
  for (const Inputs::Join& join : context.inputs.join) {
    if (join.type != CLONE_NEWNS) continue;
    // The other container's POSIX shared memory: a clone of its own /dev/shm.
    AddTree(plan, "/dev/shm", "/dev/shm of the other container")
        ->set_mount_namespace(join.fd_index);
    AttachLast(plan, "/dev/shm")->set_attributes(kNoSuidDevExec);
    return;
  }
  AddMount(plan, "tmpfs", "/dev/shm", kNoSuidDevExec, {"mode=1777", "size=65536k"})
      ->set_source("shm");
}

void AddDev(const Context& context, LaunchPlan& plan) {
  if (context.Hidden("/dev")) return;
  AddMount(plan, "tmpfs", "/dev", MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME,
           {"mode=755", "size=65536k"});
  if (!context.Hidden("/dev/pts")) {
    NewMount* pts = AddMount(plan, "devpts", "/dev/pts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
                             {"newinstance", "ptmxmode=0666", "mode=0620"});
    // An id that is not mapped is EINVAL.
    if (context.TtyGroupMapped()) pts->add_options("gid=5");
  }
  if (!context.Hidden("/dev/shm")) AddSharedMemory(context, plan);
  // One file system per ipc namespace, so with the host's this is the host's own. Only the
  // namespace's owner may mount it; without it the message queues still work, they only cannot be
  // listed.
  bool owns_ipc = IsPrivate(context.namespaces.ipc) || !context.namespaces.private_user();
  if (owns_ipc && !context.Hidden("/dev/mqueue")) {
    AddMount(plan, "mqueue", "/dev/mqueue", kNoSuidDevExec);
  }
}

// "cpu,cpuacct" is found under each of its names.
void AddControllerSymlinks(const CgroupMount& mount, LaunchPlan& plan) {
  std::vector<std::string> names = absl::StrSplit(mount.options, ',');
  if (names.size() < 2) return;
  std::string directory = mount.target.substr(mount.target.rfind('/') + 1);
  for (const std::string& name : names) {
    if (name == directory || absl::StrContains(name, '=') || name == "none") continue;
    node::shim::v1::MakeSymlink* link = plan.add_steps()->mutable_make_symlink();
    link->set_path(std::string(kCgroupRoot) + "/" + name);
    link->set_target(directory);
  }
}

// All optional: a kernel or host that refuses them takes only the view away, not the limits.
void AddCgroups(const Context& context, LaunchPlan& plan) {
  const std::vector<CgroupMount>& mounts = context.inputs.host.cgroup_mounts;
  if (mounts.empty() || context.Hidden(kCgroupRoot)) return;
  const uint64_t read_only = context.spec.security().privileged() ? 0 : MOUNT_ATTR_RDONLY;
  bool unified = mounts.size() == 1 && mounts[0].target == kCgroupRoot;
  if (!unified) {
    // sysfs takes no directories, so the hierarchies of v1 stand on a tmpfs. It becomes read-only
    // later, once they do.
    AddMount(plan, "tmpfs", kCgroupRoot, kNoSuidDevExec, {"mode=755"})->set_optional(true);
  }
  for (const CgroupMount& one : mounts) {
    if (context.Hidden(one.target)) continue;
    NewMount* mount = AddMount(plan, one.type, one.target, kNoSuidDevExec | read_only);
    mount->set_optional(true);
    for (const auto& option : absl::StrSplit(one.options, ',', absl::SkipEmpty())) {
      mount->add_options(std::string(option));
    }
    AddControllerSymlinks(one, plan);
  }
}

void AddSys(const Context& context, LaunchPlan& plan) {
  if (context.Hidden("/sys")) return;
  const uint64_t read_only = context.spec.security().privileged() ? 0 : MOUNT_ATTR_RDONLY;
  if (context.namespaces.private_user() && !IsPrivate(context.namespaces.network)) {
    // sysfs belongs to the network namespace's owner, which here is another user namespace (EPERM).
    BindHost(plan, "/sys", kNoSuidDevExec | MOUNT_ATTR_RDONLY);
  } else {
    AddMount(plan, "sysfs", "/sys", kNoSuidDevExec | read_only);
  }
  AddCgroups(context, plan);
}

}  // namespace

void AddDefaultMounts(const Context& context, LaunchPlan& plan) {
  AddProc(context, plan);
  AddDev(context, plan);
  AddSys(context, plan);
}

}  // namespace noded::launch
