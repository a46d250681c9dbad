#include "node/shim/launch.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "node/base/file.h"
#include "node/base/syscalls.h"
#include "node/shim/child.h"
#include "node/shim/namespaces.h"
#include "rootfs/mount/source.h"

namespace noded::shim {
namespace {

// What becomes of a clone: the child runs `run` and never returns.
template <typename Run>
MaybeFailure Clone(uint64_t flags, int cgroup_directory, Run run, StartedProcess* out) {
  int pidfd = -1;
  clone_args args{};
  args.flags = flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (cgroup_directory >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup_directory);
  }
  pid_t pid = Clone3(&args);
  if (pid < 0) {
    // With a group these are its: EBUSY controllers enabled below, EAGAIN pids.max, ENODEV removed.
    const bool group =
        cgroup_directory >= 0 && (errno == EBUSY || errno == EBADF || errno == ENODEV);
    return Fail(group ? pb::FAILURE_STEP_CGROUP : pb::FAILURE_STEP_NAMESPACE, errno, "clone");
  }
  if (pid == 0) run();
  out->pid = pid;
  out->pidfd = Pidfd(UniqueFd(pidfd));
  return std::nullopt;
}

// From outside, because a child that is not dumpable has a /proc/self that only the host's root may
// write to.
MaybeFailure SetOomScore(pid_t pid, const pb::ProcessPlan& plan) {
  if (!plan.has_oom_score_adj()) return std::nullopt;
  const std::string path = "/proc/" + std::to_string(pid) + "/oom_score_adj";
  const std::string value = std::to_string(plan.oom_score_adj());
  UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || write(file.get(), value.data(), value.size()) < 0) {
    return Fail(pb::FAILURE_STEP_OOM_SCORE, errno, value);
  }
  return std::nullopt;
}

// Where a source is to appear, for the message that it cannot be made.
std::string PlaceOf(const pb::LaunchPlan& plan, int source) {
  for (const pb::Step& step : plan.steps()) {
    if (step.has_attach_mount() && step.attach_mount().source() == static_cast<uint32_t>(source)) {
      return "at \"" + step.attach_mount().target() + "\"";
    }
  }
  return {};
}

// What is done to a child that waits, and the word that it may go on. On failure it is gone.
MaybeFailure PrepareAndLetGo(const pb::ProcessPlan& plan, const pb::LaunchPlan* with_maps,
                             StartedProcess* process) {
  auto prepare = [&]() -> MaybeFailure {
    if (with_maps != nullptr && (with_maps->clone_flags() & CLONE_NEWUSER)) {
      if (MaybeFailure failure =
              WriteIdMaps(process->pid, with_maps->uid_maps(), with_maps->gid_maps())) {
        return failure;
      }
    }
    if (MaybeFailure failure = SetOomScore(process->pid, plan)) return failure;
    if (!process->handshake.SendGo()) {
      return Fail(pb::FAILURE_STEP_CHILD_LOST, errno, "child");
    }
    return std::nullopt;
  };
  MaybeFailure failure = prepare();
  if (failure) Discard(*process);
  return failure;
}

