#include "rootfs/store/content.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::store {
namespace {

constexpr time_t kStaleSeconds = 24 * 60 * 60;
constexpr char kUnknownPrefix[] = "new-";

std::string Named(const oci::Digest& digest) { return absl::StrCat("content ", digest.text()); }

absl::Status Damaged(std::string_view what) {
  return WithReason(absl::DataLossError(AsAbsl(what)), reason::kContentDamaged);
}

absl::Status NotHere(int error, const oci::Digest& digest) {
  if (error == ENOENT) {
    return absl::NotFoundError(absl::StrCat(Named(digest), ": is not in the store"));
  }
  return ErrnoStatus(error, absl::StrCat("open ", Named(digest)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ContentStore>> ContentStore::Open(const std::string& root,
                                                                 Trash* trash) {
  RETURN_IF_ERROR(MakeDirs(root + "/blobs/sha256"));
  RETURN_IF_ERROR(MakeDirs(root + "/ingest", 0700));
  ASSIGN_OR_RETURN(UniqueFd ingest, OpenAt(AT_FDCWD, root + "/ingest", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(UniqueFd blobs,
                   OpenAt(AT_FDCWD, root + "/blobs/sha256", O_RDONLY | O_DIRECTORY));
  std::unique_ptr<ContentStore> store(
      new ContentStore(root, std::move(ingest), std::move(blobs), trash));
  RETURN_IF_ERROR(store->RemoveStale());
  return store;
}

ContentStore::ContentStore(std::string root, UniqueFd ingest, UniqueFd blobs, Trash* trash)
    : root_(std::move(root)), ingest_(std::move(ingest)), blobs_(std::move(blobs)), trash_(trash) {}

absl::Status ContentStore::RemoveStale() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirAt(ingest_.get(), "."));
  const time_t oldest = time(nullptr) - kStaleSeconds;
  for (const std::string& name : names) {
    struct stat info;
    if (fstatat(ingest_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!absl::StartsWith(name, kUnknownPrefix) && info.st_mtime >= oldest) continue;
    RETURN_IF_ERROR(RemoveTreeAt(ingest_.get(), name));
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> ContentStore::Open(const oci::Digest& digest) const {
  UniqueFd file(openat(blobs_.get(), digest.hex().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return NotHere(errno, digest);
  return file;
}

absl::StatusOr<std::string> ContentStore::Read(const oci::Digest& digest, int64_t limit) const {
  absl::StatusOr<std::string> bytes =
      ReadFileAt(blobs_.get(), digest.hex(), static_cast<size_t>(limit));
  if (absl::IsNotFound(bytes.status())) return NotHere(ENOENT, digest);
  if (!bytes.ok()) return Annotate(bytes.status(), Named(digest));
  // Again, although it was right when it came: what is read here decides what is deleted.
  if (oci::Sha256::Of(*bytes) != digest) {
    return Damaged(absl::StrCat(Named(digest), ": its bytes have another digest"));
  }
  return bytes;
}

absl::StatusOr<int64_t> ContentStore::Size(const oci::Digest& digest) const {
  struct stat info;
  if (fstatat(blobs_.get(), digest.hex().c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return NotHere(errno, digest);
  }
  return static_cast<int64_t>(info.st_size);
}

std::string ContentStore::PathOf(const oci::Digest& digest) const {
  return absl::StrCat(root_, "/blobs/sha256/", digest.hex());
}

absl::StatusOr<std::vector<oci::Digest>> ContentStore::List() const {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirAt(blobs_.get(), "."));
  std::vector<oci::Digest> digests;
  digests.reserve(names.size());
  for (const std::string& name : names) {
    // Anything else is none of ours.
    absl::StatusOr<oci::Digest> digest = oci::Digest::Parse(absl::StrCat("sha256:", name));
    if (digest.ok()) digests.push_back(*std::move(digest));
  }
  return digests;
}

absl::Status ContentStore::Put(std::string_view bytes, const oci::Descriptor& descriptor) {
  if (oci::Sha256::Of(bytes) != descriptor.digest ||
      static_cast<int64_t>(bytes.size()) != descriptor.size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "put ", Named(descriptor.digest), ": ", bytes.size(), " bytes of digest ",
        oci::Sha256::Of(bytes).text(), " are not the ", descriptor.size, " bytes that it names"));
  }
  if (Has(descriptor.digest)) return absl::OkStatus();
  ASSIGN_OR_RETURN(Ingest ingest, BeginUnknown(descriptor.media_type));
  RETURN_IF_ERROR(ingest.Write(bytes));
  return ingest.Commit().status();
}

absl::StatusOr<Ingest> ContentStore::Begin(const oci::Descriptor& descriptor) {
  const std::string name = descriptor.digest.hex();
  {
    absl::MutexLock lock(&lock_);
    if (!active_.insert(name).second) {
      return absl::AbortedError(
          absl::StrCat("begin ", Named(descriptor.digest), ": it is being brought already"));
    }
  }
  absl::Cleanup forget = [&] { Forget(name); };
  // Looked for only now, because the one who had it until now may have committed it.
  if (Has(descriptor.digest)) {
    return absl::AlreadyExistsError(
        absl::StrCat("begin ", Named(descriptor.digest), ": is in the store"));
  }
  UniqueFd file(
      openat(ingest_.get(), name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return ErrnoStatus(errno, absl::StrCat("begin ", Named(descriptor.digest)));
  std::move(forget).Cancel();
  Ingest ingest(this, descriptor, name, std::move(file));
  RETURN_IF_ERROR(ingest.Rehash());
  return ingest;
}

absl::StatusOr<Ingest> ContentStore::BeginUnknown(std::string media_type) {
  std::string name;
  {
    absl::MutexLock lock(&lock_);
    name = absl::StrCat(kUnknownPrefix, next_name_++);
    active_.insert(name);
  }
  // Open removed those of an earlier process, so the name is free.
  UniqueFd file(openat(ingest_.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) {
    const int error = errno;
    Forget(name);
    return ErrnoStatus(error, absl::StrCat("make \"", root_, "/ingest/", name, "\""));
  }
  return Ingest(this, oci::Descriptor{std::move(media_type)}, std::move(name), std::move(file));
}

absl::Status ContentStore::Remove(const oci::Digest& digest) {
  return trash_->Discard(PathOf(digest));
}

void ContentStore::Forget(const std::string& name) {
  absl::MutexLock lock(&lock_);
  active_.erase(name);
}

Ingest::Ingest(ContentStore* store, oci::Descriptor descriptor, std::string name, UniqueFd file)
    : store_(store),
      descriptor_(std::move(descriptor)),
      name_(std::move(name)),
      file_(std::move(file)),
      offset_(std::make_unique<std::atomic<int64_t>>(0)) {}

Ingest::Ingest(Ingest&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      descriptor_(std::move(other.descriptor_)),
      name_(std::move(other.name_)),
      file_(std::move(other.file_)),
      sum_(std::move(other.sum_)),
      offset_(std::move(other.offset_)) {}

Ingest::~Ingest() {
  if (store_ == nullptr) return;
  if (!known()) unlinkat(store_->ingest_.get(), name_.c_str(), 0);
  store_->Forget(name_);
}

absl::Status Ingest::Rehash() {
  std::vector<char> buffer(1 << 20);
  int64_t at = 0;
  while (true) {
    const ssize_t got = pread(file_.get(), buffer.data(), buffer.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return ErrnoStatus(errno, absl::StrCat("read partial ", Named(descriptor_.digest)));
    if (got == 0) break;
    at += got;
    if (at > descriptor_.size) break;
    sum_.Update({buffer.data(), static_cast<size_t>(got)});
  }
  if (at > descriptor_.size) {
    // Not the beginning of this content, whatever it is.
    if (ftruncate(file_.get(), 0) != 0) {
      return ErrnoStatus(errno, absl::StrCat("empty partial ", Named(descriptor_.digest)));
    }
    sum_ = oci::Sha256();
    at = 0;
  }
  offset_->store(at, std::memory_order_release);
  return absl::OkStatus();
}

absl::Status Ingest::Write(std::string_view bytes) {
  const std::string what =
      absl::StrCat("write ", known() ? Named(descriptor_.digest) : absl::StrCat("content ", name_));
  if (known() && static_cast<int64_t>(bytes.size()) > descriptor_.size - offset()) {
    return absl::OutOfRangeError(
        absl::StrCat(what, ": more than its ", descriptor_.size, " bytes"));
  }
  while (!bytes.empty()) {
    // By offset, because the file may be shared with a reader that has an own position in mind.
    const ssize_t written = pwrite(file_.get(), bytes.data(), bytes.size(), offset());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, what);
    sum_.Update(bytes.substr(0, static_cast<size_t>(written)));
    offset_->store(offset() + written, std::memory_order_release);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::StatusOr<oci::Descriptor> Ingest::Commit() {
  const oci::Digest digest = sum_.Result();
  if (known()) {
    if (offset() < descriptor_.size) {
      return absl::OutOfRangeError(absl::StrCat("commit ", Named(descriptor_.digest), ": ",
                                                offset(), " of its ", descriptor_.size,
                                                " bytes are here"));
    }
    if (digest != descriptor_.digest) {
      // Because nothing that is in there may be trusted, and the next attempt would continue it.
      unlinkat(store_->ingest_.get(), name_.c_str(), 0);
      std::exchange(store_, nullptr)->Forget(name_);
      return Damaged(
          absl::StrCat(Named(descriptor_.digest), ": what came has digest ", digest.text()));
    }
  } else {
    descriptor_.digest = digest;
    descriptor_.size = offset();
  }
  RETURN_IF_ERROR(Publish(digest));
  std::exchange(store_, nullptr)->Forget(name_);
  return descriptor_;
}

absl::Status Ingest::Publish(const oci::Digest& digest) {
  const std::string what = absl::StrCat("commit ", Named(digest));
  // Others read the layout too; and nobody writes a content again.
  if (fchmod(file_.get(), 0444) != 0) return ErrnoStatus(errno, what);
  // Before the rename, because the name promises that the bytes are there after a power cut.
  if (fdatasync(file_.get()) != 0) return ErrnoStatus(errno, what);
  if (renameat(store_->ingest_.get(), name_.c_str(), store_->blobs_.get(), digest.hex().c_str()) !=
      0) {
    return ErrnoStatus(errno, what);
  }
  if (fsync(store_->blobs_.get()) != 0) return ErrnoStatus(errno, what);
  return absl::OkStatus();
}

}  // namespace noded::store
