// noded's side of one supervisor: starts it, asks it, hears its events. Protocol:
// proto/node/shim/v1/shim.proto.
#ifndef NODE_SHIM_CLIENT_H_
#define NODE_SHIM_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "node/base/pidfd.h"
#include "node/base/unique_fd.h"
#include "node/event_loop.h"
#include "node/shim/v1/shim.pb.h"

namespace noded {

// Thread-safe. Destroying it closes the connection; the supervisor lives on.
class ShimClient {
 public:
  struct Answer {
    node::shim::v1::Reply reply;  // never a Failure: that becomes the status
    std::vector<UniqueFd> fds;
  };
  using Answered = std::function<void(absl::StatusOr<Answer>)>;
  // Called on the loop's thread.
  struct Events {
    std::function<void(const node::shim::v1::ExitRecord&)> exited;
    std::function<void(const node::shim::v1::ExecState&)> exec_exited;
    std::function<void()> disconnected;  // the supervisor has ended or was killed
  };

  virtual ~ShimClient() = default;
  // Sends a request with borrowed descriptors. `answered` is called exactly once, on the loop's
  // thread: the answer, the failure as a status (DecodeFailure), DEADLINE_EXCEEDED after `timeout`,
  // or UNAVAILABLE (SUPERVISOR_LOST).
  virtual void Call(node::shim::v1::Request request, const std::vector<int>& fds,
                    absl::Duration timeout, Answered answered) = 0;
  // As Call for what is not answered, or whose answer nobody waits for. The end of the connection
  // tells when it was not taken.
  virtual void Tell(node::shim::v1::Request request, const std::vector<int>& fds) = 0;
};

// Name of a supervisor's socket in the directory of sockets: "<id>.sock".
std::string ShimSocketName(const std::string& id);

// A supervisor that has no container yet. It ends when the connection is closed.
struct SpawnedShim {
  Pidfd process;
  pid_t pid = 0;
  UniqueFd connection;
};
// posix_spawns `shim_path` with the connection; nothing else of noded's is inherited, signals are
// reset.
absl::StatusOr<SpawnedShim> SpawnShim(const std::string& shim_path);
// Speaks over a connection, of a spawned one.
absl::StatusOr<std::shared_ptr<ShimClient>> UseConnection(EventLoop* loop, UniqueFd connection,
                                                          ShimClient::Events events);
// What a supervisor is given of its container besides the plan, in the order of a Launch.
struct ContainerFds {
  UniqueFd listener;  // <state-dir>/shims/<id>.sock, where it is found again after a restart
  UniqueFd directory;
  UniqueFd log;  // the supervisor's own complaints
};
absl::StatusOr<ContainerFds> OpenContainerFds(const std::string& id, int sockets_dir,
                                              const std::string& directory);
// UNAVAILABLE: no supervisor listens there.
absl::StatusOr<std::shared_ptr<ShimClient>> ConnectShim(EventLoop* loop, int sockets_dir,
                                                        const std::string& id,
                                                        ShimClient::Events events);

// The one place that turns a child's report into a Status: code by step and errno (a missing binary
// is INVALID_ARGUMENT with COMMAND_NOT_FOUND, a missing mount source FAILED_PRECONDITION, …),
// message "mount \"/data\" at \"/mnt\": no such file or directory".
absl::Status DecodeFailure(const node::shim::v1::Failure& failure);

}  // namespace noded

#endif  // NODE_SHIM_CLIENT_H_
