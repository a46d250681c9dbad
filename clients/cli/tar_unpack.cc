#include "clients/cli/tar_unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clients/cli/io.h"
#include "clients/cli/output.h"
#include "clients/cli/tar_locale.h"

namespace noded::cli {
namespace {

using Parts = std::vector<std::string>;

absl::Status Failure(absl::string_view operation, absl::string_view name) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot ", operation, " ", Printable(name), ": ", strerror(errno)));
}

absl::Status Refuse(absl::string_view name, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("the tar's entry \"", Printable(name), "\" ", why));
}

// What is set when nothing more is put into a directory, for that would change its time, and a
// read-only one would take nothing.
struct LaterDirectory {
  Parts parts;
  mode_t mode;
  timespec times[2];
  uid_t owner;
  gid_t group;
};

class Unpacker {
 public:
  Unpacker(const TarSource& source, int directory, const UnpackRules& rules,
           std::vector<std::string>* left_out)
      : source_(source),
        directory_(directory),
        rules_(rules),
        left_out_(left_out),
        archive_(archive_read_new(), archive_read_free) {
    archive_read_support_format_tar(archive_.get());
    archive_read_support_format_empty(archive_.get());
    archive_read_set_read_callback(archive_.get(), Give);
    archive_read_set_callback_data(archive_.get(), this);
  }
  absl::Status Run();

 private:
  static la_ssize_t Give(archive*, void* self, const void** bytes) {
    absl::string_view next = static_cast<Unpacker*>(self)->source_();
    *bytes = next.data();
    return static_cast<la_ssize_t>(next.size());
  }
  absl::Status Broken() {
    const char* text = archive_error_string(archive_.get());
    return absl::DataLossError(absl::StrCat("the tar is damaged: ", text == nullptr ? "?" : text));
  }
  absl::StatusOr<Parts> PartsOf(const std::string& name) const;
  absl::StatusOr<ScopedFd> OpenParent(const Parts& parts, absl::string_view name, bool make) const;
  absl::Status MakeEntry(archive_entry* entry);
  absl::Status MakeDirectory(archive_entry* entry, int parent, const Parts& parts);
  absl::Status MakeFile(archive_entry* entry, int parent, const std::string& base);
  absl::Status MakeHardLink(const std::string& target, int parent, const std::string& base);
  absl::Status FillFile(archive_entry* entry, int fd);
  absl::Status MakeOther(archive_entry* entry, int parent, const std::string& base);
  absl::Status EndDirectories();
  mode_t ModeOf(archive_entry* entry) const {
    // As cp without -p: a setuid program of a container's is nobody's here.
    return archive_entry_perm(entry) & (rules_.keep_owner ? 07777 : 01777);
  }

  const TarSource& source_;
  const int directory_;
  const UnpackRules& rules_;
  std::vector<std::string>* left_out_;
  std::unique_ptr<archive, int (*)(archive*)> archive_;
  std::vector<LaterDirectory> later_;
};

void TimesOf(archive_entry* entry, timespec times[2]) {
  times[0] = {0, UTIME_OMIT};
  times[1] = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
  if (!archive_entry_mtime_is_set(entry)) times[1] = {0, UTIME_OMIT};
}

// A name as bytes.
std::string NameOf(const char* bytes, const char* utf8) {
  return bytes != nullptr ? bytes : utf8 != nullptr ? utf8 : "";
}

absl::StatusOr<Parts> Unpacker::PartsOf(const std::string& name) const {
  if (name.empty() || name[0] == '/') return Refuse(name, "has no relative name");
  Parts parts;
  for (absl::string_view part : absl::StrSplit(name, '/')) {
    if (part == "..") return Refuse(name, "leads out of the destination");
    if (!part.empty() && part != ".") parts.emplace_back(part);
  }
  if (!rules_.root.empty()) {
    if (parts.empty() || parts[0] != rules_.root) {
      return Refuse(name, absl::StrCat("is not below \"", Printable(rules_.root), "\""));
    }
    parts.erase(parts.begin());
  }
  if (!rules_.name.empty()) parts.insert(parts.begin(), rules_.name);
  return parts;
}

