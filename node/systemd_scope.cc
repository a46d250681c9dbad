#include "node/systemd_scope.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cgroup/cgroupfs.h"
#include "cgroup/mounts.h"
#include "cgroup/plain_group.h"
#include "node/base/file.h"
#include "node/base/spawn.h"
#include "node/base/status.h"

namespace noded {
namespace {

constexpr absl::Duration kRetryPause = absl::Milliseconds(50);
constexpr size_t kMostErrorBytes = 4096;

// What is in a pipe whose other end was closed.
std::string Drain(int fd) {
  std::string text(kMostErrorBytes, '\0');
  ssize_t length;
  do {
    length = read(fd, text.data(), text.size());
  } while (length < 0 && errno == EINTR);
  text.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return std::string(absl::StripAsciiWhitespace(text));
}

bool AwaitReadable(int fd, absl::Duration bound) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  int ready;
  do {
    ready = poll(&entry, 1, static_cast<int>(absl::ToInt64Milliseconds(bound)));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

}  // namespace

bool StartedBySystemd() {
  const char* started = std::getenv("SYSTEMD_EXEC_PID");
  pid_t pid = -1;
  // As sd_booted(3) tells; the parent tells the system's manager from a user's.
  return access("/run/systemd/system", F_OK) == 0 && started != nullptr &&
         absl::SimpleAtoi(started, &pid) && pid == getpid() && getppid() == 1;
}

SystemdScope::SystemdScope(SystemdScopeOptions options)
    : options_(std::move(options)), path_(absl::StrCat("/", options_.slice, "/", options_.scope)) {}

SystemdScope::~SystemdScope() {
  absl::MutexLock lock(&mutex_);
  if (!holder_) return;
  holder_->process.Signal(SIGKILL).IgnoreError();
  // What is not dead yet is reaped by PID 1 soon after us.
  holder_->process.TryWait().IgnoreError();
}

absl::StatusOr<std::unique_ptr<SystemdScope>> SystemdScope::Make(SystemdScopeOptions options) {
  if (options.fs == nullptr) options.fs = std::make_shared<cgroup::CgroupFs>();
  auto scope = std::unique_ptr<SystemdScope>(new SystemdScope(std::move(options)));
  ASSIGN_OR_RETURN(std::string mountinfo, ReadFileAt(AT_FDCWD, scope->options_.mounts_path));
  scope->mounts_ = std::make_unique<const cgroup::Mounts>(cgroup::ParseMounts(mountinfo));
  absl::MutexLock lock(&scope->mutex_);
  RETURN_IF_ERROR(scope->Hold());
  return scope;
}

absl::Status SystemdScope::Enter(pid_t process) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Hold());
  return Place(process);
}

absl::Status SystemdScope::Place(pid_t process) const {
  return Annotate(
      cgroup::EnterPlainGroup(*mounts_, path_, kSupervisorsGroup, process, *options_.fs),
      absl::StrCat("move process ", process, " to cgroup \"", path_, "/", kSupervisorsGroup, "\""));
}

// A holder that is alive stands for the scope: to stop a scope is to kill what is in it.
absl::Status SystemdScope::Hold() {
  if (holder_ && !holder_->process.Ended()) return absl::OkStatus();
  if (holder_) holder_->process.TryWait().IgnoreError();
  holder_.reset();
  const std::vector<std::string> make = {
      options_.systemd_run, "--scope", "--quiet",
      // A failed scope would keep its name until somebody resets it.
      "--collect", "--unit=" + options_.scope, "--slice=" + options_.slice,
      "--description=Containers of noded and their supervisors", "--property=Delegate=yes",
      // All containers together would get a few thousand tasks by systemd's default.
      "--property=TasksMax=infinity",
      // Whoever stops it wants it stopped: supervisors ignore SIGTERM, and so does many a
      // container.
      "--property=TimeoutStopSec=10s",
      // So that at shutdown containers are stopped, each as it wants, before the scope is.
      "--property=Before=noded-shutdown.service", "cat"};
  const absl::Time deadline = absl::Now() + options_.bound;
  while (true) {
    // What runs in it keeps a scope; and when that ends meanwhile, the next round makes another.
    absl::Status held =
        HoldBy(cgroup::IsPopulated(*mounts_, path_) ? std::vector<std::string>{"cat"} : make);
    // Without retry nothing would come of a restart that is quicker than the end of the old scope,
    // whose name is taken until then.
    if (held.ok() || absl::Now() > deadline) {
      return Annotate(held, absl::StrCat("make unit \"", options_.scope, "\""));
    }
    absl::SleepFor(kRetryPause);
  }
}

absl::Status SystemdScope::HoldBy(const std::vector<std::string>& command) {
  ASSIGN_OR_RETURN(Holder holder, StartHolder(command, options_.bound));
  absl::Status placed = Place(holder.pid);
  if (!placed.ok()) {
    holder.process.Signal(SIGKILL).IgnoreError();
    return placed;
  }
  holder_ = std::move(holder);
  return absl::OkStatus();
}

// The command ends as `cat`: that the byte comes back tells that it has begun, which for
// systemd-run means that it is in the scope.
absl::StatusOr<SystemdScope::Holder> SystemdScope::StartHolder(std::vector<std::string> command,
                                                               absl::Duration bound) {
  ASSIGN_OR_RETURN(Pipe in, MakePipe());
  ASSIGN_OR_RETURN(Pipe out, MakePipe());
  ASSIGN_OR_RETURN(Pipe err, MakePipe());
  // While the other end is ours too: a command that has failed by then would be EPIPE and a signal
  // instead of its own words.
  RETURN_IF_ERROR(WriteAll(in.writer.get(), "\n"));
  Holder holder;
  ASSIGN_OR_RETURN(holder.pid, Spawn(command[0], command, environ,
                                     {in.reader.get(), out.writer.get(), err.writer.get()}));
  ASSIGN_OR_RETURN(holder.process, Pidfd::Open(holder.pid));
  absl::Cleanup end = [&holder] {
    holder.process.Signal(SIGKILL).IgnoreError();
    holder.process.TryWait().IgnoreError();
  };
  in.reader.Reset();
  out.writer.Reset();
  err.writer.Reset();
  if (!AwaitReadable(out.reader.get(), bound)) {
    return absl::DeadlineExceededError(absl::StrCat("\"", command[0], "\" does not get ready"));
  }
  char ready = 0;
  if (read(out.reader.get(), &ready, 1) != 1) {
    return absl::UnavailableError(
        absl::StrCat("\"", command[0], "\" failed: ", Drain(err.reader.get())));
  }
  holder.input = std::move(in.writer);
  std::move(end).Cancel();
  return holder;
}

}  // namespace noded
