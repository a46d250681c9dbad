// RemoveTreeAt. What is removed was written by containers: a tree may be deeper than PATH_MAX or
// the descriptor limit, and full of symlinks. So the walk keeps one descriptor, whatever the depth,
// and never resolves a path of more than one component.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "node/base/syscalls.h"

namespace noded {
namespace {

// A directory being emptied: its name in its parent, its identity, and its subdirectories still to
// do.
struct Level {
  std::string name;
  dev_t device;
  ino_t inode;
  std::vector<std::string> subdirectories;
};

absl::Status RemoveError(int error, std::string_view name) {
  return ErrnoStatus(error, absl::StrCat("remove \"", AsAbsl(name), "\""));
}

// Invalid descriptor and OK: the entry is gone.
absl::StatusOr<UniqueFd> OpenSubdirectory(int dir, const std::string& name) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  UniqueFd fd(OpenAt2(dir, name.c_str(), how));
  if (fd || errno == ENOENT) return fd;
  if (errno == EXDEV) {
    return absl::FailedPreconditionError(
        absl::StrCat("remove \"", name, "\": something is mounted on it"));
  }
  return RemoveError(errno, name);
}

// Unlinks everything but directories and returns the names of those.
absl::StatusOr<std::vector<std::string>> UnlinkFiles(int dir) {
  std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fcntl(dir, F_DUPFD_CLOEXEC, 0)), closedir);
  if (!stream) return ErrnoStatus(errno, "remove tree: list directory");
  std::vector<std::string> subdirectories;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    // d_type may be DT_UNKNOWN; unlink itself says EISDIR then.
    bool is_directory = entry->d_type == DT_DIR;
    if (!is_directory && unlinkat(dir, entry->d_name, 0) != 0 && errno != ENOENT) {
      if (errno != EISDIR) return RemoveError(errno, name);
      is_directory = true;
    }
    if (is_directory) subdirectories.emplace_back(name);
  }
  if (errno != 0) return ErrnoStatus(errno, "remove tree: list directory");
  return subdirectories;
}

absl::StatusOr<Level> Enter(int dir, const std::string& name) {
  struct stat info;
  if (fstat(dir, &info) != 0) return RemoveError(errno, name);
  ASSIGN_OR_RETURN(auto subdirectories, UnlinkFiles(dir));
  return Level{name, info.st_dev, info.st_ino, std::move(subdirectories)};
}

// Back to the parent, which must be the directory we came from: if someone moved the tree
// meanwhile,
// ".." leads elsewhere, and what is there is not ours to remove.
absl::StatusOr<UniqueFd> Leave(int dir, const Level& parent) {
  ASSIGN_OR_RETURN(UniqueFd up, OpenAt(dir, "..", O_RDONLY | O_DIRECTORY));
  struct stat info;
  if (fstat(up.get(), &info) != 0) return RemoveError(errno, parent.name);
  if (info.st_dev != parent.device || info.st_ino != parent.inode) {
    return absl::AbortedError(
        absl::StrCat("remove \"", parent.name, "\": it was moved while being removed"));
  }
  return up;
}

// Empties the directory `top`.
absl::Status EmptyTree(UniqueFd top, const std::string& name) {
  UniqueFd current = std::move(top);
  std::vector<Level> levels;
  ASSIGN_OR_RETURN(Level first, Enter(current.get(), name));
  levels.push_back(std::move(first));
  while (true) {
    if (std::vector<std::string>& todo = levels.back().subdirectories; !todo.empty()) {
      std::string next = std::move(todo.back());
      todo.pop_back();
      ASSIGN_OR_RETURN(UniqueFd down, OpenSubdirectory(current.get(), next));
      if (!down) continue;
      ASSIGN_OR_RETURN(Level level, Enter(down.get(), next));
      levels.push_back(std::move(level));
      current = std::move(down);
      continue;
    }
    if (levels.size() == 1) return absl::OkStatus();
    std::string done = std::move(levels.back().name);
    levels.pop_back();
    ASSIGN_OR_RETURN(current, Leave(current.get(), levels.back()));
    if (unlinkat(current.get(), done.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      return RemoveError(errno, done);
    }
  }
}

}  // namespace

absl::Status RemoveTreeAt(int dir, const std::string& path) {
  if (unlinkat(dir, path.c_str(), 0) == 0 || errno == ENOENT) return absl::OkStatus();
  if (errno != EISDIR) return RemoveError(errno, path);
  // The path above the tree is the caller's and may hold symlinks and mounts; the tree may not.
  size_t slash = path.rfind('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  ASSIGN_OR_RETURN(UniqueFd parent,
                   OpenAt(dir, slash == std::string::npos ? "." : path.substr(0, slash + 1),
                          O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(UniqueFd top, OpenSubdirectory(parent.get(), name));
  if (!top) return absl::OkStatus();
  RETURN_IF_ERROR(
      Annotate(EmptyTree(std::move(top), name), absl::StrCat("remove tree \"", path, "\"")));
  if (unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return RemoveError(errno, path);
  }
  return absl::OkStatus();
}

}  // namespace noded
