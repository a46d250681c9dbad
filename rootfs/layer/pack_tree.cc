#include "rootfs/layer/pack_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "node/base/syscalls.h"
#include "rootfs/layer/entry_name.h"
#include "rootfs/layer/ids.h"
#include "rootfs/layer/overlay_notes.h"
#include "rootfs/layer/refusal.h"
#include "rootfs/layer/tar_writer.h"

namespace noded::layer {
namespace {

constexpr size_t kBufferBytes = 256 << 10;
constexpr int kMostLinks = 40;
constexpr int kReadFile = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
constexpr int kReadDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// The tree is in use: what was listed may be gone, or something else, by now.
bool Vanished(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENXIO;
}

std::string ReadLink(int dir, const char* name) {
  char target[PATH_MAX];
  const ssize_t size = readlinkat(dir, name, target, sizeof target);
  return size < 0 ? "" : std::string(target, static_cast<size_t>(size));
}

// What sits on it hides what the tree itself has there.
bool IsMountRoot(int dir, const char* name) {
  struct statx info {};
  return statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &info) == 0 &&
         (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

// In the order of their names, so that the order on disk does not matter.
using Attributes = std::vector<std::pair<std::string, std::string>>;
Attributes ReadAttributes(const std::function<ssize_t(char*, size_t)>& list,
                          const std::function<ssize_t(const char*, char*, size_t)>& get) {
  Attributes attributes;
  std::string names(XATTR_LIST_MAX, '\0');
  const ssize_t size = list(names.data(), names.size());
  if (size <= 0) return attributes;
  std::string value(XATTR_SIZE_MAX, '\0');
  for (const char* name = names.data(); name < names.data() + size;
       name += std::char_traits<char>::length(name) + 1) {
    if (IsReservedAttribute(name)) continue;
    const ssize_t length = get(name, value.data(), value.size());
    if (length >= 0) attributes.emplace_back(name, value.substr(0, static_cast<size_t>(length)));
  }
  std::sort(attributes.begin(), attributes.end());
  return attributes;
}

Attributes AttributesOf(int fd) {
  // Most files have none, and the buffers are large.
  if (flistxattr(fd, nullptr, 0) <= 0) return {};
  return ReadAttributes(
      [fd](char* out, size_t size) { return flistxattr(fd, out, size); },
      [fd](const char* name, char* out, size_t size) { return fgetxattr(fd, name, out, size); });
}

// Of what cannot be opened.
Attributes AttributesOf(int dir, const char* name) {
  if (fchdir(dir) != 0 || llistxattr(name, nullptr, 0) <= 0) return {};
  return ReadAttributes(
      [name](char* out, size_t size) { return llistxattr(name, out, size); },
      [name](const char* key, char* out, size_t size) { return lgetxattr(name, key, out, size); });
}

class TreePacker {
 public:
  TreePacker(const PackOptions& options, TarWriter* writer)
      : options_(options),
        excluded_(options.exclude.begin(), options.exclude.end()),
        writer_(*writer),
        buffer_(kBufferBytes) {}

  // `path` is where it is in the tree, `tar_name` what the tar calls it.
  absl::Status PackEntry(int dir, const std::string& name, const std::string& path,
                         const std::string& tar_name) {
    struct stat info;
    if (fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return Vanished(errno) ? absl::OkStatus() : Failed("look at", path);
    }
    if (options_.as_layer && IsWhiteout(info.st_mode, info.st_rdev)) {
      const size_t base = tar_name.size() - name.size();
      return PackMarker(absl::StrCat(tar_name.substr(0, base), AsAbsl(kWhiteoutPrefix), name),
                        info);
    }
    const bool empty = options_.without_mounts && name != "." && IsMountRoot(dir, name.c_str());
    if (S_ISDIR(info.st_mode)) return PackDirectory(dir, name, path, tar_name, empty);
    // Those of a process that is gone are of no use to anybody.
    if (S_ISSOCK(info.st_mode)) return absl::OkStatus();
    if (info.st_nlink > 1 && !empty) {
      const auto [first, is_first] = names_.emplace(std::pair(info.st_dev, info.st_ino), tar_name);
      if (!is_first) return PackHardLink(tar_name, first->second, info);
    }
    if (S_ISREG(info.st_mode)) return PackFile(dir, name, path, tar_name, empty);
    TarEntry entry = EntryOf(tar_name, info);
    if (S_ISLNK(info.st_mode)) entry.target = ReadLink(dir, name.c_str());
    if (S_ISLNK(info.st_mode) && entry.target.empty()) return absl::OkStatus();
    entry.attributes = AttributesOf(dir, name.c_str());
    return writer_.Begin(entry);
  }

 private:
  static absl::Status Failed(std::string_view what, std::string_view path) {
    return ErrnoStatus(errno, absl::StrCat(AsAbsl(what), " ", Quoted(path)));
  }

  bool IsExcluded(const std::string& path) const {
    if (excluded_.empty()) return false;
    const size_t slash = path.rfind('/');
    const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash + 1);
    return excluded_.count(path) > 0 || excluded_.count(parent + "*") > 0;
  }

  TarEntry EntryOf(const std::string& tar_name, const struct stat& info) const {
    TarEntry entry{.name = tar_name,
                   .type = info.st_mode & S_IFMT,
                   .permissions = info.st_mode & 07777,
                   .uid = ToInside(options_.ids, info.st_uid).value_or(info.st_uid),
                   .gid = ToInside(options_.ids, info.st_gid).value_or(info.st_gid),
                   .size = info.st_size,
                   .mtime = info.st_mtim,
                   .device = info.st_rdev};
    if (options_.latest_mtime && absl::TimeFromTimespec(info.st_mtim) > *options_.latest_mtime) {
      entry.mtime = absl::ToTimespec(*options_.latest_mtime);
    }
    return entry;
  }

  // Whiteouts are files by their names alone.
  absl::Status PackMarker(const std::string& tar_name, struct stat info) {
    info.st_mode = S_IFREG;
    info.st_uid = info.st_gid = 0;
    info.st_size = 0;
    TarEntry entry = EntryOf(tar_name, info);
    entry.uid = entry.gid = 0;
    return writer_.Begin(entry);
  }

  absl::Status PackHardLink(const std::string& tar_name, const std::string& first,
                            const struct stat& info) {
    TarEntry entry = EntryOf(tar_name, info);
    entry.type = 0;
    entry.target = first;
    return writer_.Begin(entry);
  }

  absl::Status PackDirectory(int parent, const std::string& name, const std::string& path,
                             const std::string& tar_name, bool empty) {
    UniqueFd dir(openat(parent, name.c_str(), kReadDirectory));
    struct stat info;
    if (!dir || fstat(dir.get(), &info) != 0) {
      return Vanished(errno) ? absl::OkStatus() : Failed("open", path);
    }
    TarEntry entry = EntryOf(tar_name + "/", info);
    if (!empty) entry.attributes = AttributesOf(dir.get());
    RETURN_IF_ERROR(writer_.Begin(entry));
    if (empty) return absl::OkStatus();
    const std::string prefix = tar_name == "." ? "" : tar_name + "/";
    if (options_.as_layer && IsOpaque(dir.get())) {
      RETURN_IF_ERROR(PackMarker(absl::StrCat(prefix, AsAbsl(kOpaqueMarker)), info));
    }
    ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirAt(dir.get(), "."));
    std::sort(names.begin(), names.end());
    for (const std::string& child : names) {
      const std::string child_path = path.empty() ? child : absl::StrCat(path, "/", child);
      if (IsExcluded(child_path)) continue;
      RETURN_IF_ERROR(PackEntry(dir.get(), child, child_path, prefix + child));
    }
    return absl::OkStatus();
  }

