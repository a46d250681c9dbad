#include "node/launch_inputs.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/host.h"
#include "node/random_id.h"
#include "node/root_files.h"
#include "node/storage.h"

namespace noded {
namespace {

using node::state::v1::ContainerRecord;
using node::v1::ContainerSpec;
using node::v1::Namespace;
using node::v1::NAMESPACE_MODE_CONTAINER;
using node::v1::NAMESPACE_MODE_HOST;

// Before those of a Launch message are the plan and the container's.
constexpr uint32_t kFirstJoined = 4;

struct Joinable {
  uint64_t type;
  const char* file;  // in /proc/PID/ns
  const char* word;
};
constexpr Joinable kPid = {CLONE_NEWPID, "pid", "pid"};
constexpr Joinable kNetwork = {CLONE_NEWNET, "net", "network"};
constexpr Joinable kIpc = {CLONE_NEWIPC, "ipc", "ipc"};
constexpr Joinable kUts = {CLONE_NEWUTS, "uts", "uts"};
constexpr Joinable kMount = {CLONE_NEWNS, "mnt", "mount"};

absl::StatusOr<UniqueFd> OpenNamespace(EngineImpl* engine, const Snapshot& target,
                                       const Joinable& joinable) {
  const node::v1::Container& container = target->container();
  std::shared_ptr<const Pidfd> init = engine->RuntimeOf(container.id())->Init();
  if (HasProcess(container.state()) && init != nullptr) {
    absl::StatusOr<UniqueFd> fd =
        OpenAt(AT_FDCWD, absl::StrCat("/proc/", container.pid(), "/ns/", joinable.file), O_RDONLY);
    // Looked at after the open: while the process that we hold lives, its number is its own.
    if (fd.ok() && !init->Ended()) return fd;
  }
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat("join ", joinable.word, " namespace of ",
                                                 container.name(), ": it is not running")),
      reason::kWrongState);
}

absl::Status Join(EngineImpl* engine, const Namespace& wanted, const Joinable& joinable,
                  LaunchInputs& out) {
  if (wanted.mode() != NAMESPACE_MODE_CONTAINER) return absl::OkStatus();
  absl::StatusOr<Snapshot> target = engine->registry()->Find(wanted.container());
  if (!target.ok()) {
    return Annotate(target.status(), absl::StrCat("join ", joinable.word, " namespace"));
  }
  ASSIGN_OR_RETURN(UniqueFd fd, OpenNamespace(engine, *target, joinable));
  out.inputs.join.push_back(
      {joinable.type, kFirstJoined + static_cast<uint32_t>(out.joined.size()),
       absl::StrCat(joinable.word, " namespace of ", (*target)->container().name())});
  out.joined.push_back(std::move(fd));
  return absl::OkStatus();
}

std::string HostHostname() {
  char name[256] = {};
  gethostname(name, sizeof(name) - 1);
  return name;
}

}  // namespace

std::string HostnameInside(EngineImpl* engine, const ContainerSpec& spec, const std::string& id) {
  const Namespace& uts = spec.namespaces().uts();
  if (uts.mode() == NAMESPACE_MODE_HOST) return HostHostname();
  if (uts.mode() == NAMESPACE_MODE_CONTAINER) {
    absl::StatusOr<Snapshot> target = engine->registry()->Find(uts.container());
    // One container's name space may be another's again, but not in a circle: each must have been
    // running before the next.
    if (target.ok()) {
      const node::v1::Container& other = (*target)->container();
      return HostnameInside(engine, other.spec(), other.id());
    }
  }
  return spec.hostname().empty() ? ShortId(id) : spec.hostname();
}

std::string SharedEtcOf(EngineImpl* engine, const ContainerSpec& spec) {
  const Namespace& network = spec.namespaces().network();
  if (network.mode() != NAMESPACE_MODE_CONTAINER) return "";
  absl::StatusOr<Snapshot> target = engine->registry()->Find(network.container());
  if (!target.ok()) return "";
  return RootFiles(engine->store()->ContainerDirectory((*target)->container().id())).etc;
}

absl::StatusOr<LaunchInputs> ResolveLaunchInputs(EngineImpl* engine,
                                                 const ContainerRecord& record) {
  const ContainerSpec& spec = record.container().spec();
  const std::string& id = record.container().id();
  LaunchInputs out;
  RootFiles files(engine->store()->ContainerDirectory(id));
  launch::Inputs& inputs = out.inputs;
  inputs.id = id;
  if (spec.root().has_host_directory()) inputs.lower = {spec.root().host_directory()};
  RETURN_IF_ERROR(engine->images_and_volumes()->FindLayers(record, inputs));
  inputs.upper = files.upper;
  inputs.work = files.work;
  inputs.hosts_file = files.hosts;
  inputs.resolv_conf_file = files.resolv_conf;
  inputs.hostname_file = files.hostname;
  inputs.hostname = HostnameInside(engine, spec, id);
  inputs.host = engine->host();
  ASSIGN_OR_RETURN(inputs.devices, ResolveDevices(spec));
  ASSIGN_OR_RETURN(inputs.block_devices, ResolveBlockDevices(spec.limits()));
  const node::v1::Namespaces& namespaces = spec.namespaces();
  RETURN_IF_ERROR(Join(engine, namespaces.pid(), kPid, out));
  RETURN_IF_ERROR(Join(engine, namespaces.network(), kNetwork, out));
  RETURN_IF_ERROR(Join(engine, namespaces.ipc(), kIpc, out));
  // With the other's System V ipc goes its /dev/shm, which is a mount of its mount namespace.
  RETURN_IF_ERROR(Join(engine, namespaces.ipc(), kMount, out));
  RETURN_IF_ERROR(Join(engine, namespaces.uts(), kUts, out));
  return out;
}

}  // namespace noded
