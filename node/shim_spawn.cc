#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/socket.h"
#include "node/base/status.h"
#include "node/shim_client.h"

namespace noded {
namespace {

// What node-shim finds where; the protocol's description says so.
constexpr int kListenerFd = 3;
constexpr int kContainerDirFd = 4;
constexpr int kFirstUnusedFd = 5;
// Above all of those, so that no dup2 overwrites what a later one is to copy.
constexpr int kFirstSafeFd = 16;

// A shim's own complaints only; containers write elsewhere.
constexpr char kShimLog[] = "shim.log";

absl::StatusOr<UniqueFd> CopyOutOfTheWay(int fd) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, kFirstSafeFd));
  if (!copy) return ErrnoStatus(errno, "copy descriptor");
  return copy;
}

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

absl::StatusOr<SpawnedShim> SpawnShim(const std::string& shim_path, const std::string& id,
                                      int sockets_dir, int container_dir) {
  ASSIGN_OR_RETURN(UniqueFd listening, ListenSeqpacket(sockets_dir, ShimSocketName(id)));
  ASSIGN_OR_RETURN(UniqueFd listener, CopyOutOfTheWay(listening.get()));
  ASSIGN_OR_RETURN(UniqueFd directory, CopyOutOfTheWay(container_dir));
  ASSIGN_OR_RETURN(UniqueFd null, OpenAt(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
  ASSIGN_OR_RETURN(UniqueFd log, OpenAt(container_dir, kShimLog,
                                        O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  SpawnSettings settings;
  settings.Put(null.get(), STDIN_FILENO);
  settings.Put(null.get(), STDOUT_FILENO);
  settings.Put(log.get(), STDERR_FILENO);
  settings.Put(listener.get(), kListenerFd);
  settings.Put(directory.get(), kContainerDirFd);
  settings.CloseFrom(kFirstUnusedFd);
  settings.ResetSignals();
  settings.SetFlags();

  std::string name = "node-shim";
  std::string container = id;
  char* argv[] = {name.data(), container.data(), nullptr};
  // No environment: a container's is in its plan.
  char* environment[] = {nullptr};
  SpawnedShim shim;
  int error = posix_spawn(&shim.pid, shim_path.c_str(), settings.actions(), settings.attributes(),
                          argv, environment);
  if (error != 0) return ErrnoStatus(error, absl::StrCat("start supervisor \"", shim_path, "\""));
  // Ours alone to reap, so the number cannot have been given to another process yet.
  ASSIGN_OR_RETURN(shim.process, Pidfd::Open(shim.pid));
  return shim;
}

}  // namespace noded
