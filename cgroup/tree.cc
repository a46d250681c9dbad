#include "cgroup/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cgroup/values.h"
#include "node/base/file.h"
#include "node/base/pidfd.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

constexpr int kMaxGroups = 65536;
constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

std::string GroupObject(std::string_view verb, std::string_view name) {
  return absl::StrCat(AsAbsl(verb), " cgroup \"", AsAbsl(name), "\"");
}

// Where in the kernel it sleeps: the innermost frames of its stack, which need CAP_SYS_ADMIN, else
// the one function of wchan. Empty when neither is told.
std::string DescribeStack(pid_t pid) {
  constexpr size_t kFrames = 4;
  // "[<0>] rpc_wait_bit_killable+0x24/0x90 [sunrpc]"
  auto stack = ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", pid, "/stack"));
  std::vector<std::string> frames;
  for (absl::string_view line :
       absl::StrSplit(stack.ok() ? *stack : std::string(), '\n', absl::SkipEmpty())) {
    if (frames.size() == kFrames) break;
    std::vector<absl::string_view> words = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    absl::string_view frame = words.back();
    frames.emplace_back(frame.substr(0, frame.find('+')));
  }
  if (!frames.empty()) return absl::StrCat(" in ", absl::StrJoin(frames, " < "));
  auto wchan = ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", pid, "/wchan"));
  if (!wchan.ok() || wchan->empty() || *wchan == "0") return "";
  return absl::StrCat(" in ", *wchan);
}

// "pid 7 (dd, state D in io_schedule < folio_wait_bit)", from /proc/PID; empty when it has ended.
std::string DescribeProcess(pid_t pid) {
  auto stat = ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", pid, "/stat"));
  if (!stat.ok()) return "";
  size_t open = stat->find('(');
  size_t close = stat->rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 2 >= stat->size())
    return "";
  return absl::StrCat("pid ", pid, " (", stat->substr(open + 1, close - open - 1), ", state ",
                      stat->substr(close + 2, 1), DescribeStack(pid), ")");
}

std::string DescribeProcesses(const std::vector<pid_t>& pids) {
  constexpr size_t kNamed = 8;
  std::vector<std::string> lines;
  for (pid_t pid : pids) {
    if (lines.size() == kNamed) break;
    if (std::string line = DescribeProcess(pid); !line.empty()) lines.push_back(line);
  }
  if (lines.empty()) return "no process of it is left";
  std::string more =
      pids.size() > kNamed ? absl::StrCat(" and ", pids.size() - kNamed, " more") : "";
  return absl::StrCat(absl::StrJoin(lines, ", "), more);
}

// Doubling sleeps up to a deadline. The first are short because most waits end within a
// millisecond.
class Backoff {
 public:
  explicit Backoff(absl::Duration bound) : deadline_(absl::Now() + bound) {}
  // False when the time is over.
  bool Sleep() {
    absl::Duration left = deadline_ - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    absl::SleepFor(std::min(pause_, left));
    pause_ = std::min(pause_ * 2, absl::Milliseconds(20));
    return true;
  }

 private:
  absl::Time deadline_;
  absl::Duration pause_ = absl::Microseconds(50);
};

