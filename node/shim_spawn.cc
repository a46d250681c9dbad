#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/socket.h"
#include "node/base/status.h"
#include "node/shim_client.h"

namespace noded {
namespace {

// Where node-shim finds its connection; the protocol's description says so.
constexpr int kConnectionFd = 3;
// Above that, so that no dup2 overwrites what a later one is to copy.
constexpr int kFirstSafeFd = 16;
// Its title is overwritten in place and is to hold a container's id.
constexpr size_t kTitleBytes = sizeof("node-shim") + 64;

// A shim's own complaints only; containers write elsewhere.
constexpr char kShimLog[] = "shim.log";

// Owns the two objects of posix_spawn(3).
class SpawnSettings {
 public:
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  void Put(int fd, int at) { posix_spawn_file_actions_adddup2(&actions_, fd, at); }
  // Whatever a library or whoever started noded left open without close-on-exec stays out.
  void CloseFrom(int first) { posix_spawn_file_actions_addclosefrom_np(&actions_, first); }
  // An ignored SIGPIPE and a blocked signal are inherited through exec, down to the container.
  void ResetSignals() {
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setsigmask(&attributes_, &none);
  }
  // A session of its own, because a Ctrl-C in noded's terminal must not reach containers.
  void SetFlags() {
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

std::string ShimSocketName(const std::string& id) { return absl::StrCat(id, ".sock"); }

absl::StatusOr<SpawnedShim> SpawnShim(const std::string& shim_path) {
  ASSIGN_OR_RETURN(auto pair, SocketPair(SOCK_SEQPACKET | SOCK_NONBLOCK));
  UniqueFd connection(fcntl(pair.second.get(), F_DUPFD_CLOEXEC, kFirstSafeFd));
  if (!connection) return ErrnoStatus(errno, "copy descriptor");
  ASSIGN_OR_RETURN(UniqueFd null, OpenAt(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
  SpawnSettings settings;
  settings.Put(null.get(), STDIN_FILENO);
  settings.Put(null.get(), STDOUT_FILENO);
  settings.Put(null.get(), STDERR_FILENO);
  settings.Put(connection.get(), kConnectionFd);
  settings.CloseFrom(kConnectionFd + 1);
  settings.ResetSignals();
  settings.SetFlags();

  std::string title(kTitleBytes, ' ');
  title.replace(0, strlen("node-shim"), "node-shim");
  char* argv[] = {title.data(), nullptr};
  // No environment: a container's is in its plan.
  char* environment[] = {nullptr};
  SpawnedShim shim;
  int error = posix_spawn(&shim.pid, shim_path.c_str(), settings.actions(), settings.attributes(),
                          argv, environment);
  if (error != 0) return ErrnoStatus(error, absl::StrCat("start supervisor \"", shim_path, "\""));
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
