#include "rootfs/mount/mount.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "node/base/syscalls.h"
#include "rootfs/mount/path.h"
#include "rootfs/mount/source.h"

// Macros of <sys/sysmacros.h> that would rename fields of MakeNode.
#undef major
#undef minor

namespace noded::mount {
namespace {

namespace pb = ::node::shim::v1;

// <linux/mount.h> has it, but clashes with <sys/mount.h>.
constexpr uint64_t kAtimeAttributes = MOUNT_ATTR__ATIME;

int AttachAt(int mount, int target) {
  return move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int SetAttributes(int mount, uint64_t attributes, bool recursive) {
  mount_attr attr{};
  attr.attr_set = attributes;
  // The access time setting is a number in these bits, and its old value must be cleared for a new
  // one.
  if (attributes & kAtimeAttributes) attr.attr_clr = kAtimeAttributes;
  return mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
                       sizeof(attr));
}

int CloneOf(int fd, bool recursive) {
  return open_tree(
      fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0));
}

// Whether both are the very same place: the same file seen through the same mount.
bool SamePlace(int a, int b) {
  struct statx first, second;
  const unsigned mask = STATX_INO | STATX_MNT_ID;
  return statx(a, "", AT_EMPTY_PATH, mask, &first) == 0 &&
         statx(b, "", AT_EMPTY_PATH, mask, &second) == 0 && first.stx_ino == second.stx_ino &&
         first.stx_mnt_id == second.stx_mnt_id;
}

bool IsMissing(int error) { return error == ENOENT || error == ENOTDIR; }

}  // namespace

Result MakeMountsPrivate() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Failed(errno, "/", "while making it private");
  }
  return {};
}

