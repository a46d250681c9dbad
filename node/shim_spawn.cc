#include <fcntl.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/socket.h"
#include "node/base/spawn.h"
#include "node/base/status.h"
#include "node/shim_client.h"

namespace noded {
namespace {

// Its title is overwritten in place and is to hold a container's id.
constexpr size_t kTitleBytes = sizeof("node-shim") + 64;

// A shim's own complaints only; containers write elsewhere.
constexpr char kShimLog[] = "shim.log";

}  // namespace

std::string ShimSocketName(const std::string& id) { return absl::StrCat(id, ".sock"); }

absl::StatusOr<SpawnedShim> SpawnShim(const std::string& shim_path) {
  ASSIGN_OR_RETURN(auto pair, SocketPair(SOCK_SEQPACKET | SOCK_NONBLOCK));
  ASSIGN_OR_RETURN(UniqueFd null, OpenAt(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
  std::string title(kTitleBytes, ' ');
  title.replace(0, strlen("node-shim"), "node-shim");
  // No environment: a container's is in its plan.
  char* const environment[] = {nullptr};
  SpawnedShim shim;
  // As the protocol's description says: its connection is descriptor 3.
  absl::StatusOr<pid_t> pid = Spawn(shim_path, {title}, environment,
                                    {null.get(), null.get(), null.get(), pair.second.get()});
  if (!pid.ok()) return Annotate(pid.status(), "start supervisor");
  shim.pid = *pid;
  // Ours alone to reap, so the number cannot have been given to another process yet.
  ASSIGN_OR_RETURN(shim.process, Pidfd::Open(shim.pid));
  shim.connection = std::move(pair.first);
  return shim;
}

absl::StatusOr<ContainerFds> OpenContainerFds(const std::string& id, int sockets_dir,
                                              const std::string& directory) {
  ContainerFds fds;
  ASSIGN_OR_RETURN(fds.directory, OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(fds.log,
                   OpenAt(fds.directory.get(), kShimLog, O_WRONLY | O_CREAT | O_APPEND, 0600));
  ASSIGN_OR_RETURN(fds.listener, ListenSeqpacket(sockets_dir, ShimSocketName(id)));
  return fds;
}

}  // namespace noded
