#include "node/base/file.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded {
namespace {

std::string Quoted(std::string_view verb, std::string_view path) {
  return absl::StrCat(AsAbsl(verb), " \"", AsAbsl(path), "\"");
}

int RetryOpenAt(int dir, const char* path, int flags, mode_t mode) {
  int fd;
  do {
    fd = openat(dir, path, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

absl::Status LookupStatus(int error, std::string_view what) {
  if (error == ENOENT) return StatusWithErrno(absl::StatusCode::kNotFound, error, what);
  return ErrnoStatus(error, what);
}

std::string ParentOf(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<UniqueFd> OpenAt(int dir, const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(RetryOpenAt(dir, path.c_str(), flags, mode));
  if (!fd) return LookupStatus(errno, Quoted("open", path));
  return fd;
}

absl::StatusOr<std::string> ReadFileAt(int dir, const std::string& path, size_t limit_bytes) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir, path, O_RDONLY));
  std::string content;
  char buffer[16 << 10];
  while (true) {
    ssize_t got = read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, Quoted("read", path));
    if (got == 0) return content;
    content.append(buffer, static_cast<size_t>(got));
    if (content.size() > limit_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(Quoted("read", path), ": larger than ", limit_bytes, " bytes"));
    }
  }
}

absl::StatusOr<std::string> ReadHeld(int fd, size_t limit_bytes) {
  std::string content;
  char buffer[8 << 10];
  while (true) {
    ssize_t got = pread(fd, buffer, sizeof(buffer), static_cast<off_t>(content.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      // What a removed cgroup and an ended process's /proc file answer.
      if (errno == ENODEV || errno == ESRCH) {
        return StatusWithErrno(absl::StatusCode::kNotFound, errno, "read held file");
      }
      return ErrnoStatus(errno, "read held file");
    }
    if (got == 0) return content;
    content.append(buffer, static_cast<size_t>(got));
    if (content.size() > limit_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("read held file: larger than ", limit_bytes, " bytes"));
    }
  }
}

absl::Status WriteExistingAt(int dir, const std::string& path, std::string_view content) {
  UniqueFd fd(RetryOpenAt(dir, path.c_str(), O_WRONLY, 0));
  if (!fd) return ErrnoStatus(errno, Quoted("open", path));
  ssize_t written;
  do {
    written = write(fd.get(), content.data(), content.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) {
    return ErrnoStatus(errno, absl::StrCat("write \"", AsAbsl(content), "\" to \"", path, "\""));
  }
  if (static_cast<size_t>(written) != content.size()) {
    return absl::InternalError(absl::StrCat(Quoted("write to", path), ": only ", written, " of ",
                                            content.size(), " bytes were taken"));
  }
  return absl::OkStatus();
}

absl::Status ReplaceFileAt(int dir, const std::string& path, std::string_view content, mode_t mode,
                           bool sync) {
  std::string temporary = path + ".tmp";
  // O_NOFOLLOW: a symlink laid there must not choose what is overwritten.
  ASSIGN_OR_RETURN(UniqueFd fd,
                   OpenAt(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
  auto remove = absl::MakeCleanup([&] { unlinkat(dir, temporary.c_str(), 0); });
  // The mode given to open is cut by the umask.
  if (fchmod(fd.get(), mode) != 0) return ErrnoStatus(errno, Quoted("change mode of", temporary));
  RETURN_IF_ERROR(Annotate(WriteAll(fd.get(), content), Quoted("replace", path)));
  // Before the rename, because a name must never come to stand for content that is not on disk.
  if (sync && fsync(fd.get()) != 0) return ErrnoStatus(errno, Quoted("sync", temporary));
  if (renameat(dir, temporary.c_str(), dir, path.c_str()) != 0) {
    return ErrnoStatus(errno, Quoted("rename to", path));
  }
  std::move(remove).Cancel();
  if (sync) {
    ASSIGN_OR_RETURN(UniqueFd parent, OpenAt(dir, ParentOf(path), O_RDONLY | O_DIRECTORY));
    if (fsync(parent.get()) != 0) return ErrnoStatus(errno, Quoted("sync directory of", path));
  }
  return absl::OkStatus();
}

absl::Status WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t written = write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write");
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status MakeDirs(const std::string& path, mode_t mode) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    std::string prefix = path.substr(0, slash);
    if (mkdir(prefix.c_str(), mode) != 0) {
      if (errno != EEXIST) return ErrnoStatus(errno, Quoted("make directory", prefix));
      struct stat info;
      if (stat(prefix.c_str(), &info) != 0) return ErrnoStatus(errno, Quoted("look at", prefix));
      if (!S_ISDIR(info.st_mode)) {
        return ErrnoStatus(ENOTDIR, Quoted("make directory", prefix));
      }
    }
    if (slash == std::string::npos) return absl::OkStatus();
  }
}

absl::StatusOr<std::vector<std::string>> ListDirAt(int dir, const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir, path, O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd.get()), closedir);
  if (!stream) return ErrnoStatus(errno, Quoted("list", path));
  (void)fd.Release();  // closedir closes it
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return ErrnoStatus(errno, Quoted("list", path));
  return names;
}

absl::StatusOr<UniqueFd> SealedMemfd(const char* name, std::string_view content) {
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return ErrnoStatus(errno, Quoted("make memory file", name));
  RETURN_IF_ERROR(Annotate(WriteAll(fd.get(), content), Quoted("fill memory file", name)));
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) {
    return ErrnoStatus(errno, Quoted("seal memory file", name));
  }
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return ErrnoStatus(errno, Quoted("rewind", name));
  return fd;
}

absl::Status SetNonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return ErrnoStatus(errno, "make descriptor non-blocking");
  }
  return absl::OkStatus();
}

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "make pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace noded
