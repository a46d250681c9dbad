#include "node/shim/namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "node/base/file.h"
#include "node/base/syscalls.h"

namespace noded::shim {
namespace {

const char* OwnNamespaceFile(uint64_t type) {
  switch (type) {
    case CLONE_NEWPID:
      return "/proc/self/ns/pid";
    case CLONE_NEWNET:
      return "/proc/self/ns/net";
    case CLONE_NEWIPC:
      return "/proc/self/ns/ipc";
    case CLONE_NEWUTS:
      return "/proc/self/ns/uts";
    default:
      return nullptr;
  }
}

MaybeFailure WriteMap(pid_t pid, const char* name, const IdRanges& ranges) {
  std::string lines;
  for (const pb::IdRange& range : ranges) {
    lines += std::to_string(range.container_id()) + " " + std::to_string(range.host_id()) + " " +
             std::to_string(range.size()) + "\n";
  }
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  // The kernel takes a map in one write only.
  if (!file || write(file.get(), lines.data(), lines.size()) < 0) {
    return Fail(pb::FAILURE_STEP_ID_MAP, errno, name);
  }
  return std::nullopt;
}

}  // namespace

JoinedNamespaces::~JoinedNamespaces() {
  while (!own_.empty()) {
    // A supervisor that cannot come back would do everything after in a container's namespace.
    if (setns(own_.back().fd.get(), static_cast<int>(own_.back().type)) != 0) abort();
    own_.pop_back();
  }
}

MaybeFailure JoinedNamespaces::Join(int fd, uint64_t type, const std::string& description) {
  const char* own_file = OwnNamespaceFile(type);
  if (own_file == nullptr) return Fail(pb::FAILURE_STEP_REQUEST, EINVAL, description);
  UniqueFd own(open(own_file, O_RDONLY | O_CLOEXEC));
  if (!own) return Fail(pb::FAILURE_STEP_NAMESPACE, errno, own_file);
  if (setns(fd, static_cast<int>(type)) != 0) {
    return Fail(pb::FAILURE_STEP_NAMESPACE, errno, description);
  }
  own_.push_back({std::move(own), type});
  return std::nullopt;
}

MaybeFailure WriteIdMaps(pid_t pid, const IdRanges& uids, const IdRanges& gids) {
  if (MaybeFailure failure = WriteMap(pid, "uid_map", uids)) return failure;
  return WriteMap(pid, "gid_map", gids);
}

MaybeFailure MakeUserNamespace(const IdRanges& uids, const IdRanges& gids, UniqueFd* out) {
  clone_args args{};
  args.flags = CLONE_NEWUSER;
  args.exit_signal = SIGCHLD;
  const pid_t supervisor = getpid();
  pid_t child = Clone3(&args);
  if (child < 0) return Fail(pb::FAILURE_STEP_NAMESPACE, errno, "user namespace");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != supervisor) _exit(1);
    while (true) pause();
  }
  MaybeFailure failure = WriteIdMaps(child, uids, gids);
  if (!failure) {
    const std::string path = "/proc/" + std::to_string(child) + "/ns/user";
    out->Reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!*out) failure = Fail(pb::FAILURE_STEP_NAMESPACE, errno, "user namespace");
  }
  // Not reaped yet, so the number is still its own.
  kill(child, SIGKILL);
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return failure;
}

}  // namespace noded::shim
