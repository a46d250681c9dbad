#include "node/shim/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <string_view>
#include <vector>

#include "node/base/syscalls.h"
#include "node/shim/credentials.h"
#include "rootfs/mount/path.h"

namespace noded::shim {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

MaybeFailure SetRlimits(const pb::ProcessPlan& plan) {
  for (const pb::RlimitPlan& limit : plan.rlimits()) {
    rlimit value{.rlim_cur = limit.soft(), .rlim_max = limit.hard()};
    if (setrlimit(static_cast<__rlimit_resource>(limit.resource()), &value) != 0) {
      return Fail(pb::FAILURE_STEP_RLIMIT, errno, limit.name());
    }
  }
  return std::nullopt;
}

// Standard streams as the user's own: else /dev/stdout cannot be opened again by name, because
// pipes and terminals made by root are root's. Best effort: those of another user namespace cannot
// be given away.
void GiveStream(int fd, const mount::User& user, bool terminal) {
  struct stat info;
  if (fstat(fd, &info) != 0 || info.st_uid == user.uid) return;
  if (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode) || terminal) {
    // A terminal's group stays tty (devpts gid=5), as everywhere.
    (void)fchown(fd, user.uid, terminal ? static_cast<gid_t>(-1) : user.gid);
  }
}

MaybeFailure EnterSession(const ProcessContext& context, const mount::User& user) {
  // Fails only for a leader, which is what is wanted.
  (void)setsid();
  int stdio[3] = {context.stdio[0], context.stdio[1], context.stdio[2]};
  if (context.terminal != nullptr) {
    Terminal& terminal = *context.terminal;
    std::fill(std::begin(stdio), std::end(stdio), terminal.slave.get());
    // Not stealing it: it is nobody's, being new.
    if (ioctl(terminal.slave.get(), TIOCSCTTY, 0) != 0) {
      return Fail(pb::FAILURE_STEP_TERMINAL, errno, "controlling terminal");
    }
    if (!ResizeTerminal(terminal.master.get(), context.plan.terminal_width(),
                        context.plan.terminal_height())) {
      return Fail(pb::FAILURE_STEP_TERMINAL, errno, "terminal size");
    }
    context.reporter.SendTerminal(terminal.master.get(), terminal.slave.get());
  }
  for (int stream = 0; stream < 3; ++stream) {
    GiveStream(stdio[stream], user, context.terminal != nullptr);
    if (dup2(stdio[stream], stream) < 0) {
      return Fail(pb::FAILURE_STEP_TERMINAL, errno, "standard streams");
    }
  }
  return std::nullopt;
}

MaybeFailure EnterWorkingDirectory(const ProcessContext& context, const mount::User& user) {
  const std::string& path = context.plan.working_directory();
  if (path.empty()) return std::nullopt;
  // Through the look-up that follows no magic link: a working directory of /proc/self/fd/N would be
  // the host's (CVE-2024-21626).
  UniqueFd directory;
  mount::Result made = mount::MakeDirectories(context.root, path, 0755,
                                              {.uid = user.uid, .gid = user.gid}, &directory);
  if (!made.ok()) return FromResult(pb::FAILURE_STEP_WORKING_DIRECTORY, made);
  if (fchdir(directory.get()) != 0) {
    return Fail(pb::FAILURE_STEP_WORKING_DIRECTORY, errno, path);
  }
  return std::nullopt;
}

MaybeFailure InstallFilter(const pb::ProcessPlan& plan) {
  if (plan.seccomp_filter().empty()) return std::nullopt;
  const size_t count = plan.seccomp_filter().size() / sizeof(sock_filter);
  if (plan.seccomp_filter().size() % sizeof(sock_filter) != 0 || count > BPF_MAXINSNS) {
    return Fail(pb::FAILURE_STEP_SECCOMP, EINVAL, "filter");
  }
  // Copied, because a protobuf string need not be aligned as the kernel's structure.
  std::vector<sock_filter> instructions(count);
  plan.seccomp_filter().copy(reinterpret_cast<char*>(instructions.data()),
                             count * sizeof(sock_filter));
  sock_fprog program{.len = static_cast<unsigned short>(count), .filter = instructions.data()};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, plan.seccomp_flags(), &program) != 0) {
    return Fail(pb::FAILURE_STEP_SECCOMP, errno, "filter");
  }
  return std::nullopt;
}

// Set after the last change of credentials, which clears it. For an exec'd process too: in a pid
// namespace of the container's it would end with init, but without one nothing else would end it.
void DieWithParent(const ProcessContext& context) {
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // One that died before sends no signal any more.
  const bool lives =
      context.parent != 0 ? getppid() == context.parent : context.reporter.SupervisorLives();
  if (!lives) _exit(1);
}

