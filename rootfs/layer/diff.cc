#include "rootfs/layer/diff.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"
#include "rootfs/layer/overlay_notes.h"
#include "rootfs/layer/refusal.h"

namespace noded::layer {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

bool Vanished(int error) { return error == ENOENT || error == ENOTDIR || error == ELOOP; }

// What the layers below show under one name of a directory.
struct Below {
  bool exists = false;
  // When it is a directory: those of the layers that it is merged from, top first.
  std::vector<UniqueFd> directories;
};

absl::StatusOr<Below> LookBelow(const std::vector<UniqueFd>& lowers, const std::string& name,
                                bool want_directories) {
  Below below;
  for (const UniqueFd& lower : lowers) {
    struct stat info;
    if (fstatat(lower.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (Vanished(errno)) continue;
      return ErrnoStatus(errno, absl::StrCat("look at ", Quoted(name)));
    }
    // The topmost decides: only directories below a directory are seen through it.
    if (!S_ISDIR(info.st_mode)) {
      below.exists |= below.directories.empty() && !IsWhiteout(info.st_mode, info.st_rdev);
      break;
    }
    below.exists = true;
    if (!want_directories) break;
    UniqueFd dir(openat(lower.get(), name.c_str(), kDirectory));
    if (!dir) return ErrnoStatus(errno, absl::StrCat("open ", Quoted(name)));
    const bool opaque = IsOpaque(dir.get());
    below.directories.push_back(std::move(dir));
    if (opaque) break;
  }
  return below;
}

class Differ {
 public:
  explicit Differ(size_t most) : most_(most) {}

  absl::Status Compare(int upper, const std::vector<UniqueFd>& lowers, const std::string& path) {
    ASSIGN_OR_RETURN(const std::vector<std::string> listed, ListDirAt(upper, "."));
    std::set<std::string> names(listed.begin(), listed.end());
    const std::set<std::string> in_upper = names;
    // Of an opaque directory all that is not here is gone.
    if (IsOpaque(upper)) {
      for (const UniqueFd& lower : lowers) {
        ASSIGN_OR_RETURN(const std::vector<std::string> hidden, ListDirAt(lower.get(), "."));
        names.insert(hidden.begin(), hidden.end());
      }
    }
    for (const std::string& name : names) {
      const std::string child = absl::StrCat(path, "/", name);
      RETURN_IF_ERROR(in_upper.count(name) > 0 ? CompareEntry(upper, lowers, name, child)
                                               : Deleted(lowers, name, child));
    }
    return absl::OkStatus();
  }

  std::vector<Change> Take() { return std::move(changes_); }

 private:
  absl::Status Add(const std::string& path, ChangeKind kind) {
    if (changes_.size() >= most_) {
      return BeyondLimit(absl::StrCat("there are more than ", most_, " changes"));
    }
    changes_.push_back({path, kind});
    return absl::OkStatus();
  }

  absl::Status Deleted(const std::vector<UniqueFd>& lowers, const std::string& name,
                       const std::string& path) {
    ASSIGN_OR_RETURN(const Below below, LookBelow(lowers, name, false));
    return below.exists ? Add(path, ChangeKind::kDeleted) : absl::OkStatus();
  }

  absl::Status CompareEntry(int upper, const std::vector<UniqueFd>& lowers, const std::string& name,
                            const std::string& path) {
    struct stat info;
    if (fstatat(upper, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (Vanished(errno)) return absl::OkStatus();
      return ErrnoStatus(errno, absl::StrCat("look at ", Quoted(path)));
    }
    if (IsWhiteout(info.st_mode, info.st_rdev)) return Deleted(lowers, name, path);
    ASSIGN_OR_RETURN(const Below below, LookBelow(lowers, name, S_ISDIR(info.st_mode)));
    RETURN_IF_ERROR(Add(path, below.exists ? ChangeKind::kChanged : ChangeKind::kAdded));
    if (!S_ISDIR(info.st_mode)) return absl::OkStatus();
    const UniqueFd dir(openat(upper, name.c_str(), kDirectory));
    if (!dir) {
      if (Vanished(errno)) return absl::OkStatus();
      return ErrnoStatus(errno, absl::StrCat("open ", Quoted(path)));
    }
    return Compare(dir.get(), below.directories, path);
  }

  const size_t most_;
  std::vector<Change> changes_;
};

}  // namespace

absl::StatusOr<std::vector<Change>> DiffUpper(int upper, const std::vector<int>& lowers,
                                              size_t most_changes) {
  std::vector<UniqueFd> roots;
  for (int lower : lowers) {
    UniqueFd root(openat(lower, ".", kDirectory));
    if (!root) return ErrnoStatus(errno, "open a layer");
    roots.push_back(std::move(root));
  }
  const UniqueFd top(openat(upper, ".", kDirectory));
  if (!top) return ErrnoStatus(errno, "open the writable layer");
  Differ differ(most_changes);
  RETURN_IF_ERROR(differ.Compare(top.get(), roots, ""));
  std::vector<Change> changes = differ.Take();
  return changes;
}

}  // namespace noded::layer
