#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "node/base/syscalls.h"
#include "node/shim/child.h"
#include "node/shim/credentials.h"
#include "node/shim/process.h"
#include "node/shim/reaper.h"
#include "node/shim/terminal.h"
#include "rootfs/mount/mount.h"

namespace noded::shim {
namespace {

MaybeFailure LoopbackUp() {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return Fail(pb::FAILURE_STEP_NETWORK, errno, "lo");
  ifreq request{};
  strcpy(request.ifr_name, "lo");
  if (ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) {
    return Fail(pb::FAILURE_STEP_NETWORK, errno, "lo");
  }
  request.ifr_flags |= IFF_UP;
  if (ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) {
    return Fail(pb::FAILURE_STEP_NETWORK, errno, "lo");
  }
  return std::nullopt;
}

// Carries out a plan's steps, one after the other.
class Steps {
 public:
  Steps(const pb::LaunchPlan& plan, std::vector<UniqueFd>& sources)
      : plan_(plan), sources_(sources) {}

  MaybeFailure Do(const pb::Step& step);
  // Opens the container's terminal when it is first asked for.
  MaybeFailure NeedTerminal();
  int root() const { return root_.fd(); }
  Terminal* terminal() { return plan_.process().tty() ? &terminal_ : nullptr; }

 private:
  MaybeFailure AttachRoot(uint32_t source);
  MaybeFailure AttachMount(const pb::AttachMount& step);
  MaybeFailure BindConsole();

