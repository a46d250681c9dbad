#include "node/base/pidfd.h"

#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/syscalls.h"

namespace noded {

absl::StatusOr<Pidfd> Pidfd::Open(pid_t pid) {
  UniqueFd fd(PidfdOpen(pid, 0));
  if (fd) return Pidfd(std::move(fd));
  std::string what = absl::StrCat("open process ", pid);
  if (errno == ESRCH) return StatusWithErrno(absl::StatusCode::kNotFound, errno, what);
  return ErrnoStatus(errno, what);
}

absl::Status Pidfd::Signal(int signal) const {
  if (PidfdSendSignal(fd_.get(), signal) == 0) return absl::OkStatus();
  std::string what = absl::StrCat("send signal ", signal);
  if (errno == ESRCH) return StatusWithErrno(absl::StatusCode::kNotFound, errno, what);
  return ErrnoStatus(errno, what);
}

bool Pidfd::Ended() const {
  pollfd entry{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  int ready;
  do {
    ready = poll(&entry, 1, 0);
  } while (ready < 0 && errno == EINTR);
  return ready > 0 && (entry.revents & (POLLIN | POLLHUP)) != 0;
}

absl::StatusOr<std::optional<ExitStatus>> Pidfd::TryWait() const {
  siginfo_t info{};
  // __WALL: a child cloned without an exit signal is not waited for otherwise.
  int result;
  do {
    result = waitid(P_PIDFD, static_cast<id_t>(fd_.get()), &info, WEXITED | WNOHANG | __WALL);
  } while (result < 0 && errno == EINTR);
  if (result < 0) {
    if (errno == ECHILD) return StatusWithErrno(absl::StatusCode::kNotFound, errno, "wait");
    return ErrnoStatus(errno, "wait");
  }
  if (info.si_pid == 0) return std::optional<ExitStatus>();
  ExitStatus status;
  if (info.si_code == CLD_EXITED) {
    status.code = info.si_status;
  } else {
    status.signal = info.si_status;
  }
  return std::optional<ExitStatus>(status);
}

absl::StatusOr<uint64_t> ProcessStartTicks(pid_t pid) {
  std::string path = absl::StrCat("/proc/", pid, "/stat");
  ASSIGN_OR_RETURN(std::string stat, ReadFileAt(AT_FDCWD, path));
  // Field 2 is the command in parentheses and may itself hold spaces and parentheses.
  size_t end_of_command = stat.rfind(") ");
  if (end_of_command != std::string::npos) {
    constexpr size_t kFirstField = 3;
    constexpr size_t kStartTime = 22;
    std::vector<absl::string_view> fields =
        absl::StrSplit(absl::string_view(stat).substr(end_of_command + 2), ' ');
    uint64_t ticks = 0;
    if (fields.size() > kStartTime - kFirstField &&
        absl::SimpleAtoi(fields[kStartTime - kFirstField], &ticks)) {
      return ticks;
    }
  }
  return absl::InternalError(absl::StrCat("read \"", path, "\": no start time in it"));
}

}  // namespace noded
