// Contents by digest: the blobs of an OCI image layout (image-spec, image-layout.md). What is in
// blobs/sha256 is complete, was compared with its digest, and is on disk: a content comes there
// only by a rename after fdatasync, and the directory is synced before its writer is told so.
#ifndef ROOTFS_STORE_CONTENT_H_
#define ROOTFS_STORE_CONTENT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "node/base/unique_fd.h"
#include "rootfs/oci/digest.h"
#include "rootfs/oci/document.h"
#include "rootfs/store/trash.h"

namespace noded::store {

class ContentStore;

// A content that is arriving, in ingest/. Move-only. One thread writes; offset() and file() are for
// any thread.
class Ingest {
 public:
  Ingest(Ingest&& other) noexcept;
  Ingest& operator=(Ingest&&) = delete;
  // Uncommitted: of a known digest the partial file stays for the next Begin, else it is removed.
  ~Ingest();

  // Bytes that are here, hashed: those that an earlier attempt left, and those written.
  int64_t offset() const { return offset_->load(std::memory_order_acquire); }
  // Borrowed. May be read from its start with pread(2) up to offset() while it is written.
  int file() const { return file_.get(); }
  // At offset(). OUT_OF_RANGE: more than the descriptor's size, nothing is written.
  // RESOURCE_EXHAUSTED with NO_SPACE: the disk is full; what was written before stays.
  absl::Status Write(std::string_view bytes);
  // The content's descriptor. Size or digest not as promised: the partial is removed, DATA_LOSS
  // with CONTENT_DAMAGED; a size short of it: OUT_OF_RANGE, the partial stays. Call it once.
  absl::StatusOr<oci::Descriptor> Commit();

 private:
  friend class ContentStore;
  Ingest(ContentStore* store, oci::Descriptor descriptor, std::string name, UniqueFd file);
  absl::Status Rehash();
  absl::Status Publish(const oci::Digest& digest);
  bool known() const { return !descriptor_.digest.empty(); }

  ContentStore* store_;         // null: moved from, or committed
  oci::Descriptor descriptor_;  // of an unknown one only the media type
  std::string name_;            // in ingest/
  UniqueFd file_;
  oci::Sha256 sum_;
  std::unique_ptr<std::atomic<int64_t>> offset_;
};

// Thread-safe; outlives its ingests.
class ContentStore {
 public:
  // `root` is the directory of the layout; what is missing of it is made. Removes partial files
  // that nobody has touched for a day, and those of unknown digest.
  static absl::StatusOr<std::unique_ptr<ContentStore>> Open(const std::string& root, Trash* trash);

  // Read-only. NOT_FOUND: it is not here.
  absl::StatusOr<UniqueFd> Open(const oci::Digest& digest) const;
  // All of a small one, compared with the digest again: DATA_LOSS with CONTENT_DAMAGED.
  // RESOURCE_EXHAUSTED: larger than `limit` bytes.
  absl::StatusOr<std::string> Read(const oci::Digest& digest, int64_t limit) const;
  bool Has(const oci::Digest& digest) const { return Size(digest).ok(); }
  // In bytes. NOT_FOUND: it is not here.
  absl::StatusOr<int64_t> Size(const oci::Digest& digest) const;
  // blobs/sha256/<hex>, for programs that read it by name.
  std::string PathOf(const oci::Digest& digest) const;
  // All that are here, unsorted.
  absl::StatusOr<std::vector<oci::Digest>> List() const;

  // A small document, durable on return. One that is here is left as it is. INVALID_ARGUMENT: not
  // what the descriptor says.
  absl::Status Put(std::string_view bytes, const oci::Descriptor& descriptor);
  // Continues what an earlier attempt left. ALREADY_EXISTS: it is here. ABORTED: another ingest of
  // it is at work in this process.
  absl::StatusOr<Ingest> Begin(const oci::Descriptor& descriptor);
  // For what is made here: digest and size come out of Commit.
  absl::StatusOr<Ingest> BeginUnknown(std::string media_type);

  // Gone at once for new readers; deleted behind. A missing one is OK.
  absl::Status Remove(const oci::Digest& digest);

 private:
  friend class Ingest;
  ContentStore(std::string root, UniqueFd ingest, UniqueFd blobs, Trash* trash);
  absl::Status RemoveStale();
  void Forget(const std::string& name) ABSL_LOCKS_EXCLUDED(lock_);

  const std::string root_;
  const UniqueFd ingest_, blobs_;  // directories
  Trash* const trash_;
  absl::Mutex lock_;
  std::set<std::string> active_ ABSL_GUARDED_BY(lock_);  // names in ingest/
  uint64_t next_name_ ABSL_GUARDED_BY(lock_) = 0;
};

}  // namespace noded::store

#endif  // ROOTFS_STORE_CONTENT_H_