// The group that init is in now, which the payload may have moved below the one that it was put
// into.
UniqueFd PresentGroupOf(pid_t init) {
  absl::StatusOr<std::string> groups =
      ReadFileAt(AT_FDCWD, "/proc/" + std::to_string(init) + "/cgroup");
  if (!groups.ok()) return UniqueFd();
  const size_t line = groups->rfind("0::/");
  if (line == std::string::npos || (line != 0 && (*groups)[line - 1] != '\n')) return UniqueFd();
  const size_t start = line + 3;
  const std::string path = groups->substr(start, groups->find('\n', start) - start);
  for (const char* tree : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    struct statfs where;
    if (statfs(tree, &where) == 0 && where.f_type == CGROUP2_SUPER_MAGIC) {
      return UniqueFd(open((tree + path).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
  }
  return UniqueFd();
}

uint32_t HostId(const IdRanges& ranges) {
  for (const pb::IdRange& range : ranges) {
    if (range.container_id() == 0) return range.host_id();
  }
  return 0;
}

}  // namespace

HostRoot HostRootOf(const pb::LaunchPlan& plan) {
  return {.uid = HostId(plan.uid_maps()), .gid = HostId(plan.gid_maps())};
}

void GiveToHostRoot(int fd, HostRoot root) {
  struct stat info;
  if (fd < 0 || root.uid == 0 || fstat(fd, &info) != 0 || !S_ISFIFO(info.st_mode)) return;
  (void)fchown(fd, root.uid, root.gid);
}

void Discard(StartedProcess& process) {
  (void)process.pidfd.Signal(SIGKILL);
  while (waitpid(process.pid, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

MaybeFailure InitLaunch::MakePipe(Pipe* out) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Fail(pb::FAILURE_STEP_REQUEST, errno, "pipe");
  out->reader.Reset(ends[0]);
  out->writer.Reset(ends[1]);
  return std::nullopt;
}

MaybeFailure InitLaunch::MakeSources() {
  UniqueFd user_namespace;
  auto mapped = [](const pb::Source& source) {
    return source.tree().id_mapped() || source.overlay().id_mapped();
  };
  if (std::any_of(plan_.sources().begin(), plan_.sources().end(), mapped)) {
    if (MaybeFailure failure =
            MakeUserNamespace(plan_.uid_maps(), plan_.gid_maps(), &user_namespace)) {
      return failure;
    }
  }
  const HostRoot root = HostRootOf(plan_);
  const mount::IdMapping mapping{
      .user_namespace = user_namespace.get(), .root_uid = root.uid, .root_gid = root.gid};
  for (int i = 0; i < plan_.sources_size(); ++i) {
    UniqueFd made;
    int mount_namespace = -1;
    if (plan_.sources(i).tree().has_mount_namespace()) {
      const uint32_t index = plan_.sources(i).tree().mount_namespace();
      if (index >= fds_.size()) {
        return Fail(pb::FAILURE_STEP_REQUEST, EBADF, plan_.sources(i).description());
      }
      mount_namespace = fds_[index].get();
    }
    mount::Result result = mount::MakeSource(plan_.sources(i), mapping, mount_namespace, &made);
    if (!result.ok()) {
      if (result.detail.empty()) result.detail = PlaceOf(plan_, i);
      return FromResult(pb::FAILURE_STEP_SOURCE, result);
    }
    sources_.push_back(std::move(made));
  }
  return std::nullopt;
}

MaybeFailure InitLaunch::MakeStreams() {
  null_.Reset(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_) return Fail(pb::FAILURE_STEP_REQUEST, errno, "/dev/null");
  if (plan_.reaper()) {
    if (MaybeFailure failure = MakePipe(&status_)) return failure;
  }
  if (plan_.process().tty()) return std::nullopt;
  if (MaybeFailure failure = MakePipe(&out_)) return failure;
  if (MaybeFailure failure = MakePipe(&error_)) return failure;
  if (plan_.stdin_open()) {
    if (MaybeFailure failure = MakePipe(&in_)) return failure;
  }
  const HostRoot owner = HostRootOf(plan_);
  for (int fd : {in_.reader.get(), out_.writer.get(), error_.writer.get()}) {
    GiveToHostRoot(fd, owner);
  }
  return std::nullopt;
}

MaybeFailure InitLaunch::MakeChild(const Placement& placement, UniqueFd handshake,
                                   StartedProcess* process) {
  JoinedNamespaces joined;
  for (const pb::JoinNamespace& join : plan_.join()) {
    if (join.fd_index() >= fds_.size()) {
      return Fail(pb::FAILURE_STEP_REQUEST, EBADF, join.description());
    }
    if (MaybeFailure failure =
            joined.Join(fds_[join.fd_index()].get(), join.type(), join.description())) {
      return failure;
    }
  }
  auto run = [&] {
    auto or_null = [this](const UniqueFd& fd) { return fd ? fd.get() : null_.get(); };
    RunInit({.plan = plan_,
             .sources = sources_,
             .handshake = std::move(handshake),
             .cgroup_tasks = placement.cgroup_tasks,
             .stdio = {or_null(in_.reader), or_null(out_.writer), or_null(error_.writer)},
             .reaper_status = status_.writer.get()});
  };
  return Clone(plan_.clone_flags(), placement.cgroup_directory, run, process);
}

MaybeFailure InitLaunch::Prepare() {
  if (MaybeFailure failure = MakeSources()) return failure;
  return MakeStreams();
}

MaybeFailure InitLaunch::Place(const Placement& placement, StartedProcess* process) {
  UniqueFd childs_handshake;
  if (MaybeFailure failure = Handshake::Make(&process->handshake, &childs_handshake)) {
    return failure;
  }
  if (MaybeFailure failure = MakeChild(placement, std::move(childs_handshake), process)) {
    return failure;
  }
  return PrepareAndLetGo(plan_.process(), &plan_, process);
}

InitStreams InitLaunch::TakeStreams() {
  return {.output = std::move(out_.reader),
          .error_output = std::move(error_.reader),
          .input = std::move(in_.writer),
          .reaper_status = std::move(status_.reader)};
}

MaybeFailure StartExec(const pb::ExecPlan& plan, const Pidfd& init, pid_t init_pid,
                       const Placement& placement, const ExecStreams& streams,
                       StartedProcess* out) {
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return Fail(pb::FAILURE_STEP_REQUEST, errno, "/dev/null");
  UniqueFd childs_handshake;
  if (MaybeFailure failure = Handshake::Make(&out->handshake, &childs_handshake)) return failure;
  {
    JoinedNamespaces joined;
    if (plan.join_flags() & CLONE_NEWPID) {
      MaybeFailure failure = joined.Join(init.get(), CLONE_NEWPID, "pid namespace");
      if (failure && failure->error() == ESRCH) failure->set_step(pb::FAILURE_STEP_NOT_RUNNING);
      if (failure) return failure;
    }
    auto run = [&] {
      auto or_null = [&](int fd) { return fd >= 0 ? fd : null.get(); };
      RunExec({.plan = plan,
               .init = init.get(),
               .handshake = std::move(childs_handshake),
               .cgroup_tasks = placement.cgroup_tasks,
               .stdio = {or_null(streams.stdio[0]), or_null(streams.stdio[1]),
                         or_null(streams.stdio[2])}});
    };
    MaybeFailure failure = Clone(0, placement.cgroup_directory, run, out);
    if (failure && failure->error() == EBUSY && placement.cgroup_directory >= 0) {
      // The payload has enabled controllers in its group, which then takes no processes.
      UniqueFd present = PresentGroupOf(init_pid);
      if (present) failure = Clone(0, present.get(), run, out);
    }
    if (failure) {
      // What a pid namespace answers whose init has ended.
      if (failure->error() == ENOMEM) failure->set_step(pb::FAILURE_STEP_NOT_RUNNING);
      return failure;
    }
  }
  return PrepareAndLetGo(plan.process(), nullptr, out);
}

}  // namespace noded::shim
