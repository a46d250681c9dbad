#include "node/launch/plan.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "node/base/status.h"
#include "node/base/syscalls.h"
#include "node/launch/filesystem.h"
#include "node/launch/paths.h"
#include "node/launch/process.h"

namespace noded::launch {
namespace {

using node::shim::v1::LaunchPlan;

constexpr uint32_t kVersion = 1;
constexpr size_t kShortIdDigits = 12;
constexpr int64_t kDefaultLogFileBytes = 16 << 20;
constexpr int32_t kDefaultLogFiles = 5;

bool IsPrivate(node::v1::NamespaceMode mode) { return mode == node::v1::NAMESPACE_MODE_PRIVATE; }

// What hostname(1) says inside, as far as it is known.
std::string Hostname(const Context& context) {
  if (!context.spec.hostname().empty()) return context.spec.hostname();
  if (IsPrivate(context.namespaces.uts)) return context.inputs.id.substr(0, kShortIdDigits);
  return context.inputs.hostname;
}

void AddIdMaps(const node::v1::Namespaces& namespaces, LaunchPlan& plan) {
  auto copy = [](const node::v1::IdMap& map, node::shim::v1::IdRange* range) {
    range->set_container_id(map.container_id());
    range->set_host_id(map.host_id());
    range->set_size(map.size());
  };
  for (const node::v1::IdMap& map : namespaces.uid_maps()) copy(map, plan.add_uid_maps());
  for (const node::v1::IdMap& map : namespaces.gid_maps()) copy(map, plan.add_gid_maps());
}

// The engine opens the namespaces of other containers; one that the spec names and that is not
// there would quietly be the host's.
absl::Status AddJoins(const Context& context, LaunchPlan& plan) {
  uint64_t given = 0;
  for (const Inputs::Join& join : context.inputs.join) {
    if (join.type == CLONE_NEWNS) continue;  // only looked into, for /dev/shm
    given |= join.type;
    node::shim::v1::JoinNamespace* out = plan.add_join();
    out->set_type(join.type);
    out->set_fd_index(join.fd_index);
    out->set_description(join.description);
  }
  const NamespaceModes& modes = context.namespaces;
  const std::pair<node::v1::NamespaceMode, uint64_t> wanted[] = {{modes.pid, CLONE_NEWPID},
                                                                 {modes.network, CLONE_NEWNET},
                                                                 {modes.ipc, CLONE_NEWIPC},
                                                                 {modes.uts, CLONE_NEWUTS}};
  for (const auto& [mode, type] : wanted) {
    if ((mode == node::v1::NAMESPACE_MODE_CONTAINER) == ((given & type) != 0)) continue;
    return absl::InternalError(
        absl::StrCat("compile launch plan: namespaces to join differ from the spec's (type ",
                     absl::Hex(type), ")"));
  }
  return absl::OkStatus();
}

void AddNames(const Context& context, LaunchPlan& plan) {
  if (IsPrivate(context.namespaces.uts)) plan.add_steps()->set_set_hostname(Hostname(context));
  // In the order of their names: a map has none.
  std::map<std::string, std::string> sysctls(context.spec.sysctls().begin(),
                                             context.spec.sysctls().end());
  for (const auto& [name, value] : sysctls) {
    node::shim::v1::Sysctl* step = plan.add_steps()->mutable_sysctl();
    // As sysctl(8): "net.ipv4.conf.eth0/1.forwarding" is interface eth0.1.
    step->set_path(absl::StrReplaceAll(name, {{".", "/"}, {"/", "."}}));
    step->set_value(value);
  }
}

void CompileSteps(const Context& context, LaunchPlan& plan) {
  // First of all: from here on nothing that is mounted reaches the host, and what is attached later
  // keeps the propagation it was asked for.
  plan.add_steps()->mutable_make_mounts_private();
  // Before the cgroup view is mounted, because its root is the cgroup namespace of who mounts it;
  // and by init itself, which by now is in its own group.
  if (IsPrivate(context.namespaces.cgroup)) plan.add_steps()->mutable_new_cgroup_namespace();
  AddRoot(context, plan);
  // Before pivot: in a user namespace the kernel lets proc and sysfs be mounted only while a whole
  // one is visible, and the host's is gone after it.
  AddDefaultMounts(context, plan);
  AddDevices(context, plan);
  AddGivenFiles(context, plan);
  // After ours, so that the user's may lie in /dev, /etc, /proc and /sys.
  AddUserMounts(context, plan);
  if (context.spec.root().read_only() && !context.inputs.upper.empty()) {
    // The last chance to make the working directory, which the user cannot be known to own yet;
    // then, with all mount points made in the writable layer, the root is closed.
    node::shim::v1::MakeDirectory* directory = plan.add_steps()->mutable_make_directory();
    directory->set_path(plan.process().working_directory());
    directory->set_mode(0755);
    plan.add_steps()->mutable_read_only_root();
  }
  plan.add_steps()->mutable_pivot();
  // Before the masks, which make /proc/sys read-only.
  AddNames(context, plan);
  // After the sysctls, so that those of lo are in force when it comes up.
  if (IsPrivate(context.namespaces.network)) plan.add_steps()->mutable_loopback_up();
  // After pivot, so that a mask lies over whatever the mounts have put there, and its path can lead
  // nowhere but inside.
  AddMasks(context, plan);
}

void CompileLog(const node::v1::LogOptions& options, node::shim::v1::LogPlan* plan) {
  plan->set_max_file_bytes(options.has_max_file_bytes() ? options.max_file_bytes()
                                                        : kDefaultLogFileBytes);
  plan->set_max_files(options.has_max_files() ? options.max_files() : kDefaultLogFiles);
  plan->set_block_when_full(options.full_policy() == node::v1::LOG_FULL_POLICY_BLOCK);
}

}  // namespace

absl::StatusOr<LaunchPlan> CompileLaunchPlan(const node::v1::ContainerSpec& spec,
                                             const Inputs& inputs) {
  Context context(spec, inputs);
  LaunchPlan plan;
  plan.set_version(kVersion);
  plan.set_container_id(inputs.id);
  plan.set_clone_flags(CloneFlags(context.namespaces));
  RETURN_IF_ERROR(AddJoins(context, plan));
  AddIdMaps(spec.namespaces(), plan);
  ASSIGN_OR_RETURN(*plan.mutable_process(), CompileProcess(spec, Hostname(context), inputs.host));
  CompileSteps(context, plan);
  plan.set_reaper(spec.init());
  CompileLog(spec.log(), plan.mutable_log());
  plan.set_stdin_open(spec.process().stdin());
  plan.set_stdin_once(spec.process().stdin_once());
  return plan;
}

absl::StatusOr<node::shim::v1::ExecPlan> CompileExecPlan(const node::v1::ContainerSpec& spec,
                                                         const node::v1::Process& process,
                                                         const std::string& exec_id, bool detached,
                                                         const HostFacts& host,
                                                         const std::string& hostname) {
  node::v1::ContainerSpec executed = spec;
  *executed.mutable_process() = OverlayProcess(spec.process(), process);
  node::shim::v1::ExecPlan plan;
  plan.set_version(kVersion);
  plan.set_exec_id(exec_id);
  plan.set_join_flags(ExecJoinFlags(ResolveNamespaces(spec.namespaces())));
  ASSIGN_OR_RETURN(
      *plan.mutable_process(),
      CompileProcess(executed, spec.hostname().empty() ? hostname : spec.hostname(), host));
  plan.set_detached(detached);
  return plan;
}

}  // namespace noded::launch
