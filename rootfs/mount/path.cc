#include "rootfs/mount/path.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include <cerrno>

#include "node/base/syscalls.h"

namespace noded::mount {
namespace {

constexpr int kMaxDanglingLinks = 8;
constexpr int kOpenDirectory = O_PATH | O_DIRECTORY;

Result MakeWalk(int root, const std::string& path, mode_t mode, Owner owner, int depth,
                UniqueFd* out);

// 0 or an errno.
int MakeIn(int parent, const std::string& name, mode_t mode, Owner owner) {
  if (mkdirat(parent, name.c_str(), mode) != 0) return errno;
  if (owner.uid != static_cast<uid_t>(-1) &&
      fchownat(parent, name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno;
  }
  return 0;
}

// `name` in the directory `done` leads nowhere: make it, or what it points to.
Result MakeOne(int root, const std::string& done, const std::string& name, mode_t mode, Owner owner,
               int depth) {
  const std::string whole = done + "/" + name;
  UniqueFd parent(OpenInRoot(root, done.c_str(), kOpenDirectory));
  if (!parent) return Failed(errno, whole);
  const int error = MakeIn(parent.get(), name, mode, owner);
  if (error == 0) return {};
  if (error != EEXIST) return Failed(error, whole);
  // Nothing there to open, and yet it exists: a symlink to what is missing, which is made then,
  // inside.
  char link[PATH_MAX];
  ssize_t length = readlinkat(parent.get(), name.c_str(), link, sizeof(link));
  if (length <= 0) return Failed(ENOTDIR, whole);
  if (depth >= kMaxDanglingLinks) return Failed(ELOOP, whole);
  std::string target(link, static_cast<size_t>(length));
  UniqueFd made;
  return MakeWalk(root, target.front() == '/' ? target : done + "/" + target, mode, owner,
                  depth + 1, &made);
}

Result MakeWalk(int root, const std::string& path, mode_t mode, Owner owner, int depth,
                UniqueFd* out) {
  std::string done = "/";
  out->Reset(OpenInRoot(root, done.c_str(), kOpenDirectory));
  size_t start = 0;
  while (start < path.size()) {
    size_t end = path.find('/', start);
    if (end == std::string::npos) end = path.size();
    std::string name = path.substr(start, end - start);
    start = end + 1;
    if (name.empty() || name == ".") continue;
    const std::string next = done + "/" + name;
    out->Reset(OpenInRoot(root, next.c_str(), kOpenDirectory));
    if (!*out && errno == ENOENT) {
      Result made = MakeOne(root, done, name, mode, owner, depth);
      if (!made.ok()) return made;
      out->Reset(OpenInRoot(root, next.c_str(), kOpenDirectory));
    }
    if (!*out) return Failed(errno, next);
    done = next;
  }
  if (!*out) return Failed(errno, path);
  return {};
}

// What has just not been found. Mostly it is the last part alone that is missing, and then three
// calls do instead of some for each part.
Result MakeMissing(int root, const std::string& path, mode_t mode, Owner owner, UniqueFd* out) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (slash != std::string::npos && !name.empty() && name != "." && name != "..") {
    UniqueFd parent(OpenInRoot(root, path.substr(0, slash + 1).c_str(), kOpenDirectory));
    if (parent && MakeIn(parent.get(), name, mode, owner) == 0) {
      out->Reset(openat(parent.get(), name.c_str(), kOpenDirectory | O_NOFOLLOW | O_CLOEXEC));
      if (*out) return {};
    }
  }
  Result made = MakeWalk(root, path, mode, owner, 0, out);
  if (!made.ok()) made.object = path;
  return made;
}

}  // namespace

Result MakeDirectories(int root, const std::string& path, mode_t mode, Owner owner, UniqueFd* out) {
  // Most exist: one look-up of the whole instead of one for each part.
  out->Reset(OpenInRoot(root, path.c_str(), kOpenDirectory));
  if (*out) return {};
  return MakeMissing(root, path, mode, owner, out);
}

Result OpenParent(int root, const std::string& path, UniqueFd* parent, std::string* name) {
  size_t end = path.find_last_not_of('/');
  size_t slash = end == std::string::npos ? end : path.rfind('/', end);
  if (slash == std::string::npos) return Failed(EINVAL, path);
  *name = path.substr(slash + 1, end - slash);
  if (*name == ".." || *name == ".") return Failed(EINVAL, path);
  return MakeDirectories(root, path.substr(0, slash + 1), 0755, {}, parent);
}

Result OpenTarget(int root, const std::string& path, bool directory, UniqueFd* out) {
  out->Reset(OpenInRoot(root, path.c_str(), O_PATH));
  if (*out) return {};
  if (errno != ENOENT) return Failed(errno, path);
  if (directory) return MakeMissing(root, path, 0755, {}, out);
  UniqueFd parent;
  std::string name;
  if (Result made = OpenParent(root, path, &parent, &name); !made.ok()) return made;
  // By the whole path and without O_EXCL, so that a dangling symlink has its target made, in the
  // root.
  UniqueFd file(OpenInRoot(root, path.c_str(), O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY, 0644));
  if (!file) return Failed(errno, path);
  out->Reset(OpenInRoot(root, path.c_str(), O_PATH));
  if (!*out) return Failed(errno, path);
  return {};
}

}  // namespace noded::mount
