#include "rootfs/layer/tree_walk.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/layer/overlay_notes.h"
#include "rootfs/layer/refusal.h"

namespace noded::layer {
namespace {

constexpr int kMostLinks = 40;  // as the kernel's own (path_resolution(7))
// A held directory costs a descriptor, of which there are 1024 at least.
constexpr size_t kMostDepth = 900;
constexpr int kDirectory = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// Onto `todo`, which is taken from its end. Unlike PathParts ".." stays, because what it leads to
// is known only when the links before it were followed.
void PushParts(std::string_view path, std::vector<std::string>* todo) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const size_t end = path.find('/');
    if (end != 0) parts.emplace_back(path.substr(0, end));
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
  }
  todo->insert(todo->end(), std::make_move_iterator(parts.rbegin()),
               std::make_move_iterator(parts.rend()));
}

std::string PathOf(const std::vector<std::string>& parts, size_t count) {
  return absl::StrJoin(parts.begin(), parts.begin() + static_cast<ptrdiff_t>(count), "/");
}

}  // namespace

absl::StatusOr<int> TreeWalk::EnterOrMake(const std::vector<std::string>& parts) {
  return Go(parts, true);
}

absl::StatusOr<int> TreeWalk::Enter(const std::vector<std::string>& parts) {
  return Go(parts, false);
}

absl::StatusOr<int> TreeWalk::Go(const std::vector<std::string>& parts, bool make) {
  if (parts.size() > kMostDepth) {
    return Refused(absl::StrCat("directories more than ", kMostDepth, " deep"));
  }
  size_t depth = 0;
  while (depth < levels_.size() && depth < parts.size() && levels_[depth].name == parts[depth]) {
    ++depth;
  }
  levels_.resize(depth);
  for (; depth < parts.size(); ++depth) {
    const int dir = depth == 0 ? root_ : levels_.back().fd.get();
    ASSIGN_OR_RETURN(UniqueFd fd, Step(dir, parts, depth, make));
    levels_.push_back({parts[depth], std::move(fd)});
  }
  return levels_.empty() ? root_ : levels_.back().fd.get();
}

absl::StatusOr<UniqueFd> TreeWalk::Step(int dir, const std::vector<std::string>& parts,
                                        size_t count, bool make) {
  std::string link;
  absl::StatusOr<UniqueFd> fd = OpenOrMake(dir, parts[count], make, &link);
  if (fd.ok() && !fd->valid()) fd = Follow(parts, count + 1, make);
  if (!fd.ok()) {
    return Annotate(fd.status(), absl::StrCat("directory ", Quoted(PathOf(parts, count + 1))));
  }
  return fd;
}

absl::StatusOr<UniqueFd> TreeWalk::Follow(const std::vector<std::string>& parts, size_t count,
                                          bool make) {
  std::vector<UniqueFd> way;
  std::vector<std::string> todo(
      std::make_reverse_iterator(parts.begin() + static_cast<ptrdiff_t>(count)), parts.rend());
  int links = 0;
  while (!todo.empty()) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    if (name == ".") continue;
    if (name == "..") {
      if (!way.empty()) way.pop_back();
      continue;
    }
    std::string link;
    ASSIGN_OR_RETURN(UniqueFd fd,
                     OpenOrMake(way.empty() ? root_ : way.back().get(), name, make, &link));
    if (fd) {
      if (way.size() >= kMostDepth) return Refused("too deep");
      way.push_back(std::move(fd));
      continue;
    }
    if (++links > kMostLinks) return Refused("too many links");
    if (link.starts_with('/')) way.clear();
    PushParts(link, &todo);
  }
  if (!way.empty()) return std::move(way.back());
  UniqueFd root(fcntl(root_, F_DUPFD_CLOEXEC, 0));
  if (!root) return ErrnoStatus(errno, "copy descriptor");
  return root;
}

// An invalid descriptor when it is a link, which is then in `link`.
absl::StatusOr<UniqueFd> TreeWalk::OpenOrMake(int dir, const std::string& name, bool make,
                                              std::string* link) {
  // Twice, for what was made or was exchanged in between.
  for (int attempt = 0; attempt < 2; ++attempt) {
    UniqueFd fd(openat(dir, name.c_str(), kDirectory));
    if (fd) return fd;
    if (errno == ENAMETOOLONG) return Refused("its name is too long");
    if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) return DiskError(errno, "open");
    struct stat info;
    if (fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) return DiskError(errno, "look at");
      if (!make) return absl::NotFoundError("no such directory");
      RETURN_IF_ERROR(make_(dir, name, false));
      continue;
    }
    if (S_ISLNK(info.st_mode)) {
      char target[PATH_MAX];
      const ssize_t size = readlinkat(dir, name.c_str(), target, sizeof target);
      if (size < 0) return DiskError(errno, "read link");
      link->assign(target, static_cast<size_t>(size));
      return UniqueFd();
    }
    if (IsWhiteout(info.st_mode, info.st_rdev) && make) {
      RETURN_IF_ERROR(make_(dir, name, true));
      continue;
    }
    if (!S_ISDIR(info.st_mode)) return Refused("something else is in its place");
  }
  return absl::UnavailableError("it changes while it is opened");
}

}  // namespace noded::layer