Result NewRoot::Attach(UniqueFd source) {
  if (move_mount(source.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return Failed(errno, "/", "while attaching it");
  }
  root_ = std::move(source);
  return {};
}

Result NewRoot::AttachMount(int source, const std::string& description,
                            const pb::AttachMount& step) {
  const std::string at = "at \"" + step.target() + "\"";
  struct stat info;
  if (fstat(source, &info) != 0) return Failed(errno, description, at);
  UniqueFd target;
  Result opened = OpenTarget(fd(), step.target(), S_ISDIR(info.st_mode), &target);
  if (!opened.ok()) return Failed(opened.error, description, at);
  // What is mounted over the root itself is seen by nobody: "/" does not look for it.
  if (SamePlace(target.get(), fd())) return Failed(EBUSY, description, at + ", which is the root,");
  // Before it is attached, so that there is no moment when it is writable that should not be.
  if (step.attributes() != 0 &&
      SetAttributes(source, step.attributes(), step.recursive_attributes()) != 0) {
    return Failed(errno, description, at);
  }
  if (AttachAt(source, target.get()) != 0) return Failed(errno, description, at);
  return {};
}

Result NewRoot::NewMount(const pb::NewMount& step) {
  auto mount = [&]() -> Result {
    FileSystem wanted{.type = step.type(), .source = step.source()};
    wanted.options.assign(step.options().begin(), step.options().end());
    wanted.attributes = step.attributes();
    UniqueFd made, target;
    if (Result result = MakeFileSystem(wanted, &made); !result.ok()) return result;
    if (Result result = OpenTarget(fd(), step.target(), true, &target); !result.ok()) return result;
    if (AttachAt(made.get(), target.get()) != 0) return Failed(errno, step.type());
    return {};
  };
  Result result = mount();
  if (result.ok() || step.optional()) return {};
  result.object = step.type();
  result.detail =
      "at \"" + step.target() + "\"" + (result.detail.empty() ? "" : ": " + result.detail);
  return result;
}

Result NewRoot::MakeNode(const pb::MakeNode& step) {
  UniqueFd parent;
  std::string name;
  if (Result made = OpenParent(fd(), step.path(), &parent, &name); !made.ok()) return made;
  const dev_t device = makedev(step.major(), step.minor());
  int made = mknodat(parent.get(), name.c_str(), step.mode(), device);
  if (made != 0 && errno == EEXIST) {
    struct stat info;
    if (fstatat(parent.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return Failed(errno, step.path());
    }
    made = 0;
    if ((info.st_mode & S_IFMT) != (step.mode() & S_IFMT) || info.st_rdev != device) {
      if (unlinkat(parent.get(), name.c_str(), 0) != 0) return Failed(errno, step.path());
      made = mknodat(parent.get(), name.c_str(), step.mode(), device);
    }
  }
  if (made != 0) return Failed(errno, step.path());
  if (fchownat(parent.get(), name.c_str(), step.uid(), step.gid(), AT_SYMLINK_NOFOLLOW) != 0 ||
      fchmodat(parent.get(), name.c_str(), step.mode() & 07777, 0) != 0) {
    return Failed(errno, step.path());
  }
  return {};
}

Result NewRoot::MakeSymlink(const pb::MakeSymlink& step) {
  UniqueFd parent;
  std::string name;
  if (Result made = OpenParent(fd(), step.path(), &parent, &name); !made.ok()) return made;
  if (symlinkat(step.target().c_str(), parent.get(), name.c_str()) != 0 && errno != EEXIST) {
    return Failed(errno, step.path());
  }
  return {};
}

Result NewRoot::MakeDirectory(const pb::MakeDirectory& step) {
  UniqueFd made;
  return MakeDirectories(fd(), step.path(), step.mode(), {}, &made);
}

Result NewRoot::Pivot() {
  if (fchdir(fd()) != 0) return Failed(errno, "/", "while entering it");
  // pivot_root(2): with "." twice the old root ends stacked on the new one, and the unmount takes
  // the topmost. No directory for the old root is needed, so a read-only root works.
  if (syscall(SYS_pivot_root, ".", ".") != 0) return Failed(errno, "/", "while changing to it");
  if (umount2(".", MNT_DETACH) != 0) return Failed(errno, "/", "while detaching the host's tree");
  if (chdir("/") != 0) return Failed(errno, "/", "while entering it");
  return {};
}

Result NewRoot::MaskPath(const std::string& path) {
  UniqueFd target(OpenInRoot(fd(), path.c_str(), O_PATH));
  if (!target) return IsMissing(errno) ? Result{} : Failed(errno, path, "to mask it");
  struct stat info;
  if (fstat(target.get(), &info) != 0) return Failed(errno, path, "to mask it");
  UniqueFd cover;
  if (S_ISDIR(info.st_mode)) {
    if (!empty_directory_) {
      FileSystem wanted{.type = "tmpfs", .source = "tmpfs", .options = {"mode=0555"}};
      wanted.attributes =
          MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
      if (Result made = MakeFileSystem(wanted, &empty_directory_); !made.ok()) return made;
      // The first is attached itself, because before Linux 6.15 a detached mount cannot be cloned.
      if (AttachAt(empty_directory_.get(), target.get()) != 0)
        return Failed(errno, path, "to mask it");
      return {};
    }
    cover.Reset(CloneOf(empty_directory_.get(), false));
  } else {
    UniqueFd null(OpenInRoot(fd(), "/dev/null", O_PATH));
    // The container's own, so it is looked at first: an image's look-alike would unmask the path.
    if (null && (fstat(null.get(), &info) != 0 || !S_ISCHR(info.st_mode) ||
                 info.st_rdev != makedev(1, 3))) {
      return Failed(ENODEV, path, "to mask it with /dev/null, which is not the null device");
    }
    if (null) cover.Reset(CloneOf(null.get(), false));
  }
  if (!cover || AttachAt(cover.get(), target.get()) != 0) return Failed(errno, path, "to mask it");
  return {};
}

Result NewRoot::ReadOnlyPath(const std::string& path) {
  UniqueFd target(OpenInRoot(fd(), path.c_str(), O_PATH));
  if (!target) return IsMissing(errno) ? Result{} : Failed(errno, path, "to make it read-only");
  // A mount's own root needs no second mount over it, and no copies of those below.
  if (SetAttributes(target.get(), MOUNT_ATTR_RDONLY, true) == 0) return {};
  // A clone over itself, because the path is a part of a mount whose rest stays writable.
  UniqueFd clone(CloneOf(target.get(), true));
  if (!clone || SetAttributes(clone.get(), MOUNT_ATTR_RDONLY, true) != 0 ||
      AttachAt(clone.get(), target.get()) != 0) {
    return Failed(errno, path, "to make it read-only");
  }
  return {};
}

Result NewRoot::ReadOnlyRoot() {
  if (SetAttributes(fd(), MOUNT_ATTR_RDONLY, false) != 0) {
    return Failed(errno, "/", "to make it read-only");
  }
  return {};
}

Result NewRoot::BindConsole(int terminal) {
  UniqueFd target;
  if (Result opened = OpenTarget(fd(), "/dev/console", false, &target); !opened.ok()) return opened;
  UniqueFd clone(CloneOf(terminal, false));
  if (!clone || AttachAt(clone.get(), target.get()) != 0) return Failed(errno, "/dev/console");
  return {};
}

Result NewRoot::SetSysctl(const pb::Sysctl& step) {
  UniqueFd file(OpenInRoot(fd(), ("/proc/sys/" + step.path()).c_str(), O_WRONLY));
  if (!file) return Failed(errno, step.path());
  // A file of the image in its place would swallow the value.
  struct statfs where;
  if (fstatfs(file.get(), &where) != 0 || where.f_type != PROC_SUPER_MAGIC) {
    return Failed(ENOENT, step.path(), "without /proc");
  }
  ssize_t written = write(file.get(), step.value().data(), step.value().size());
  if (written < 0) return Failed(errno, step.path(), "to \"" + step.value() + "\"");
  return {};
}

}  // namespace noded::mount
