// Paths of /proc and /sys that tell about the host or change it: Docker's lists.
#include <array>

#include "node/launch/filesystem.h"
#include "node/launch/paths.h"

namespace noded::launch {
namespace {

using node::shim::v1::LaunchPlan;

constexpr std::array<const char*, 12> kMasked = {
    "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
constexpr std::array<const char*, 5> kReadOnly = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                                  "/proc/sysrq-trigger"};

// Whether the hierarchies of cgroup v1 stand on a tmpfs, which had to stay writable for their mount
// points.
bool CgroupsOnTmpfs(const Context& context) {
  const std::vector<CgroupMount>& mounts = context.inputs.host.cgroup_mounts;
  if (mounts.empty() || context.Hidden("/sys/fs/cgroup")) return false;
  return mounts.size() > 1 || mounts[0].target != "/sys/fs/cgroup";
}

}  // namespace

void AddMasks(const Context& context, LaunchPlan& plan) {
  const node::v1::Security& security = context.spec.security();
  const bool protect = !security.privileged() && !security.unmask_system_paths();
  // Read-only paths first: making one read-only binds it over itself, which would bring a masked
  // path below it back.
  if (!security.privileged() && CgroupsOnTmpfs(context)) {
    plan.add_steps()->set_read_only_path("/sys/fs/cgroup");
  }
  if (protect) {
    for (const char* path : kReadOnly) plan.add_steps()->set_read_only_path(path);
  }
  for (const std::string& path : security.read_only_paths()) {
    plan.add_steps()->set_read_only_path(CleanPath(path));
  }
  if (protect) {
    for (const char* path : kMasked) plan.add_steps()->set_mask_path(path);
  }
  for (const std::string& path : security.masked_paths()) {
    plan.add_steps()->set_mask_path(CleanPath(path));
  }
}

}  // namespace noded::launch