absl::StatusOr<ScopedFd> Unpacker::OpenParent(const Parts& parts, absl::string_view name,
                                              bool make) const {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  ScopedFd parent(openat(directory_, ".", kFlags));
  for (size_t i = 0; parent.get() >= 0 && i + 1 < parts.size(); ++i) {
    int next = openat(parent.get(), parts[i].c_str(), kFlags);
    if (next < 0 && errno == ENOENT && make) {
      mkdirat(parent.get(), parts[i].c_str(), 0755);
      next = openat(parent.get(), parts[i].c_str(), kFlags);
    }
    // O_DIRECTORY before O_NOFOLLOW: a link is ENOTDIR, as a file is.
    if (next < 0 && (errno == ENOTDIR || errno == ELOOP)) {
      return Refuse(
          name, absl::StrCat("leads through \"", Printable(parts[i]), "\", which is no directory"));
    }
    parent = ScopedFd(next);
  }
  if (parent.get() < 0) return Failure("open the directory of", name);
  return parent;
}

absl::Status Unpacker::MakeEntry(archive_entry* entry) {
  const std::string name =
      NameOf(archive_entry_pathname(entry), archive_entry_pathname_utf8(entry));
  absl::StatusOr<Parts> parts = PartsOf(name);
  if (!parts.ok()) return parts.status();
  if (parts->empty()) return absl::OkStatus();  // the destination itself
  absl::StatusOr<ScopedFd> parent = OpenParent(*parts, name, true);
  if (!parent.ok()) return parent.status();
  const bool has_link =
      archive_entry_hardlink(entry) != nullptr || archive_entry_hardlink_utf8(entry) != nullptr;
  if (!has_link && archive_entry_filetype(entry) == AE_IFDIR) {
    return MakeDirectory(entry, parent->get(), *parts);
  }
  const mode_t type = archive_entry_filetype(entry);
  if (!has_link && (type == AE_IFCHR || type == AE_IFBLK)) {
    left_out_->push_back(Printable(name) + " is a device");
    return absl::OkStatus();
  }
  const std::string& base = parts->back();
  if (unlinkat(parent->get(), base.c_str(), 0) != 0 && errno != ENOENT) {
    return errno == EISDIR ? Refuse(name, "would replace a directory") : Failure("replace", name);
  }
  if (has_link) {
    return MakeHardLink(NameOf(archive_entry_hardlink(entry), archive_entry_hardlink_utf8(entry)),
                        parent->get(), base);
  }
  if (type == AE_IFREG) return MakeFile(entry, parent->get(), base);
  return MakeOther(entry, parent->get(), base);
}

