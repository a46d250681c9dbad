// MeasureTree. A layer was written by strangers: it may be deeper than PATH_MAX or the descriptor
// limit, so the walk holds one descriptor whatever the depth, and resolves one name at a time.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/syscalls.h"
#include "rootfs/store/layer_store.h"

namespace noded::store {
namespace {

class Walk {
 public:
  // Counts what is in `dir`, and returns the names of its directories.
  absl::StatusOr<std::vector<std::string>> Count(int dir) {
    std::vector<std::string> directories;
    // Opened anew, because a position in a directory is the descriptor's, and `dir` is borrowed.
    const int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return ErrnoStatus(errno, "measure tree: open directory");
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(copy), closedir);
    if (!stream) {
      const int error = errno;
      close(copy);
      return ErrnoStatus(error, "measure tree: list directory");
    }
    while (true) {
      errno = 0;
      const dirent* entry = readdir(stream.get());
      if (entry == nullptr) break;
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      ++size_.entries;
      if (entry->d_type == DT_DIR) {
        directories.emplace_back(entry->d_name);
      } else if (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) {
        RETURN_IF_ERROR(CountFile(dir, entry->d_name, &directories));
      }
    }
    if (errno != 0) return ErrnoStatus(errno, "measure tree: list directory");
    return directories;
  }

  const TreeSize& size() const { return size_; }

 private:
  absl::Status CountFile(int dir, const char* name, std::vector<std::string>* directories) {
    struct stat info;
    if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, absl::StrCat("measure tree: look at \"", name, "\""));
    }
    if (S_ISDIR(info.st_mode)) {
      directories->emplace_back(name);
    } else if (S_ISREG(info.st_mode) &&
               (info.st_nlink == 1 || linked_.insert(info.st_ino).second)) {
      size_.bytes += info.st_size;
    }
    return absl::OkStatus();
  }

  TreeSize size_;
  std::set<ino_t> linked_;  // files of several names that were counted
};

absl::StatusOr<UniqueFd> Descend(int dir, const std::string& name) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  UniqueFd down(OpenAt2(dir, name.c_str(), how));
  if (!down) return ErrnoStatus(errno, absl::StrCat("measure tree: open \"", name, "\""));
  return down;
}

}  // namespace

absl::StatusOr<TreeSize> MeasureTree(int dir) {
  Walk walk;
  ASSIGN_OR_RETURN(UniqueFd current, OpenAt(dir, ".", O_RDONLY | O_DIRECTORY));
  std::vector<std::vector<std::string>> levels;  // directories still to be counted
  ASSIGN_OR_RETURN(std::vector<std::string> top, walk.Count(current.get()));
  levels.push_back(std::move(top));
  while (true) {
    if (!levels.back().empty()) {
      const std::string name = std::move(levels.back().back());
      levels.back().pop_back();
      ASSIGN_OR_RETURN(current, Descend(current.get(), name));
      ASSIGN_OR_RETURN(std::vector<std::string> below, walk.Count(current.get()));
      levels.push_back(std::move(below));
      continue;
    }
    levels.pop_back();
    if (levels.empty()) return walk.size();
    ASSIGN_OR_RETURN(current, OpenAt(current.get(), "..", O_RDONLY | O_DIRECTORY));
  }
}

}  // namespace noded::store
