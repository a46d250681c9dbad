#include "rootfs/store/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "rootfs/oci/json.h"

namespace noded::store {
namespace {

constexpr char kLayoutFile[] = "/oci-layout";
constexpr char kLayout[] = R"({"imageLayoutVersion":"1.0.0"})";

// One process at a time, because what is held in memory (leases, partial files in use, the table)
// is not known to another.
absl::StatusOr<UniqueFd> LockDirectory(const std::string& directory) {
  const std::string path = directory + "/lock";
  ASSIGN_OR_RETURN(UniqueFd file, OpenAt(AT_FDCWD, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
  if (errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(
        absl::StrCat("lock \"", path, "\": another process has this store open"));
  }
  return ErrnoStatus(errno, absl::StrCat("lock \"", path, "\""));
}

absl::Status WriteLayoutFile(const std::string& directory) {
  const std::string path = directory + kLayoutFile;
  absl::StatusOr<std::string> text = ReadFileAt(AT_FDCWD, path, 4096);
  if (text.ok()) {
    oci::JsonDocument document("oci-layout", *text, {4096, 100});
    const std::string version = document.root()["imageLayoutVersion"].String();
    if (document.status().ok() && version == "1.0.0") return absl::OkStatus();
    if (document.status().ok() && !version.empty()) {
      return absl::FailedPreconditionError(absl::StrCat("\"", path, "\": image layout of version ",
                                                        version.substr(0, 100), ", not 1.0.0"));
    }
  }
  return ReplaceFileAt(AT_FDCWD, path, kLayout, 0644, /*sync=*/true);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& directory, Warn warn) {
  RETURN_IF_ERROR(MakeDirs(directory, 0700));
  ASSIGN_OR_RETURN(UniqueFd lock, LockDirectory(directory));
  std::unique_ptr<Store> store(new Store(directory, std::move(lock)));
  absl::Status opened = store->OpenParts(warn);
  if (!opened.ok()) return Annotate(opened, absl::StrCat("open image store \"", directory, "\""));
  return store;
}

Store::Store(std::string directory, UniqueFd lock_file)
    : directory_(std::move(directory)), lock_file_(std::move(lock_file)) {}

absl::Status Store::OpenParts(const Warn& warn) {
  RETURN_IF_ERROR(WriteLayoutFile(directory_));
  ASSIGN_OR_RETURN(trash_, Trash::Open(directory_ + "/trash", warn));
  RETURN_IF_ERROR(trash_->Discard(directory_ + "/scratch"));
  ASSIGN_OR_RETURN(contents_, ContentStore::Open(directory_, trash_.get()));
  ASSIGN_OR_RETURN(layers_, LayerStore::Open(directory_, trash_.get(), warn));
  details_ = std::make_unique<DetailsCache>(contents_.get());
  absl::StatusOr<std::unique_ptr<ImageTable>> table = ImageTable::Open(directory_);
  if (absl::IsNotFound(table.status()) || absl::IsDataLoss(table.status())) {
    return RebuildTable(table.status(), warn);
  }
  ASSIGN_OR_RETURN(table_, std::move(table));
  return absl::OkStatus();
}

absl::StatusOr<std::string> Store::NewScratch() {
  const std::string path = absl::StrCat(directory_, "/scratch/", next_scratch_++);
  RETURN_IF_ERROR(MakeDirs(path, 0700));
  return path;
}

absl::Status Store::RebuildTable(const absl::Status& why, const Warn& warn) {
  ASSIGN_OR_RETURN(const std::vector<oci::Digest> digests, contents_->List());
  std::vector<Entry> entries;
  for (const oci::Digest& digest : digests) {
    absl::StatusOr<int64_t> size = contents_->Size(digest);
    if (!size.ok() || *size > oci::kMaxManifestBytes) continue;
    absl::StatusOr<std::shared_ptr<const ImageDetails>> details = details_->Get(digest);
    if (!details.ok()) continue;
    entries.push_back({.manifest = {(*details)->manifest.media_type, digest, *size},
                       .image_id = (*details)->image_id(),
                       .pinned = true});
  }
  if (absl::IsDataLoss(why) || !digests.empty()) {
    warn(absl::StrCat(std::string(why.message()), "; it begins anew with the ", entries.size(),
                      " images whose manifests are in the store, without their names"));
  }
  ASSIGN_OR_RETURN(table_, ImageTable::Create(directory_, std::move(entries)));
  return absl::OkStatus();
}

absl::StatusOr<DiskUse> Store::Disk() const {
  struct statvfs info;
  if (statvfs(directory_.c_str(), &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("look at file system of \"", directory_, "\""));
  }
  const auto unit = static_cast<int64_t>(info.f_frsize);
  return DiskUse{.total_bytes = static_cast<int64_t>(info.f_blocks) * unit,
                 .free_bytes = static_cast<int64_t>(info.f_bavail) * unit};
}

}  // namespace noded::store