  absl::Status PackFile(int dir, const std::string& name, const std::string& path,
                        const std::string& tar_name, bool empty) {
    UniqueFd fd(openat(dir, name.c_str(), kReadFile));
    struct stat info;
    if (!fd || fstat(fd.get(), &info) != 0) {
      return Vanished(errno) ? absl::OkStatus() : Failed("open", path);
    }
    // A FIFO may have taken its place: opened without blocking, and not read.
    if (!S_ISREG(info.st_mode)) return absl::OkStatus();
    if (empty) info.st_size = 0;
    TarEntry entry = EntryOf(tar_name, info);
    entry.attributes = AttributesOf(fd.get());
    const Pieces pieces = PiecesOf(fd.get(), info);
    RETURN_IF_ERROR(writer_.Begin(entry, pieces));
    if (pieces.empty()) return PackContent(fd.get(), path, 0, info.st_size);
    int64_t position = 0;
    for (const auto& [offset, length] : pieces) {
      RETURN_IF_ERROR(PackHole(offset - position));
      RETURN_IF_ERROR(PackContent(fd.get(), path, offset, length));
      position = offset + length;
    }
    return PackHole(info.st_size - position);
  }

  using Pieces = std::vector<std::pair<int64_t, int64_t>>;
  // Empty when it has no holes.
  static Pieces PiecesOf(int fd, const struct stat& info) {
    Pieces pieces;
    if (info.st_size == 0 || info.st_blocks >= (info.st_size + 511) / 512) return pieces;
    int64_t end = 0;
    while (end < info.st_size) {
      const int64_t begin = lseek(fd, end, SEEK_DATA);
      if (begin < 0 || begin >= info.st_size) break;
      end = lseek(fd, begin, SEEK_HOLE);
      if (end < 0) return {};
      end = std::min<int64_t>(end, info.st_size);
      pieces.emplace_back(begin, end - begin);
    }
    // Its end, so that a reader knows the size also when a hole is there.
    if (end < info.st_size) pieces.emplace_back(info.st_size, 0);
    return pieces.size() == 1 && pieces[0].second == info.st_size ? Pieces() : pieces;
  }