  const pb::LaunchPlan& plan_;
  std::vector<UniqueFd>& sources_;
  mount::NewRoot root_;
  Terminal terminal_;
};

MaybeFailure Steps::AttachRoot(uint32_t source) {
  if (source >= sources_.size()) return Fail(pb::FAILURE_STEP_REQUEST, EINVAL, "source");
  return FromResult(pb::FAILURE_STEP_ROOT, root_.Attach(std::move(sources_[source])));
}

MaybeFailure Steps::AttachMount(const pb::AttachMount& step) {
  if (step.source() >= sources_.size()) return Fail(pb::FAILURE_STEP_REQUEST, EINVAL, "source");
  const std::string& description = plan_.sources(static_cast<int>(step.source())).description();
  return FromResult(pb::FAILURE_STEP_MOUNT,
                    root_.AttachMount(sources_[step.source()].get(), description, step));
}

MaybeFailure Steps::NeedTerminal() {
  if (!plan_.process().tty() || terminal_.master) return std::nullopt;
  return OpenTerminal(root(), &terminal_);
}

MaybeFailure Steps::BindConsole() {
  if (MaybeFailure failure = NeedTerminal()) return failure;
  return FromResult(pb::FAILURE_STEP_TERMINAL, root_.BindConsole(terminal_.slave.get()));
}

MaybeFailure Steps::Do(const pb::Step& step) {
  switch (step.kind_case()) {
    case pb::Step::kMakeMountsPrivate:
      return FromResult(pb::FAILURE_STEP_ROOT, mount::MakeMountsPrivate());
    case pb::Step::kAttachRoot:
      return AttachRoot(step.attach_root().source());
    case pb::Step::kAttachMount:
      return AttachMount(step.attach_mount());
    case pb::Step::kNewMount:
      return FromResult(pb::FAILURE_STEP_MOUNT, root_.NewMount(step.new_mount()));
    case pb::Step::kMakeNode:
      return FromResult(pb::FAILURE_STEP_DEVICE, root_.MakeNode(step.make_node()));
    case pb::Step::kMakeSymlink:
      return FromResult(pb::FAILURE_STEP_MOUNT, root_.MakeSymlink(step.make_symlink()));
    case pb::Step::kMakeDirectory:
      return FromResult(pb::FAILURE_STEP_MOUNT, root_.MakeDirectory(step.make_directory()));
    case pb::Step::kPivot:
      return FromResult(pb::FAILURE_STEP_ROOT, root_.Pivot());
    case pb::Step::kMaskPath:
      return FromResult(pb::FAILURE_STEP_MOUNT, root_.MaskPath(step.mask_path()));
    case pb::Step::kReadOnlyPath:
      return FromResult(pb::FAILURE_STEP_MOUNT, root_.ReadOnlyPath(step.read_only_path()));
    case pb::Step::kReadOnlyRoot:
      return FromResult(pb::FAILURE_STEP_ROOT, root_.ReadOnlyRoot());
    case pb::Step::kNewCgroupNamespace:
      if (unshare(CLONE_NEWCGROUP) == 0) return std::nullopt;
      return Fail(pb::FAILURE_STEP_NAMESPACE, errno, "cgroup namespace");
    case pb::Step::kSetHostname:
      if (sethostname(step.set_hostname().data(), step.set_hostname().size()) == 0) {
        return std::nullopt;
      }
      return Fail(pb::FAILURE_STEP_HOSTNAME, errno, step.set_hostname());
    case pb::Step::kSysctl:
      return FromResult(pb::FAILURE_STEP_SYSCTL, root_.SetSysctl(step.sysctl()));
    case pb::Step::kLoopbackUp:
      return LoopbackUp();
    case pb::Step::kBindConsole:
      return BindConsole();
    case pb::Step::KIND_NOT_SET:
      break;
  }
  // Of a newer protocol: leaving it out could leave the container less confined than it was asked
  // to be.
  return Fail(pb::FAILURE_STEP_REQUEST, EPROTO, "plan",
              "with a step that this supervisor does not know");
}

// Leaves a child that goes on to be the main process; this process is the reaper from here.
void SplitOffMain(Reporter& reporter, int status, pid_t* parent) {
  const pid_t self = getpid();
  clone_args args{};
  args.exit_signal = SIGCHLD;
  pid_t child = Clone3(&args);
  if (child < 0) {
    reporter.FailAndExit(Fail(pb::FAILURE_STEP_NAMESPACE, errno, "process below init"));
  }
  if (child > 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (!reporter.SupervisorLives()) _exit(1);
    reporter.Close();
    RunReaper(child, status);
  }
  *parent = self;
  // The supervisor signals the main process through this, whatever its number is in which
  // namespace.
  UniqueFd pidfd(PidfdOpen(getpid(), 0));
  if (!pidfd) reporter.FailAndExit(Fail(pb::FAILURE_STEP_NAMESPACE, errno, "process below init"));
  reporter.SendMainProcess(pidfd.get());
}

std::vector<int> OwnDescriptors(const InitChild& child) {
  std::vector<int> own = {child.reaper_status, child.stdio[0], child.stdio[1], child.stdio[2]};
  for (const UniqueFd& source : child.sources) own.push_back(source.get());
  return own;
}

// Descriptors that this process is done with before the program's part begins.
void CloseSources(std::vector<UniqueFd>& sources) {
  for (UniqueFd& source : sources) source.Reset();
}

}  // namespace

void AwaitGoAndEnterCgroups(Reporter& reporter, const std::vector<int>& cgroup_tasks,
                            std::vector<int> own) {
  // The standard ones until they are replaced, or what is opened meanwhile would get their numbers.
  own.insert(own.end(), {0, 1, 2, reporter.fd()});
  own.insert(own.end(), cgroup_tasks.begin(), cgroup_tasks.end());
  CloseAllBut(std::move(own));
  if (!reporter.WaitForGo()) _exit(1);
  for (int tasks : cgroup_tasks) {
    // "0" is the writer.
    if (write(tasks, "0", 1) != 1) {
      reporter.FailAndExit(Fail(pb::FAILURE_STEP_CGROUP, errno, "tasks"));
    }
    close(tasks);
  }
}

void RunInit(InitChild child) {
  Reporter reporter(std::move(child.handshake));
  AwaitGoAndEnterCgroups(reporter, child.cgroup_tasks, OwnDescriptors(child));
  if (child.plan.clone_flags() & CLONE_NEWUSER) reporter.ExitOn(BecomeNamespaceRoot());
  // Modes of what the steps make are meant as they are written.
  umask(0);
  Steps steps(child.plan, child.sources);
  for (const pb::Step& step : child.plan.steps()) reporter.ExitOn(steps.Do(step));
  reporter.ExitOn(steps.NeedTerminal());
  CloseSources(child.sources);
  pid_t parent = 0;
  if (child.plan.reaper()) SplitOffMain(reporter, child.reaper_status, &parent);
  ProcessContext context{.plan = child.plan.process(),
                         .root = steps.root(),
                         .terminal = steps.terminal(),
                         .reporter = reporter,
                         .parent = parent};
  memcpy(context.stdio, child.stdio, sizeof(context.stdio));
  RunProcess(context);
}

}  // namespace noded::shim
