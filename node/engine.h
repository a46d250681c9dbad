// The engine: every use case of the API over real containers. server/ calls it and knows nothing of
// how.
#ifndef NODE_ENGINE_H_
#define NODE_ENGINE_H_

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "node/start_phases.h"
#include "node/storage_engine.h"
#include "node/streams.h"
#include "node/v1/container_service.pb.h"
#include "node/v1/node_service.pb.h"

namespace noded {

struct EngineOptions {
  std::string root = "/var/lib/noded";   // persistent state
  std::string state_dir = "/run/noded";  // sockets; may be lost with a reboot
  std::string shim_path;                 // empty: node-shim beside this executable
  std::string cgroup_parent = "/noded";
  std::string cgroup_driver = "auto";  // auto, v1, v2
  // Called with each supervisor once it was started and before it is used, on any thread: puts it
  // where it shall live (SystemdScope::Enter). May be empty; may block.
  std::function<absl::Status(pid_t supervisor)> place_supervisor;
  std::string version;
  // Soft limit of open files that containers begin with: what this process had before it raised its
  // own. 0: its own.
  uint64_t open_files = 0;
  absl::Duration start_timeout = absl::Seconds(60);  // for one launch or exec to reach exec
  // Zero: containers are sampled only while a Stats stream asks; else also in the background, that
  // often.
  absl::Duration sample_interval = absl::ZeroDuration();
  // Tells whom the OOM killer took; empty, or one that cannot be read: nobody is named.
  std::string kernel_log = "/dev/kmsg";
  bool pressure = true;  // samples have PSI, a quarter of their cost
  // Of image references that name none.
  std::string default_registry = "docker.io";
  // Mirrors and plain-http registries, one rule each (rootfs/registry/hosts.h).
  std::vector<std::string> registry_rules;
  std::string registry_credentials;  // a config.json; empty: none
  // Above this share of the disk in use, a pull first removes images without a name.
  int image_disk_high_percent = 90;
  // What one layer may unpack to.
  int64_t max_layer_bytes = int64_t{64} << 30;
  int64_t max_layer_entries = 4 << 20;
  // Told, a line at a time and on any thread, what happened that no caller is told: a supervisor
  // was lost, something was left behind. May be empty.
  std::function<void(const std::string& line)> report;
};

// A container's last sample, for who must not cause a new one.
struct LastSample {
  std::string id, name;
  std::shared_ptr<const node::v1::StatsSample> sample;
};

// Thread-safe. Nothing here blocks the caller but for memory. A callback is called exactly once, on
// any thread, possibly before the call returns. An operation that was begun is finished whether or
// not its caller still waits.
class Engine {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;

  // Takes the root's lock, loads the registry, finds running supervisors again, finishes or undoes
  // what a crash left half done. Returns when that is over (time in proportion to the number of
  // containers, all in parallel).
  static absl::StatusOr<std::unique_ptr<Engine>> Open(const EngineOptions& options);
  // Containers and supervisors go on.
  virtual ~Engine() = default;

  virtual void RunContainer(node::v1::RunContainerRequest request,
                            Done<node::v1::RunContainerResponse> done) = 0;
  virtual void CreateContainer(node::v1::CreateContainerRequest request,
                               Done<node::v1::CreateContainerResponse> done) = 0;
  virtual void Start(node::v1::StartRequest request, Done<node::v1::StartResponse> done) = 0;
  virtual void Stop(node::v1::StopRequest request, Done<node::v1::StopResponse> done) = 0;
  virtual void Kill(node::v1::KillRequest request, Done<node::v1::KillResponse> done) = 0;
  virtual void Pause(node::v1::PauseRequest request, Done<node::v1::PauseResponse> done) = 0;
  virtual void Resume(node::v1::ResumeRequest request, Done<node::v1::ResumeResponse> done) = 0;
  virtual void Update(node::v1::UpdateRequest request, Done<node::v1::UpdateResponse> done) = 0;
  virtual void Remove(node::v1::RemoveRequest request, Done<node::v1::RemoveResponse> done) = 0;
  // The returned function gives up waiting: `done` is then called with CANCELLED unless it was
  // called already.
  virtual std::function<void()> Wait(node::v1::WaitRequest request,
                                     Done<node::v1::WaitResponse> done) = 0;
  virtual void Top(node::v1::TopRequest request, Done<node::v1::TopResponse> done) = 0;

  // From memory, at once.
  virtual absl::StatusOr<node::v1::GetResponse> Get(const node::v1::GetRequest& request) = 0;
  virtual absl::StatusOr<node::v1::ListResponse> List(const node::v1::ListRequest& request) = 0;
  virtual node::v1::GetInfoResponse GetInfo() = 0;
  // How many containers are in each state; states without one may be missing.
  using StateCounts = std::map<node::v1::ContainerState, int64_t>;
  virtual StateCounts CountStates() = 0;
  // Lives as long as the engine.
  virtual StorageEngine* storage() = 0;
  // Of all starts since Open; lives as long as the engine.
  virtual const StartPhases& StartDurations() = 0;

  // The first message sent must be `start`; errors come by Next.
  using ExecStream = DuplexStream<node::v1::ExecRequest, node::v1::ExecResponse>;
  using AttachStream = DuplexStream<node::v1::AttachRequest, node::v1::AttachResponse>;
  virtual std::shared_ptr<ExecStream> Exec() = 0;
  virtual std::shared_ptr<AttachStream> Attach() = 0;
  virtual absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::LogsResponse>>> Logs(
      const node::v1::LogsRequest& request) = 0;
  virtual absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::StatsResponse>>> Stats(
      const node::v1::StatsRequest& request) = 0;
  // From memory, at once. Only containers that were sampled in their present run.
  virtual std::vector<LastSample> LastSamples() = 0;
  virtual absl::StatusOr<std::shared_ptr<ResponseStream<node::v1::WatchResponse>>> Watch(
      const node::v1::WatchRequest& request) = 0;
};

}  // namespace noded

#endif  // NODE_ENGINE_H_