  absl::Status PackContent(int fd, const std::string& path, int64_t offset, int64_t length) {
    const int64_t end = offset + length;
    while (offset < end) {
      const auto wanted = std::min<int64_t>(static_cast<int64_t>(buffer_.size()), end - offset);
      const ssize_t size = pread(fd, buffer_.data(), static_cast<size_t>(wanted), offset);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return Failed("read", path);
      // It has become shorter: the header has told its size, so zeros take the rest's place.
      if (size == 0) return PackHole(end - offset);
      RETURN_IF_ERROR(writer_.Write({buffer_.data(), static_cast<size_t>(size)}));
      offset += size;
    }
    return absl::OkStatus();
  }

  absl::Status PackHole(int64_t length) {
    static const std::vector<char> zeros(1 << 20);
    for (; length > 0; length -= static_cast<int64_t>(zeros.size())) {
      const auto size = std::min<int64_t>(length, static_cast<int64_t>(zeros.size()));
      RETURN_IF_ERROR(writer_.Write({zeros.data(), static_cast<size_t>(size)}));
    }
    return absl::OkStatus();
  }

  const PackOptions& options_;
  const std::set<std::string> excluded_;
  TarWriter& writer_;
  std::vector<char> buffer_;
  // Of files with several names the first one.
  std::map<std::pair<dev_t, ino_t>, std::string> names_;
};

absl::Status NoSuch(const std::string& path) {
  return absl::NotFoundError(absl::StrCat("no such file: ", Quoted(path)));
}

}  // namespace

absl::StatusOr<PackSource> FindSource(int root, const PackOptions& options) {
  const std::vector<std::string> parts = PathParts(options.path);
  // Not cleaned of "..": that is for the kernel, which follows the links before it.
  std::string path = absl::StrJoin(parts, "/");
  PackSource source;
  struct stat info;
  for (int links = 0;; ++links) {
    if (links > kMostLinks) return NoSuch(options.path);
    while (!path.empty() && path.back() == '/') path.pop_back();
    const size_t slash = path.rfind('/');
    std::string parent = slash == std::string::npos ? "" : path.substr(0, slash + 1);
    source.name = slash == std::string::npos ? path : path.substr(slash + 1);
    if (source.name.empty() || source.name == "." || source.name == "..") {
      parent = path + "/";
      source.name = ".";
    }
    source.parent.Reset(OpenInRoot(root, absl::StrCat("/", parent).c_str(), O_PATH | O_DIRECTORY));
    if (!source.parent ||
        fstatat(source.parent.get(), source.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (Vanished(errno)) return NoSuch(options.path);
      return ErrnoStatus(errno, absl::StrCat("open ", Quoted(options.path)));
    }
    source.stat.link_target =
        S_ISLNK(info.st_mode) ? ReadLink(source.parent.get(), source.name.c_str()) : "";
    if (!options.follow_link || !S_ISLNK(info.st_mode)) break;
    const std::string& target = source.stat.link_target;
    path = target.starts_with('/') ? target.substr(1) : parent + target;
  }
  source.stat.name = parts.empty() ? "/" : parts.back();
  source.stat.mode = info.st_mode;
  source.stat.size_bytes = S_ISREG(info.st_mode) ? info.st_size : 0;
  source.stat.mtime = absl::TimeFromTimespec(info.st_mtim);
  return source;
}

absl::StatusOr<Packed> PackTree(const PackSource& source, const PackOptions& options,
                                int waiting_reader) {
  TarSink sink(options.output, waiting_reader, options.gzip);
  TarWriter writer(&sink);
  TreePacker packer(options, &writer);
  const std::string path = absl::StrJoin(PathParts(options.path), "/");
  RETURN_IF_ERROR(packer.PackEntry(source.parent.get(), source.name, path,
                                   path.empty() ? "." : source.stat.name));
  RETURN_IF_ERROR(writer.Finish());
  return Packed{.diff_id = sink.diff_id(),
                .digest = sink.digest(),
                .tar_bytes = sink.tar_bytes(),
                .size = sink.size(),
                .entries = writer.entries()};
}

}  // namespace noded::layer
