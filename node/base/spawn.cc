#include "node/base/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"

namespace noded {
namespace {

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

absl::StatusOr<pid_t> Spawn(const std::string& program, std::vector<std::string> argv,
                            char* const environment[], const std::vector<int>& fds) {
  // Above all targets, so that no dup2 overwrites what a later one is to copy.
  const int first_safe = static_cast<int>(fds.size());
  std::vector<UniqueFd> copies;
  SpawnSettings settings;
  for (int fd : fds) {
    UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, first_safe));
    if (!copy) return ErrnoStatus(errno, "copy descriptor");
    settings.Put(copy.get(), static_cast<int>(copies.size()));
    copies.push_back(std::move(copy));
  }
  settings.CloseFrom(first_safe);
  settings.ResetSignals();
  settings.SetFlags();
  std::vector<char*> words;
  for (std::string& word : argv) words.push_back(word.data());
  words.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, program.c_str(), settings.actions(), settings.attributes(),
                                 words.data(), environment);
  if (error != 0) return ErrnoStatus(error, absl::StrCat("run \"", program, "\""));
  return pid;
}

}  // namespace noded
