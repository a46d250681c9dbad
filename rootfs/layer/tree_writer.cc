#include "rootfs/layer/tree_writer.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"
#include "rootfs/layer/entry_name.h"
#include "rootfs/layer/ids.h"
#include "rootfs/layer/overlay_notes.h"
#include "rootfs/layer/refusal.h"

namespace noded::layer {
namespace {

constexpr mode_t kImpliedMode = 0755;

// Errors that the entry itself caused are the layer's fault, the others the host's.
absl::Status Failed(int error, std::string_view what) {
  if (error == ENAMETOOLONG) return Refused("its name is too long");
  return DiskError(error, what);
}

// What cannot be kept there at all is left out: the file system knows no such attributes, or the
// kernel forbids them for this type of file (user.* of anything but files and directories).
bool MayBeLeftOut(int error, std::string_view name) {
  return error == EOPNOTSUPP || (error == EPERM && name.starts_with("user."));
}

absl::Status SetAttributes(const TarEntry& entry,
                           const std::function<int(const char*, const std::string&)>& set) {
  for (const auto& [name, value] : entry.attributes) {
    if (IsReservedAttribute(name)) continue;
    if (set(name.c_str(), value) == 0 || MayBeLeftOut(errno, name)) continue;
    return Failed(errno, absl::StrCat("set attribute ", Quoted(name)));
  }
  return absl::OkStatus();
}

constexpr timespec kNoChange{0, UTIME_OMIT};

}  // namespace

TreeWriter::TreeWriter(int root, TreeWriterOptions options)
    : root_(root),
      options_(std::move(options)),
      base_(PathParts(options_.path)),
      walk_(root, [this](int parent, const std::string& name, bool whiteout) {
        return MakeImplied(parent, name, whiteout);
      }) {}

absl::Status TreeWriter::CheckPath() {
  const absl::StatusOr<int> dir = walk_.Enter(base_);
  if (dir.ok() || absl::IsNotFound(dir.status())) return dir.status();
  // What is in the way is the tree's own, not the tar's.
  return absl::IsInvalidArgument(dir.status())
             ? absl::FailedPreconditionError(dir.status().message())
             : dir.status();
}

std::vector<std::string> TreeWriter::Below(std::string_view name) const {
  std::vector<std::string> parts = base_;
  for (std::string& part : PathParts(name)) parts.push_back(std::move(part));
  return parts;
}

absl::Status TreeWriter::CountEntry() {
  if (++entries_ > options_.max_entries) {
    return BeyondLimit(absl::StrCat("it has more than ", options_.max_entries, " entries"));
  }
  return absl::OkStatus();
}

absl::Status TreeWriter::Apply(const TarEntry& entry, const NextData& data) {
  return Annotate(Make(entry, data), absl::StrCat("entry ", Quoted(entry.name)));
}

absl::Status TreeWriter::SetOwner(Place* place) const {
  const int64_t uid = options_.owner ? options_.owner->uid : place->entry.uid;
  const int64_t gid = options_.owner ? options_.owner->gid : place->entry.gid;
  const std::optional<uint32_t> host_uid = ToOutside(options_.ids, uid);
  const std::optional<uint32_t> host_gid = ToOutside(options_.ids, gid);
  if (!host_uid || !host_gid) return Refused(absl::StrCat("no such owner here: ", uid, ":", gid));
  place->uid = *host_uid;
  place->gid = *host_gid;
  return absl::OkStatus();
}

absl::Status TreeWriter::Make(const TarEntry& entry, const NextData& data) {
  RETURN_IF_ERROR(CountEntry());
  Place place{.entry = entry, .parts = Below(entry.name)};
  RETURN_IF_ERROR(SetOwner(&place));
  if (place.parts.size() == base_.size()) return MakeRoot(place);
  std::vector<std::string> parents(place.parts.begin(), place.parts.end() - 1);
  ASSIGN_OR_RETURN(place.parent, walk_.EnterOrMake(parents));
  place.name = place.parts.back();
  if (options_.mode == UnpackMode::kLayer) {
    switch (KindOfName(place.name)) {
      case NameKind::kWhiteout:
        return MakeWhiteout(place);
      case NameKind::kOpaque:
        return MakeOpaque(place.parent);
      case NameKind::kIgnored:
        return absl::OkStatus();
      case NameKind::kInvalid:
        return Refused("a whiteout of nothing");
      case NameKind::kFile:
        break;
    }
  }
  return MakeKind(place, data);
}

absl::Status TreeWriter::MakeKind(const Place& place, const NextData& data) {
  switch (place.entry.type) {
    case 0:
      return MakeHardLink(place);
    case S_IFREG:
      return MakeFile(place, data);
    case S_IFDIR:
      return MakeDirectory(place);
    case S_IFLNK:
      return MakeSymlink(place);
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
      return MakeNode(place);
    default:
      return Refused(absl::StrCat("a type of file that is not known: ", place.entry.type));
  }
}

absl::Status TreeWriter::MakeRoot(const Place& place) {
  if (place.entry.type != S_IFDIR) return Refused("the root is a directory");
  // A copy's own root stays as it is: it is a directory of the container's.
  if (options_.mode == UnpackMode::kCopy) return absl::OkStatus();
  UniqueFd fd(openat(root_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Failed(errno, "open");
  return SetDirectory(fd.get(), place);
}

// Whether a directory is there already which is to be kept. `hides`: a whiteout was in its place,
// so that the new one must hide what is below.
absl::StatusOr<bool> TreeWriter::KeepsDirectory(const Place& place, bool* hides) {
  struct stat info;
  if (fstatat(place.parent, place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return false;
    return Failed(errno, "look at what is there");
  }
  if (S_ISDIR(info.st_mode)) return true;
  *hides = options_.mode == UnpackMode::kLayer && IsWhiteout(info.st_mode, info.st_rdev);
  // In a copy a link to a directory is as good as one.
  if (options_.mode == UnpackMode::kCopy && !options_.overwrite_type && S_ISLNK(info.st_mode)) {
    return true;
  }
  RETURN_IF_ERROR(RemoveOld(place));
  return false;
}

absl::Status TreeWriter::MakeDirectory(const Place& place) {
  // Most are new, and nothing needs to be looked at.
  bool hides = false;
  if (mkdirat(place.parent, place.name.c_str(), 0700) != 0) {
    if (errno != EEXIST) return Failed(errno, "make directory");
    ASSIGN_OR_RETURN(const bool keeps, KeepsDirectory(place, &hides));
    if (!keeps && mkdirat(place.parent, place.name.c_str(), 0700) != 0) {
      return Failed(errno, "make directory");
    }
  }
  absl::StatusOr<int> dir = walk_.Enter(place.parts);
  if (!dir.ok() && options_.mode == UnpackMode::kCopy && !absl::IsUnavailable(dir.status())) {
    return absl::FailedPreconditionError("a directory cannot take the place of what is there");
  }
  RETURN_IF_ERROR(dir.status());
  UniqueFd fd(openat(*dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Failed(errno, "open");
  if (hides) RETURN_IF_ERROR(MakeOpaque(fd.get()));
  return SetDirectory(fd.get(), place);
}

absl::Status TreeWriter::SetDirectory(int fd, const Place& place) {
  if (fchown(fd, place.uid, place.gid) != 0) return Failed(errno, "set owner");
  if (fchmod(fd, place.entry.permissions) != 0) return Failed(errno, "set mode");
  RETURN_IF_ERROR(SetAttributes(place.entry, [fd](const char* name, const std::string& value) {
    return fsetxattr(fd, name, value.data(), value.size(), 0);
  }));
  struct stat info;
  if (fstat(fd, &info) != 0) return Failed(errno, "look at directory");
  directory_times_[place.parts] = {info.st_dev, info.st_ino, place.entry.mtime};
  return absl::OkStatus();
}

absl::Status TreeWriter::MakeFile(const Place& place, const NextData& data) {
  UniqueFd fd;
  RETURN_IF_ERROR(Replacing(place, [&fd, &place] {
    // Exclusively: what is there, a link or a FIFO perhaps, is never opened.
    fd.Reset(openat(place.parent, place.name.c_str(),
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    return fd ? 0 : -1;
  }));
  RETURN_IF_ERROR(WriteData(fd.get(), place.entry, data));
  // In this order because a change of owner clears setuid bits and capabilities, as a write does.
  if (fchown(fd.get(), place.uid, place.gid) != 0) return Failed(errno, "set owner");
  if (fchmod(fd.get(), place.entry.permissions) != 0) return Failed(errno, "set mode");
  RETURN_IF_ERROR(SetAttributes(place.entry, [&fd](const char* name, const std::string& value) {
    return fsetxattr(fd.get(), name, value.data(), value.size(), 0);
  }));
  const timespec times[] = {kNoChange, place.entry.mtime};
  if (futimens(fd.get(), times) != 0) return Failed(errno, "set time");
  return absl::OkStatus();
}

absl::Status TreeWriter::WriteData(int fd, const TarEntry& entry, const NextData& data) {
  int64_t end = 0;
  while (true) {
    ASSIGN_OR_RETURN(std::optional<TarData> piece, data());
    if (!piece) break;
    while (!piece->bytes.empty()) {
      const ssize_t size = pwrite(fd, piece->bytes.data(), piece->bytes.size(), piece->offset);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return Failed(errno, "write");
      piece->bytes.remove_prefix(static_cast<size_t>(size));
      piece->offset += size;
      file_bytes_ += size;
    }
    end = std::max(end, piece->offset);
  }
  if (end < entry.size && ftruncate(fd, entry.size) != 0) {
    if (errno == EFBIG || errno == EINVAL)
      return Refused(absl::StrCat("a file of ", entry.size, " bytes"));
    return Failed(errno, "set size");
  }
  return absl::OkStatus();
}

absl::Status TreeWriter::MakeSymlink(const Place& place) {
  if (place.entry.target.empty()) return Refused("a link to nothing");
  RETURN_IF_ERROR(Replacing(place, [&place] {
    return symlinkat(place.entry.target.c_str(), place.parent, place.name.c_str());
  }));
  return SetAttributesByName(place);
}

absl::Status TreeWriter::MakeNode(const Place& place) {
  // Overlayfs would take it for a whiteout, and a layer says those by name.
  if (IsWhiteout(place.entry.type, place.entry.device)) return absl::OkStatus();
  RETURN_IF_ERROR(Replacing(place, [&place] {
    return mknodat(place.parent, place.name.c_str(), place.entry.type | 0600, place.entry.device);
  }));
  return SetAttributesByName(place);
}

absl::Status TreeWriter::MakeHardLink(const Place& place) {
  const std::vector<std::string> target = Below(place.entry.target);
  const std::string what = absl::StrCat("hard link to ", Quoted(place.entry.target));
  if (target.size() == base_.size()) return Refused(absl::StrCat(what, ": a directory"));
  // The walk moves away from the parent, which must be held beyond that.
  UniqueFd parent(fcntl(place.parent, F_DUPFD_CLOEXEC, 0));
  if (!parent) return ErrnoStatus(errno, "copy descriptor");
  const absl::StatusOr<int> dir =
      walk_.Enter(std::vector<std::string>(target.begin(), target.end() - 1));
  const std::string absent = absl::StrCat(what, ": there is no such file in this layer");
  if (!dir.ok())
    return absl::IsNotFound(dir.status()) ? Refused(absent) : Annotate(dir.status(), what);
  struct stat old_file, new_file;
  if (fstatat(*dir, target.back().c_str(), &old_file, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? Refused(absent) : Failed(errno, what);
  }
  if (S_ISDIR(old_file.st_mode)) return Refused(absl::StrCat(what, ": a directory"));
  if (IsWhiteout(old_file.st_mode, old_file.st_rdev)) return Refused(absent);
  // Nothing to do, and removing the old one might remove the only one.
  if (fstatat(parent.get(), place.name.c_str(), &new_file, AT_SYMLINK_NOFOLLOW) == 0 &&
      old_file.st_dev == new_file.st_dev && old_file.st_ino == new_file.st_ino) {
    return absl::OkStatus();
  }
  Place there = place;
  there.parent = parent.get();
  return Replacing(there, [&] {
    return linkat(*dir, target.back().c_str(), there.parent, there.name.c_str(), 0);
  });
}

absl::Status TreeWriter::MakeWhiteout(const Place& place) {
  const std::string name = place.name.substr(kWhiteoutPrefix.size());
  if (mknodat(place.parent, name.c_str(), S_IFCHR, makedev(0, 0)) == 0) return absl::OkStatus();
  if (errno != EEXIST) return Failed(errno, "make whiteout");
  // A whiteout is about the layers below, whatever comes first in this one: a file hides them
  // anyhow, a directory only when it is opaque.
  UniqueFd dir(openat(place.parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (dir) return MakeOpaque(dir.get());
  if (errno != ENOTDIR && errno != ELOOP) return Failed(errno, "make whiteout");
  return absl::OkStatus();
}

absl::Status TreeWriter::MakeOpaque(int dir) {
  // There is no fsetxattr(2) for a directory that is held by O_PATH; "." needs no name of it.
  if (fchdir(dir) != 0 || lsetxattr(".", kTrustedOpaque, "y", 1, 0) != 0) {
    return Failed(errno, "make opaque");
  }
  return absl::OkStatus();
}

absl::Status TreeWriter::MakeImplied(int parent, const std::string& name, bool whiteout) {
  RETURN_IF_ERROR(CountEntry());
  if (whiteout && unlinkat(parent, name.c_str(), 0) != 0) return Failed(errno, "replace whiteout");
  if (mkdirat(parent, name.c_str(), kImpliedMode) != 0) return Failed(errno, "make directory");
  const uint32_t uid = options_.owner ? options_.owner->uid : 0;
  const uint32_t gid = options_.owner ? options_.owner->gid : 0;
  const std::optional<uint32_t> host_uid = ToOutside(options_.ids, uid);
  const std::optional<uint32_t> host_gid = ToOutside(options_.ids, gid);
  // Also when it is root's: a parent with a setgid bit has given it another group.
  if (host_uid && host_gid &&
      fchownat(parent, name.c_str(), *host_uid, *host_gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return Failed(errno, "set owner");
  }
  if (!whiteout) return absl::OkStatus();
  UniqueFd dir(openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir) return Failed(errno, "open");
  return MakeOpaque(dir.get());
}

absl::Status TreeWriter::Replacing(const Place& place, const std::function<int()>& make) {
  if (make() == 0) return absl::OkStatus();
  if (errno != EEXIST) return Failed(errno, "make");
  RETURN_IF_ERROR(RemoveOld(place));
  if (make() != 0) return Failed(errno, "make");
  return absl::OkStatus();
}

absl::Status TreeWriter::RemoveOld(const Place& place) {
  const bool may_change_type = options_.mode == UnpackMode::kLayer || options_.overwrite_type;
  const bool is_directory = place.entry.type == S_IFDIR;
  if (is_directory && !may_change_type) {
    return absl::FailedPreconditionError("a directory cannot take the place of what is there");
  }
  if (unlinkat(place.parent, place.name.c_str(), 0) == 0 || errno == ENOENT)
    return absl::OkStatus();
  if (errno != EISDIR) return Failed(errno, "replace what is there");
  if (!may_change_type) {
    return absl::FailedPreconditionError("it cannot take the place of a directory");
  }
  return Annotate(RemoveTreeAt(place.parent, place.name), "replace the directory that is there");
}

// For what cannot be opened: links, devices and FIFOs.
absl::Status TreeWriter::SetAttributesByName(const Place& place) {
  const char* name = place.name.c_str();
  if (fchownat(place.parent, name, place.uid, place.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return Failed(errno, "set owner");
  }
  // The name is a new one of ours, but others may exchange it: for a link in its place it would be
  // the link's target, inside the tree still.
  if (place.entry.type != S_IFLNK &&
      fchmodat(place.parent, name, place.entry.permissions, 0) != 0) {
    return Failed(errno, "set mode");
  }
  if (!place.entry.attributes.empty()) {
    if (fchdir(place.parent) != 0) return Failed(errno, "enter the directory");
    RETURN_IF_ERROR(SetAttributes(place.entry, [name](const char* key, const std::string& value) {
      return lsetxattr(name, key, value.data(), value.size(), 0);
    }));
  }
  const timespec times[] = {kNoChange, place.entry.mtime};
  if (utimensat(place.parent, name, times, AT_SYMLINK_NOFOLLOW) != 0)
    return Failed(errno, "set time");
  return absl::OkStatus();
}

absl::Status TreeWriter::Finish() {
  for (const auto& [parts, directory] : directory_times_) {
    const absl::StatusOr<int> dir = walk_.Enter(parts);
    struct stat info;
    // Another may be there by now, of this layer or somebody else's.
    if (!dir.ok() || fstat(*dir, &info) != 0 || info.st_dev != directory.device ||
        info.st_ino != directory.inode) {
      continue;
    }
    const timespec times[] = {kNoChange, directory.mtime};
    if (fchdir(*dir) != 0 || utimensat(AT_FDCWD, ".", times, 0) != 0) {
      return Failed(errno, "set the time of a directory");
    }
  }
  return absl::OkStatus();
}

}  // namespace noded::layer