// One attempt. EBUSY (and ENOTEMPTY, a plain directory's word for it) comes back as UNAVAILABLE.
absl::Status TryRemove(CgroupFs& fs, const RemovalTarget& target, const std::string& name) {
  struct stat info;
  if (fstatat(target.parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, GroupObject("look at", name));
  }
  if (info.st_ino != target.inode) return absl::OkStatus();
  auto remove = [&](int parent, const std::string& group) {
    if (fs.RemoveGroup(parent, group.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
    if (errno == EBUSY || errno == ENOTEMPTY) {
      return StatusWithErrno(absl::StatusCode::kUnavailable, errno, GroupObject("remove", group));
    }
    return ErrnoStatus(errno, GroupObject("remove", group));
  };
  absl::Status removed = remove(target.parent, name);
  if (!absl::IsUnavailable(removed)) return removed;
  // Tasks are in it, or groups are below it: those that a payload made go first.
  auto dir = OpenAt(target.parent, name, kDirectoryFlags);
  if (absl::IsNotFound(dir.status())) return absl::OkStatus();
  RETURN_IF_ERROR(dir.status());
  absl::Status walked = WalkGroups(
      dir->get(), [](int) { return absl::OkStatus(); }, remove);
  if (!walked.ok() && !absl::IsNotFound(walked)) return walked;
  return remove(target.parent, name);
}

struct Level {
  std::string name;
  std::vector<std::string> subgroups;
};

}  // namespace

absl::Status CheckGroupName(const std::string& name) {
  if (name.empty() || name.size() > NAME_MAX || name == "." || name == ".." ||
      name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" cannot name a cgroup"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ParentComponents(const std::string& parent) {
  std::vector<std::string> components = absl::StrSplit(parent, '/', absl::SkipEmpty());
  bool valid = !parent.empty() && parent[0] == '/';
  for (const std::string& component : components) valid &= CheckGroupName(component).ok();
  if (!valid) {
    return absl::InvalidArgumentError(
        absl::StrCat("cgroup parent \"", parent, "\": must be an absolute path without \"..\""));
  }
  return components;
}

absl::StatusOr<UniqueFd> MakeOrOpenGroup(CgroupFs& fs, int parent, const std::string& name) {
  if (fs.MakeGroup(parent, name.c_str()) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, GroupObject("make", name));
  }
  return OpenAt(parent, name, kDirectoryFlags);
}

absl::Status MakeGroupError(int error, const std::string& path) {
  std::string what = GroupObject("make", path);
  if (error == EEXIST) return StatusWithErrno(absl::StatusCode::kAlreadyExists, error, what);
  if (error == ENOENT) return StatusWithErrno(absl::StatusCode::kNotFound, error, what);
  return ErrnoStatus(error, what);
}

absl::StatusOr<std::vector<std::string>> Subgroups(int dir) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir, ".", kDirectoryFlags));
  std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd.get()), closedir);
  if (!stream) return ErrnoStatus(errno, "list cgroups");
  (void)fd.Release();  // closedir closes it
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return ErrnoStatus(errno, "list cgroups");
  return names;
}

absl::Status WalkGroups(
    int dir, absl::FunctionRef<absl::Status(int)> enter,
    absl::FunctionRef<absl::Status(int parent, const std::string& name)> leave) {
  ASSIGN_OR_RETURN(UniqueFd current, OpenAt(dir, ".", kDirectoryFlags));
  RETURN_IF_ERROR(enter(current.get()));
  ASSIGN_OR_RETURN(auto top, Subgroups(current.get()));
  std::vector<Level> levels;
  levels.push_back({"", std::move(top)});
  int entered = 1;
  while (true) {
    if (std::vector<std::string>& todo = levels.back().subgroups; !todo.empty()) {
      std::string next = std::move(todo.back());
      todo.pop_back();
      auto down = OpenAt(current.get(), next, kDirectoryFlags);
      if (absl::IsNotFound(down.status())) continue;
      RETURN_IF_ERROR(down.status());
      if (++entered > kMaxGroups) {
        return absl::ResourceExhaustedError(
            absl::StrCat("walk cgroups: more than ", kMaxGroups, " below one"));
      }
      RETURN_IF_ERROR(enter(down->get()));
      auto below = Subgroups(down->get());
      if (absl::IsNotFound(below.status())) continue;
      RETURN_IF_ERROR(below.status());
      current = *std::move(down);
      levels.push_back({std::move(next), *std::move(below)});
      continue;
    }
    if (levels.size() == 1) return absl::OkStatus();
    // A cgroup is never moved to another parent, so ".." is where we came from.
    ASSIGN_OR_RETURN(current, OpenAt(current.get(), "..", kDirectoryFlags));
    std::string done = std::move(levels.back().name);
    levels.pop_back();
    RETURN_IF_ERROR(leave(current.get(), done));
  }
}

