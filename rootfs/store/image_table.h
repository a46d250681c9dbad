// Which references name which images: the index.json of the layout, held in memory. A change is on
// disk when its function returns, by a temporary file, fsync, rename and fsync of the directory.
//
// Other tools read the same file: org.opencontainers.image.ref.name and io.containerd.image.name
// are the full reference, so `skopeo inspect oci:<root>/images:<reference>` works.
#ifndef ROOTFS_STORE_IMAGE_TABLE_H_
#define ROOTFS_STORE_IMAGE_TABLE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "rootfs/oci/digest.h"
#include "rootfs/oci/document.h"

namespace noded::store {

// One image under one reference.
struct Entry {
  // Full: "docker.io/library/busybox:1.36". Empty: the image has lost its names or never had one.
  std::string reference;
  // Of the platform's manifest, never of an index. Foreign annotations are kept.
  oci::Descriptor manifest;
  // Digest of its configuration.
  oci::Digest image_id;
  // By which its registry knows it: "docker.io/library/busybox@sha256:…"; may be empty.
  std::string repository_digest;
  // Only of an entry without reference: kept until it is erased on purpose.
  bool pinned = false;
  bool operator==(const Entry&) const = default;
};

inline constexpr size_t kMaxEntries = 20000;

// Thread-safe.
class ImageTable {
 public:
  // NOT_FOUND: there is no index.json. DATA_LOSS: it is damaged.
  static absl::StatusOr<std::unique_ptr<ImageTable>> Open(const std::string& root);
  // Begins with `entries`; an index.json that is there becomes index.json.damaged.
  static absl::StatusOr<std::unique_ptr<ImageTable>> Create(const std::string& root,
                                                            std::vector<Entry> entries);

  std::optional<Entry> Find(std::string_view reference) const;
  // By reference; those without one last.
  std::vector<Entry> List() const;
  std::vector<Entry> EntriesOf(const oci::Digest& image_id) const;

  // Adds it, or moves the reference. An image that so loses its last reference is kept as an entry
  // without one, not pinned. An entry without a reference is dropped when its image gets one.
  // The caller holds a lease of the manifest and has looked that all is here.
  // RESOURCE_EXHAUSTED past kMaxEntries.
  absl::Status Set(const Entry& entry);
  // All at once, for images of one archive.
  absl::Status SetAll(const std::vector<Entry>& entries);
  // What was erased; nullopt: there was none. The image does not become an entry without reference.
  absl::StatusOr<std::optional<Entry>> Erase(std::string_view reference);
  // Every entry for which it is true, at once.
  absl::StatusOr<std::vector<Entry>> EraseIf(const std::function<bool(const Entry&)>& wanted);

 private:
  ImageTable(std::string root, std::vector<Entry> entries);
  absl::Status Write(std::vector<Entry> entries) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_)
      ABSL_LOCKS_EXCLUDED(lock_);
  std::shared_ptr<const std::vector<Entry>> Snapshot() const ABSL_LOCKS_EXCLUDED(lock_);

  const std::string root_;
  // Held while the file is written; readers never wait for the disk.
  absl::Mutex writer_ ABSL_ACQUIRED_BEFORE(lock_);
  mutable absl::Mutex lock_;
  // Sorted by reference, those without one last.
  std::shared_ptr<const std::vector<Entry>> entries_ ABSL_GUARDED_BY(lock_);
};

// Of index.json and back. INVALID_ARGUMENT with what is wrong.
absl::StatusOr<std::vector<Entry>> ParseEntries(std::string_view json);
std::string EntriesToJson(const std::vector<Entry>& entries);

}  // namespace noded::store

#endif  // ROOTFS_STORE_IMAGE_TABLE_H_