void ResetSignals() {
  // The kernel's structure, all zero: the default. By the raw call, because libc refuses two
  // signals as its own, and its posix_spawn leaves just those ignored.
  const uint64_t standard[4] = {};
  for (int signal = 1; signal < _NSIG; ++signal) {
    (void)syscall(SYS_rt_sigaction, signal, standard, nullptr, _NSIG / 8);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::string_view Variable(const std::vector<std::string>& env, std::string_view name) {
  for (const std::string& entry : env) {
    if (entry.size() > name.size() && entry[name.size()] == '=' &&
        entry.compare(0, name.size(), name) == 0) {
      return std::string_view(entry).substr(name.size() + 1);
    }
  }
  return {};
}

// execve with the search that a shell does: what is there but may not be run is remembered, what is
// not there is passed by.
pb::Failure Execute(const std::vector<std::string>& argv, const std::vector<std::string>& env) {
  std::vector<char*> arguments = Pointers(argv), environment = Pointers(env);
  const std::string& command = argv.front();
  if (command.find('/') != std::string::npos) {
    execve(command.c_str(), arguments.data(), environment.data());
    int error = errno;
    // The file is there and yet it is "not found": what its first line or ELF header asks for is
    // missing.
    const bool there = error == ENOENT && access(command.c_str(), F_OK) == 0;
    return Fail(pb::FAILURE_STEP_EXEC, error, command, there ? "whose interpreter is missing" : "");
  }
  if (command.empty()) return Fail(pb::FAILURE_STEP_EXEC, ENOENT, command);
  std::string_view path = Variable(env, "PATH");
  if (path.empty()) path = kDefaultPath;
  pb::Failure failure = Fail(pb::FAILURE_STEP_EXEC, ENOENT, command, "in PATH");
  while (!path.empty()) {
    size_t end = std::min(path.find(':'), path.size());
    // An empty part is the working directory.
    std::string candidate(end == 0 ? std::string_view(".") : path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
    candidate += '/';
    candidate += command;
    execve(candidate.c_str(), arguments.data(), environment.data());
    if (errno == ENOENT || errno == ENOTDIR) continue;
    int error = errno;
    struct stat info;
    if (error == EACCES && stat(candidate.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) continue;
    failure = Fail(pb::FAILURE_STEP_EXEC, error, candidate);
    if (error != EACCES) break;
  }
  return failure;
}

}  // namespace

void CloseAllBut(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned next = 0;
  for (int fd : kept) {
    if (fd < 0) continue;
    if (static_cast<unsigned>(fd) > next) close_range(next, static_cast<unsigned>(fd) - 1, 0);
    next = std::max(next, static_cast<unsigned>(fd) + 1);
  }
  close_range(next, UINT_MAX, 0);
}

void RunProcess(const ProcessContext& context) {
  const pb::ProcessPlan& plan = context.plan;
  Reporter& reporter = context.reporter;
  std::vector<std::string> argv(plan.argv().begin(), plan.argv().end());
  std::vector<std::string> env(plan.env().begin(), plan.env().end());
  if (argv.empty()) reporter.FailAndExit(Fail(pb::FAILURE_STEP_EXEC, ENOENT, ""));

  mount::User user;
  reporter.ExitOn(LookUpUser(context.root, plan, &user));
  if (plan.set_home()) env.push_back("HOME=" + user.home);
  reporter.ExitOn(SetRlimits(plan));
  // A session keyring of its own: else it shares the agent's.
  (void)syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, nullptr);
  reporter.ExitOn(EnterSession(context, user));
  reporter.ExitOn(EnterWorkingDirectory(context, user));

  // Without no_new_privs a filter takes CAP_SYS_ADMIN, so it comes before that is given up; with
  // it, as late as possible, so that it need not allow what is done here.
  const bool filter_early = !plan.no_new_privileges();
  if (filter_early) reporter.ExitOn(InstallFilter(plan));
  reporter.ExitOn(BecomeUser(user, plan.capabilities()));
  DieWithParent(context);
  umask(static_cast<mode_t>(plan.umask()));
  ResetSignals();
  if (plan.no_new_privileges() && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    reporter.FailAndExit(Fail(pb::FAILURE_STEP_CREDENTIALS, errno, "no_new_privs"));
  }
  // Marked instead of closed, because a failed execve is still to be reported.
  if (close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0) {
    reporter.FailAndExit(Fail(pb::FAILURE_STEP_EXEC, errno, "descriptors"));
  }
  reporter.ExecBegins();
  if (!filter_early) reporter.ExitOn(InstallFilter(plan));
  reporter.FailAndExit(Execute(argv, env));
}

}  // namespace noded::shim
