// What the user mounts, and the files that noded gives.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "node/base/syscalls.h"
#include "node/launch/filesystem.h"
#include "node/launch/paths.h"

namespace noded::launch {
namespace {

using node::shim::v1::LaunchPlan;

uint64_t PropagationFlag(node::v1::MountPropagation propagation) {
  switch (propagation) {
    case node::v1::MOUNT_PROPAGATION_SLAVE:
      return MS_SLAVE;
    case node::v1::MOUNT_PROPAGATION_SHARED:
      return MS_SHARED;
    default:
      return MS_PRIVATE;
  }
}

void AddBind(const Context& context, const node::v1::Mount& mount, LaunchPlan& plan) {
  const node::v1::BindMount& bind = mount.bind();
  node::shim::v1::TreeSource* tree = AddTree(plan, CleanPath(bind.source()), bind.source());
  tree->set_recursive(!bind.non_recursive());
  tree->set_id_mapped(context.namespaces.private_user());
  tree->set_propagation(PropagationFlag(bind.propagation()));
  node::shim::v1::AttachMount* attach = AttachLast(plan, CleanPath(mount.target()));
  if (mount.read_only()) {
    attach->set_attributes(MOUNT_ATTR_RDONLY);
    attach->set_recursive_attributes(bind.recursive_read_only());
  }
}

void AddVolume(const Context& context, const node::v1::Mount& mount, const std::string& directory,
               LaunchPlan& plan) {
  node::shim::v1::TreeSource* tree = AddTree(plan, directory, "volume " + mount.volume().name());
  tree->set_id_mapped(context.namespaces.private_user());
  tree->set_propagation(PropagationFlag(mount.volume().propagation()));
  node::shim::v1::AttachMount* attach = AttachLast(plan, CleanPath(mount.target()));
  if (mount.read_only()) attach->set_attributes(MOUNT_ATTR_RDONLY);
}

void AddImage(const Context& context, const node::v1::Mount& mount,
              const std::vector<std::string>& layers, LaunchPlan& plan) {
  AddLayers(plan, layers, context.namespaces.private_user(), "image " + mount.image().image());
  AttachLast(plan, CleanPath(mount.target()))->set_attributes(MOUNT_ATTR_RDONLY);
}

void AddTmpfs(const node::v1::Mount& mount, LaunchPlan& plan) {
  const node::v1::TmpfsMount& tmpfs = mount.tmpfs();
  node::shim::v1::NewMount* step = plan.add_steps()->mutable_new_mount();
  step->set_type("tmpfs");
  step->set_source("tmpfs");
  step->set_target(CleanPath(mount.target()));
  step->add_options(absl::StrFormat("mode=%04o", tmpfs.has_mode() ? tmpfs.mode() : 01777));
  if (tmpfs.has_size_bytes()) step->add_options(absl::StrCat("size=", tmpfs.size_bytes()));
  uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (!tmpfs.exec()) attributes |= MOUNT_ATTR_NOEXEC;
  if (mount.read_only()) attributes |= MOUNT_ATTR_RDONLY;
  step->set_attributes(attributes);
}

}  // namespace

void AddGivenFiles(const Context& context, LaunchPlan& plan) {
  const Inputs& inputs = context.inputs;
  const std::pair<const std::string&, const char*> files[] = {
      {inputs.hosts_file, "/etc/hosts"},
      {inputs.resolv_conf_file, "/etc/resolv.conf"},
      {inputs.hostname_file, "/etc/hostname"}};
  for (const auto& [host_path, target] : files) {
    if (host_path.empty() || context.Hidden(target)) continue;
    AddTree(plan, host_path, target)->set_id_mapped(context.namespaces.private_user());
    node::shim::v1::AttachMount* attach = AttachLast(plan, target);
    // Nothing of a read-only root is to be written.
    if (context.spec.root().read_only()) attach->set_attributes(MOUNT_ATTR_RDONLY);
  }
}

void AddUserMounts(const Context& context, LaunchPlan& plan) {
  for (int i = 0; i < context.spec.mounts_size(); ++i) {
    const node::v1::Mount& mount = context.spec.mounts(i);
    if (mount.has_bind()) AddBind(context, mount, plan);
    if (mount.has_tmpfs()) AddTmpfs(mount, plan);
    const auto layers = context.inputs.mount_layers.find(i);
    if (layers == context.inputs.mount_layers.end()) continue;
    if (mount.has_volume()) AddVolume(context, mount, layers->second.front(), plan);
    if (mount.has_image()) AddImage(context, mount, layers->second, plan);
  }
}

}  // namespace noded::launch
