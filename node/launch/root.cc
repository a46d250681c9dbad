// The root file system.
#include "node/base/syscalls.h"
#include "node/launch/filesystem.h"
#include "node/launch/paths.h"

namespace noded::launch {

using node::shim::v1::LaunchPlan;

Context::Context(const node::v1::ContainerSpec& spec, const Inputs& inputs)
    : spec(spec), inputs(inputs), namespaces(ResolveNamespaces(spec.namespaces())) {
  for (const node::v1::Mount& mount : spec.mounts()) user_targets.insert(CleanPath(mount.target()));
}

bool Context::Hidden(std::string_view path) const {
  for (const std::string& target : user_targets) {
    if (IsAtOrBelow(path, target)) return true;
  }
  return false;
}

bool Context::TtyGroupMapped() const {
  constexpr uint64_t kTtyGroup = 5;
  if (!namespaces.private_user()) return true;
  for (const node::v1::IdMap& map : spec.namespaces().gid_maps()) {
    if (map.container_id() <= kTtyGroup && kTtyGroup - map.container_id() < map.size()) return true;
  }
  return false;
}

node::shim::v1::TreeSource* AddTree(LaunchPlan& plan, const std::string& path,
                                    std::string_view description) {
  node::shim::v1::Source* source = plan.add_sources();
  source->set_description(std::string(description));
  source->mutable_tree()->set_path(path);
  source->mutable_tree()->set_propagation(MS_PRIVATE);
  return source->mutable_tree();
}

node::shim::v1::AttachMount* AttachLast(LaunchPlan& plan, const std::string& target) {
  node::shim::v1::AttachMount* attach = plan.add_steps()->mutable_attach_mount();
  attach->set_source(plan.sources_size() - 1);
  attach->set_target(target);
  return attach;
}

namespace {

node::shim::v1::OverlaySource* AddOverlay(LaunchPlan& plan, const std::vector<std::string>& lowers,
                                          bool id_mapped, std::string_view description) {
  node::shim::v1::Source* source = plan.add_sources();
  source->set_description(std::string(description));
  node::shim::v1::OverlaySource* overlay = source->mutable_overlay();
  for (const std::string& lower : lowers) overlay->add_lower(lower);
  overlay->set_id_mapped(id_mapped);
  // Said though they are most kernels' defaults. With an index a lower directory that was replaced
  // meanwhile makes the mount fail (ESTALE); with metacopy or redirect_dir a crafted layer could
  // name another file's data or another directory.
  overlay->add_options("index=off");
  overlay->add_options("metacopy=off");
  overlay->add_options("redirect_dir=off");
  return overlay;
}

}  // namespace

void AddLayers(LaunchPlan& plan, const std::vector<std::string>& layers, bool id_mapped,
               std::string_view description) {
  // An overlay needs a second layer. Not recursive: an overlay would not show what is mounted
  // below either.
  if (layers.size() == 1) {
    AddTree(plan, layers[0], description)->set_id_mapped(id_mapped);
  } else {
    AddOverlay(plan, layers, id_mapped, description);
  }
}

void AddRoot(const Context& context, LaunchPlan& plan) {
  const Inputs& inputs = context.inputs;
  const bool id_mapped = context.namespaces.private_user();
  if (inputs.upper.empty()) {
    AddLayers(plan, inputs.lower, id_mapped, "root file system");
  } else {
    node::shim::v1::OverlaySource* overlay =
        AddOverlay(plan, inputs.lower, id_mapped, "root file system");
    overlay->set_upper(inputs.upper);
    overlay->set_work(inputs.work);
  }
  plan.add_steps()->mutable_attach_root()->set_source(plan.sources_size() - 1);
  // Without a writable layer the files are the host's own, which are never written: read-only
  // before anything looks for a mount point, so that a missing one is an error and not a new
  // directory on the host.
  if (inputs.upper.empty()) plan.add_steps()->mutable_read_only_root();
}

}  // namespace noded::launch