absl::Status Unpacker::MakeDirectory(archive_entry* entry, int parent, const Parts& parts) {
  const std::string& base = parts.back();
  if (mkdirat(parent, base.c_str(), 0700) != 0) {
    struct stat present = {};
    if (errno != EEXIST) return Failure("make the directory", base);
    if (fstatat(parent, base.c_str(), &present, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(present.st_mode)) {
      return absl::OkStatus();
    }
    return Refuse(base, "is a directory and would replace what is none");
  }
  LaterDirectory later = {parts,
                          ModeOf(entry),
                          {},
                          static_cast<uid_t>(archive_entry_uid(entry)),
                          static_cast<gid_t>(archive_entry_gid(entry))};
  TimesOf(entry, later.times);
  later_.push_back(std::move(later));
  return absl::OkStatus();
}

absl::Status Unpacker::MakeFile(archive_entry* entry, int parent, const std::string& base) {
  ScopedFd file(
      openat(parent, base.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) return Failure("make", base);
  absl::Status filled = FillFile(entry, file.get());
  if (!filled.ok()) return filled;
  timespec times[2];
  TimesOf(entry, times);
  // The owner first: a change of owner clears setuid.
  if (rules_.keep_owner && fchown(file.get(), static_cast<uid_t>(archive_entry_uid(entry)),
                                  static_cast<gid_t>(archive_entry_gid(entry))) != 0) {
    return Failure("give away", base);
  }
  if (fchmod(file.get(), ModeOf(entry)) != 0 || futimens(file.get(), times) != 0) {
    return Failure("set the mode and time of", base);
  }
  return absl::OkStatus();
}

absl::Status Unpacker::FillFile(archive_entry* entry, int fd) {
  while (true) {
    const void* bytes = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    int result = archive_read_data_block(archive_.get(), &bytes, &size, &offset);
    if (result == ARCHIVE_EOF) break;
    if (result < ARCHIVE_WARN) return Broken();
    for (size_t done = 0; done < size;) {
      ssize_t count = pwrite(fd, static_cast<const char*>(bytes) + done, size - done,
                             offset + static_cast<la_int64_t>(done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Failure("write", NameOf(archive_entry_pathname(entry), nullptr));
      done += static_cast<size_t>(count);
    }
  }
  // What a sparse file ends with is not in the tar.
  if (ftruncate(fd, archive_entry_size(entry)) == 0) return absl::OkStatus();
  return Failure("write", NameOf(archive_entry_pathname(entry), nullptr));
}

absl::Status Unpacker::MakeHardLink(const std::string& target, int parent,
                                    const std::string& base) {
  absl::StatusOr<Parts> parts = PartsOf(target);
  if (!parts.ok()) return parts.status();
  if (parts->empty()) return Refuse(target, "is no file to link to");
  absl::StatusOr<ScopedFd> from = OpenParent(*parts, target, false);
  if (!from.ok()) return from.status();
  // Flags 0: a symbolic link is not followed but linked to.
  if (linkat(from->get(), parts->back().c_str(), parent, base.c_str(), 0) == 0) {
    return absl::OkStatus();
  }
  return Failure("link", base);
}

absl::Status Unpacker::MakeOther(archive_entry* entry, int parent, const std::string& base) {
  int made = -1;
  const mode_t type = archive_entry_filetype(entry);
  if (type == AE_IFLNK) {
    const std::string target =
        NameOf(archive_entry_symlink(entry), archive_entry_symlink_utf8(entry));
    made = symlinkat(target.c_str(), parent, base.c_str());
  } else if (type == AE_IFIFO) {
    made = mkfifoat(parent, base.c_str(), ModeOf(entry));
  } else {
    left_out_->push_back(Printable(base) + " is of an unknown type");
    return absl::OkStatus();
  }
  if (made != 0) return Failure("make", base);
  if (rules_.keep_owner &&
      fchownat(parent, base.c_str(), static_cast<uid_t>(archive_entry_uid(entry)),
               static_cast<gid_t>(archive_entry_gid(entry)), AT_SYMLINK_NOFOLLOW) != 0) {
    return Failure("give away", base);
  }
  timespec times[2];
  TimesOf(entry, times);
  if (utimensat(parent, base.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return Failure("set the time of", base);
  }
  return absl::OkStatus();
}

absl::Status Unpacker::EndDirectories() {
  // The deepest first, or the time of those above would change again.
  for (auto one = later_.rbegin(); one != later_.rend(); ++one) {
    Parts inside = one->parts;
    inside.emplace_back(".");
    const std::string name = one->parts.back();
    absl::StatusOr<ScopedFd> directory = OpenParent(inside, name, false);
    if (!directory.ok()) return directory.status();
    if (rules_.keep_owner && fchown(directory->get(), one->owner, one->group) != 0) {
      return Failure("give away", name);
    }
    if (fchmod(directory->get(), one->mode) != 0 || futimens(directory->get(), one->times) != 0) {
      return Failure("set the mode and time of", name);
    }
  }
  return absl::OkStatus();
}

absl::Status Unpacker::Run() {
  if (archive_read_open1(archive_.get()) != ARCHIVE_OK) return Broken();
  absl::Status status;
  while (status.ok()) {
    archive_entry* entry = nullptr;
    int result = archive_read_next_header(archive_.get(), &entry);
    if (result == ARCHIVE_EOF) break;
    // A warning is a name in an unknown character set, which is taken as bytes.
    status = result < ARCHIVE_WARN ? Broken() : MakeEntry(entry);
  }
  absl::Status ended = EndDirectories();
  return status.ok() ? ended : status;
}

}  // namespace

absl::Status UnpackTar(const TarSource& source, int directory, const UnpackRules& rules,
                       std::vector<std::string>* left_out) {
  TarLocale locale;
  return Unpacker(source, directory, rules, left_out).Run();
}

}  // namespace noded::cli
