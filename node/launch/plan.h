// Compiles a container's spec into the launch plan that its supervisor interprets. Pure: no system
// calls, so a unit test reads a plan as a value and a dry run prints it. Thread-safe. Everything
// that can be refused is refused here, all violations at once; what only the kernel or the
// container's files can tell is left to the supervisor.
#ifndef NODE_LAUNCH_PLAN_H_
#define NODE_LAUNCH_PLAN_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cgroup/limits.h"
#include "node/shim/v1/plan.pb.h"
#include "node/v1/container.pb.h"
#include "node/v1/container_service.pb.h"

namespace noded::launch {

// One file system that shows the cgroup tree inside.
struct CgroupMount {
  std::string type;     // "cgroup" or "cgroup2"
  std::string target;   // "/sys/fs/cgroup/memory"
  std::string options;  // "memory", "cpu,cpuacct", "none,name=systemd"; empty for cgroup2
};

// What the host is; read once at start by the engine.
struct HostFacts {
  std::vector<CgroupMount> cgroup_mounts;
  uint64_t own_capabilities = 0;  // the daemon's permitted set: what may be granted
  int last_capability = 40;       // /proc/sys/kernel/cap_last_cap
  // RLIMIT_NOFILE of a process whose spec has none, because the daemon has raised its own and
  // programs that close or select(2) all that they may have suffer from a large one. Both 0:
  // what is inherited.
  uint64_t open_files_soft = 0, open_files_hard = 0;
};

// A device of the host, looked up by the engine (the plan makes no system calls).
struct ResolvedDevice {
  std::string container_path;
  uint32_t mode = 0;  // S_IFCHR or S_IFBLK, and permissions
  uint32_t major = 0, minor = 0;
  uint32_t uid = 0, gid = 0;
  std::string permissions;  // "rwm"
  std::string host_path;    // bound instead of made in a user namespace (mknod there is EPERM)
};

// A whole disk whose rate is limited.
struct BlockDevice {
  uint32_t major = 0, minor = 0;
};

// Everything about one container that is not in its spec. Paths are absolute host paths prepared by
// the engine.
struct Inputs {
  std::string id;
  std::vector<std::string>
      lower;                // root file system layers, topmost first; one for a host directory
  std::string upper, work;  // empty: read-only root
  std::string hosts_file, resolv_conf_file, hostname_file;  // bound at /etc; empty: not
  // What HOSTNAME says when the UTS namespace is the host's or another container's; empty: it is
  // left out.
  std::string hostname;
  // By index of spec.mounts, for volumes and images: the volume's directory, or the image's layers,
  // topmost first.
  std::map<int, std::vector<std::string>> mount_layers;
  std::vector<ResolvedDevice> devices;
  std::vector<BlockDevice> block_devices;  // of limits.block_io
  // For each namespace of mode CONTAINER, in the order pid, network, ipc, uts: the descriptor's
  // index in Launch. With ipc also one of type CLONE_NEWNS, the other container's mount namespace,
  // from which /dev/shm is taken; without it the container gets a /dev/shm of its own.
  struct Join {
    uint64_t type;  // CLONE_NEW*
    uint32_t fd_index;
    std::string description;
  };
  std::vector<Join> join;
  HostFacts host;
};

// Every rule of the spec that needs no system call; field paths begin with "spec.". Also those for
// features not served yet, which are refused (never silently dropped). A command may be missing
// when the root is an image's. OK, or INVALID_ARGUMENT with all violations.
absl::Status ValidateSpec(const node::v1::ContainerSpec& spec);
// As ValidateSpec for an exec's process; field paths begin with `prefix` ("start.process").
absl::Status ValidateProcess(const node::v1::Process& process, const std::string& prefix);

// The spec after an Update: what `clear` names is taken away, then `limits` and `devices` are set
// over what is there. INVALID_ARGUMENT with all violations, by the fields of the request.
absl::StatusOr<node::v1::ContainerSpec> ApplyUpdate(const node::v1::ContainerSpec& spec,
                                                    const node::v1::UpdateRequest& request);
// Violations of the spec's fields by their names in an UpdateRequest.
absl::Status InUpdateRequest(const absl::Status& status);

// REQUIRES: ApplyImageConfig(…, spec).ok().
absl::StatusOr<node::shim::v1::LaunchPlan> CompileLaunchPlan(const node::v1::ContainerSpec& spec,
                                                             const Inputs& inputs);
// A process run in a container made from `spec`: its environment, user, capabilities and filter are
// those of the container unless `process` says otherwise, its working directory and resource limits
// too. `hostname` is what HOSTNAME says when the spec gives no hostname. REQUIRES: both are valid.
absl::StatusOr<node::shim::v1::ExecPlan> CompileExecPlan(const node::v1::ContainerSpec& spec,
                                                         const node::v1::Process& process,
                                                         const std::string& exec_id, bool detached,
                                                         const HostFacts& host,
                                                         const std::string& hostname = "");

// The spec's limits and devices (default nodes included) as the cgroup room takes them.
// `block_devices` are those that spec.limits.block_io.devices name, in the same order.
cgroup::Limits CompileLimits(const node::v1::ContainerSpec& spec,
                             const std::vector<ResolvedDevice>& devices,
                             const std::vector<BlockDevice>& block_devices = {});

// "SIGTERM", "TERM" or "15" → 15. INVALID_ARGUMENT names the field.
absl::StatusOr<int> ParseSignal(const std::string& text, const std::string& field);

// Docker's seccomp JSON → BPF for this machine, with includes/excludes evaluated against
// `capabilities`. INVALID_ARGUMENT names `field` and the place in the JSON. Returns struct
// sock_filter as bytes, as in ProcessPlan.seccomp_filter.
absl::StatusOr<std::string> CompileSeccomp(const std::string& json, uint64_t capabilities,
                                           const std::string& field);

}  // namespace noded::launch

#endif  // NODE_LAUNCH_PLAN_H_