absl::StatusOr<std::vector<pid_t>> TreePids(int dir) {
  std::vector<pid_t> pids;
  auto enter = [&](int group) {
    // Absent in a group that was just removed; EOPNOTSUPP in a threaded group, whose processes are
    // listed by the domain above it.
    auto content = ReadOptional(group, "cgroup.procs");
    if (!content) return absl::OkStatus();
    std::vector<pid_t> here = ParsePids(*content);
    pids.insert(pids.end(), here.begin(), here.end());
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(WalkGroups(dir, enter, [](int, const std::string&) { return absl::OkStatus(); }));
  return pids;
}

absl::Status SignalTree(int dir, int signal) {
  constexpr int kPasses = 32;
  // So many descriptors are open at a time.
  constexpr size_t kBatch = 64;
  absl::flat_hash_set<pid_t> signalled;
  for (int pass = 0; pass < kPasses; ++pass) {
    ASSIGN_OR_RETURN(std::vector<pid_t> pids, TreePids(dir));
    std::erase_if(pids, [&](pid_t pid) { return signalled.contains(pid); });
    if (pids.empty()) return absl::OkStatus();
    for (size_t begin = 0; begin < pids.size(); begin += kBatch) {
      size_t end = std::min(begin + kBatch, pids.size());
      std::vector<std::pair<pid_t, Pidfd>> held;
      for (size_t i = begin; i < end; ++i) {
        if (auto pidfd = Pidfd::Open(pids[i]); pidfd.ok())
          held.emplace_back(pids[i], *std::move(pidfd));
      }
      // Listed again after the descriptor is held, because before that the number could have come
      // to mean a process of somebody else.
      ASSIGN_OR_RETURN(std::vector<pid_t> now, TreePids(dir));
      absl::flat_hash_set<pid_t> members(now.begin(), now.end());
      for (const auto& [pid, pidfd] : held) {
        if (!members.contains(pid)) continue;
        absl::Status sent = pidfd.Signal(signal);
        if (!sent.ok() && !absl::IsNotFound(sent)) return sent;
        signalled.insert(pid);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status RemoveGroups(CgroupFs& fs, const std::vector<RemovalTarget>& targets,
                          const std::string& name, absl::Duration bound) {
  Backoff backoff(bound);
  for (const RemovalTarget& target : targets) {
    while (true) {
      absl::Status tried = TryRemove(fs, target, name);
      if (tried.ok()) break;
      // A killed task leaves its group only when it has exited, some time after the signal.
      if (!absl::IsUnavailable(tried)) return tried;
      if (backoff.Sleep()) continue;
      std::vector<pid_t> left;
      if (auto dir = OpenAt(target.parent, name, kDirectoryFlags); dir.ok()) {
        if (auto pids = TreePids(dir->get()); pids.ok()) left = *std::move(pids);
      }
      return absl::DeadlineExceededError(
          absl::StrCat(GroupObject("remove", name), ": still busy after ",
                       absl::FormatDuration(bound), ": ", DescribeProcesses(left)));
    }
  }
  return absl::OkStatus();
}

absl::Status WriteLimit(int dir, const std::string& file, std::string_view value,
                        std::string_view field) {
  // To the kernel O_TRUNC is nothing here, as a shell's ">" shows; a plain file would keep the end
  // of a longer value.
  UniqueFd fd(openat(dir, file.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!fd && errno == ENOENT) {
    return WithReason(absl::FailedPreconditionError(
                          absl::StrCat(AsAbsl(field), ": this host has no \"", file, "\"")),
                      reason::kNotSupported);
  }
  if (!fd) return Annotate(ErrnoStatus(errno, absl::StrCat("open \"", file, "\"")), field);
  if (write(fd.get(), value.data(), value.size()) >= 0) return absl::OkStatus();
  std::string what = absl::StrCat("write \"", AsAbsl(value), "\" to \"", file, "\"");
  switch (errno) {
    case EINVAL:
    case ERANGE:
    case EACCES:  // cpuset: not a subset of the parent's
    case ENODEV:  // cpuset: no such cpu
      return InvalidField(field, absl::StrCat(what, ": ", ErrnoText(errno)));
    default:
      return Annotate(ErrnoStatus(errno, what), field);
  }
}

absl::Status MissingController(std::string_view field, std::string_view controller) {
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(AsAbsl(field), ": the ", AsAbsl(controller),
                                                 " controller is not available on this host")),
      reason::kNotSupported);
}

bool MayHaveFile(int parent, const std::string& file) {
  return faccessat(parent, file.c_str(), F_OK, 0) == 0 ||
         faccessat(parent, "cgroup.procs", F_OK, 0) != 0;
}

std::optional<std::string> ReadOptional(int dir, const std::string& file) {
  auto content = ReadFileAt(dir, file);
  if (!content.ok()) return std::nullopt;
  return *std::move(content);
}

absl::Status WriteAndAwait(int dir, const std::string& file, std::string_view word,
                           const std::string& state_file,
                           absl::FunctionRef<bool(std::string_view)> reached,
                           absl::Duration bound) {
  Backoff backoff(bound);
  while (true) {
    // Written every time, because on v1 a task that forked into a freezing group is caught only so.
    RETURN_IF_ERROR(WriteExistingAt(dir, file, word));
    ASSIGN_OR_RETURN(std::string state, ReadFileAt(dir, state_file));
    if (reached(state)) return absl::OkStatus();
    if (!backoff.Sleep()) {
      return absl::DeadlineExceededError(absl::StrCat("write \"", AsAbsl(word), "\" to \"", file,
                                                      "\": not done after ",
                                                      absl::FormatDuration(bound)));
    }
  }
}

}  // namespace noded::cgroup
