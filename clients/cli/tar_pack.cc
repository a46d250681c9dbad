#include "clients/cli/tar_pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clients/cli/io.h"
#include "clients/cli/tar_locale.h"

namespace noded::cli {
namespace {

constexpr int kBlockBytes = 256 << 10;
// Each level of directories holds a descriptor.
constexpr int kDeepest = 256;

absl::Status Failure(absl::string_view operation, absl::string_view path) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot ", operation, " ", path, ": ", strerror(errno)));
}

class Packer {
 public:
  Packer(const TarSink& sink, std::vector<std::string>* left_out)
      : sink_(sink),
        left_out_(left_out),
        archive_(archive_write_new(), archive_write_free),
        entry_(archive_entry_new(), archive_entry_free),
        buffer_(kBlockBytes, '\0') {
    archive_write_set_format_pax_restricted(archive_.get());
    archive_write_set_bytes_per_block(archive_.get(), kBlockBytes);
    archive_write_set_bytes_in_last_block(archive_.get(), 1);
    archive_write_open2(archive_.get(), this, nullptr, Take, nullptr, nullptr);
  }

  // Freeing an archive writes its end, and a broken tar must not look whole.
  ~Packer() { refused_ = true; }
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  // `at` and `file` are where it is; `shown` names it in messages, `name` in the tar.
  absl::Status Add(int at, const std::string& file, const std::string& shown,
                   const std::string& name, bool follow, int depth);
  absl::Status End() {
    if (!refused_ && archive_write_close(archive_.get()) != ARCHIVE_OK && !refused_) {
      return Broken("the tar");
    }
    return absl::OkStatus();
  }
  bool refused() const { return refused_; }

 private:
  static la_ssize_t Take(archive*, void* self, const void* bytes, size_t size) {
    auto* packer = static_cast<Packer*>(self);
    if (!packer->refused_ &&
        packer->sink_(absl::string_view(static_cast<const char*>(bytes), size))) {
      return static_cast<la_ssize_t>(size);
    }
    packer->refused_ = true;
    return -1;
  }
  absl::Status Broken(absl::string_view shown) {
    if (refused_) return absl::OkStatus();
    const char* text = archive_error_string(archive_.get());
    return absl::FailedPreconditionError(
        absl::StrCat("cannot pack ", shown, ": ", text == nullptr ? "unknown error" : text));
  }
  absl::Status AddHeader(const std::string& shown);
  absl::Status AddFile(int at, const std::string& file, const std::string& shown, bool follow);
  absl::Status AddLink(int at, const std::string& file, const std::string& shown);
  absl::Status AddChildren(int at, const std::string& file, const std::string& shown,
                           const std::string& name, bool follow, int depth);

  const TarSink& sink_;
  std::vector<std::string>* left_out_;
  std::unique_ptr<archive, int (*)(archive*)> archive_;
  std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry_;
  std::string buffer_;
  // Names of what has several, by device and inode.
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;
  bool refused_ = false;
};

absl::Status Packer::AddHeader(const std::string& shown) {
  // A warning is a name that is not UTF-8; it is kept as bytes.
  return archive_write_header(archive_.get(), entry_.get()) < ARCHIVE_WARN ? Broken(shown)
                                                                           : absl::OkStatus();
}

absl::Status Packer::Add(int at, const std::string& file, const std::string& shown,
                         const std::string& name, bool follow, int depth) {
  struct stat status = {};
  if (fstatat(at, file.c_str(), &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) {
    return Failure("look at", shown);
  }
  if (S_ISSOCK(status.st_mode)) {
    left_out_->push_back(shown + " is a socket");
    return absl::OkStatus();
  }
  archive_entry_clear(entry_.get());
  archive_entry_copy_stat(entry_.get(), &status);
  archive_entry_unset_atime(entry_.get());
  archive_entry_unset_ctime(entry_.get());
  archive_entry_copy_pathname(entry_.get(), name.c_str());
  if (S_ISDIR(status.st_mode)) {
    if (!name.empty()) {
      archive_entry_copy_pathname(entry_.get(), absl::StrCat(name, "/").c_str());
      absl::Status added = AddHeader(shown);
      if (!added.ok() || refused_) return added;
    }
    return AddChildren(at, file, shown, name, follow, depth);
  }
  if (status.st_nlink > 1) {
    auto [known, fresh] = linked_.try_emplace({status.st_dev, status.st_ino}, name);
    if (!fresh) {
      archive_entry_copy_hardlink(entry_.get(), known->second.c_str());
      archive_entry_unset_size(entry_.get());
      return AddHeader(shown);
    }
  }
  if (S_ISREG(status.st_mode)) return AddFile(at, file, shown, follow);
  if (S_ISLNK(status.st_mode)) return AddLink(at, file, shown);
  return AddHeader(shown);  // a device or FIFO: nothing of it is opened
}

absl::Status Packer::AddFile(int at, const std::string& file, const std::string& shown,
                             bool follow) {
  // Non-blocking, because it may have become a FIFO since.
  ScopedFd input(
      openat(at, file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW)));
  if (input.get() < 0) return Failure("open", shown);
  absl::Status added = AddHeader(shown);
  int64_t left = archive_entry_size(entry_.get());
  while (added.ok() && !refused_ && left > 0) {
    const size_t wanted = static_cast<size_t>(std::min<int64_t>(left, kBlockBytes));
    ssize_t count = read(input.get(), buffer_.data(), wanted);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failure("read", shown);
    if (count == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(shown, " became shorter while it was read"));
    }
    left -= count;
    if (archive_write_data(archive_.get(), buffer_.data(), static_cast<size_t>(count)) != count) {
      return Broken(shown);
    }
  }
  return added;
}

absl::Status Packer::AddLink(int at, const std::string& file, const std::string& shown) {
  std::string target(PATH_MAX, '\0');
  ssize_t size = readlinkat(at, file.c_str(), target.data(), target.size());
  if (size < 0) return Failure("read the link", shown);
  target.resize(static_cast<size_t>(size));
  archive_entry_copy_symlink(entry_.get(), target.c_str());
  archive_entry_unset_size(entry_.get());
  return AddHeader(shown);
}

absl::Status Packer::AddChildren(int at, const std::string& file, const std::string& shown,
                                 const std::string& name, bool follow, int depth) {
  if (depth >= kDeepest) {
    return absl::FailedPreconditionError(
        absl::StrCat(shown, " is more than ", kDeepest, " directories deep"));
  }
  int fd = openat(at, file.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
  if (fd < 0) return Failure("open", shown);
  std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(fd), closedir);
  std::vector<std::string> children;
  errno = 0;
  while (dirent* child = readdir(directory.get())) {
    const std::string child_name = child->d_name;
    if (child_name != "." && child_name != "..") children.push_back(child_name);
    errno = 0;
  }
  if (errno != 0) return Failure("read", shown);
  std::sort(children.begin(), children.end());
  for (const std::string& child : children) {
    absl::Status added =
        Add(fd, child, absl::StrCat(shown, "/", child),
            name.empty() ? child : absl::StrCat(name, "/", child), false, depth + 1);
    if (!added.ok() || refused_) return added;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PackTar(const std::string& path, const std::string& name, bool follow,
                     const TarSink& sink, std::vector<std::string>* left_out) {
  TarLocale locale;
  Packer packer(sink, left_out);
  absl::Status added = packer.Add(AT_FDCWD, path, path, name, follow, 0);
  if (!added.ok() || packer.refused()) return added;
  return packer.End();
}

}  // namespace noded::cli
