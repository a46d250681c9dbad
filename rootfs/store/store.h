// The store of images: contents, references, unpacked layers, and what keeps them together: leases,
// collection of what nobody needs, verification. Its directory is an OCI image layout that other
// tools can read, with ingest/, layers/ and trash/ beside.
//
// Who uses something of the store: take a lease, hold it, then look whether it is there (lease.h);
// what an entry of the table names stays without a lease.
#ifndef ROOTFS_STORE_STORE_H_
#define ROOTFS_STORE_STORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "node/base/unique_fd.h"
#include "rootfs/oci/digest.h"
#include "rootfs/store/content.h"
#include "rootfs/store/image_details.h"
#include "rootfs/store/image_table.h"
#include "rootfs/store/layer_store.h"
#include "rootfs/store/lease.h"
#include "rootfs/store/trash.h"

namespace noded::store {

// What is needed besides what the table names and leases hold.
struct Roots {
  std::vector<oci::Digest> manifests;  // with all that they name
  std::vector<oci::Digest> chain_ids;  // each by itself, not those below it
};

struct CollectOptions {
  // Also images of entries without reference that are not pinned; their entries are erased.
  bool unnamed = false;
  // Tells what would go, and removes nothing.
  bool dry_run = false;
  // With dry_run: as if these references had been erased before.
  std::set<std::string> without;
};

struct Collected {
  std::vector<Entry> images;  // entries without reference that were erased
  std::vector<oci::Digest> contents;
  std::vector<oci::Digest> chain_ids;  // of layers
  int64_t bytes = 0;
};

struct VerifyOptions {
  std::optional<oci::Digest> manifest;  // only what this one needs
  // Removes what is damaged, so that the next pull brings it; not what is held or in use.
  bool repair = false;
  // Layers that containers have mounted: never removed.
  std::set<oci::Digest> chain_ids_in_use;
  // Asked now and then; true: CANCELLED. May be empty.
  std::function<bool()> cancelled;
};

struct Damage {
  enum class Kind { kContent, kLayer };
  Kind kind;
  oci::Digest digest;                   // of a content, or chain id of a layer
  std::string problem;                  // in words
  std::vector<std::string> references;  // of images that need it
  bool repaired = false;                // it is not here any more
};

struct Verified {
  int64_t contents = 0, bytes = 0, layers = 0;  // looked at
  std::vector<Damage> damages;
};

class Mark;

struct DiskUse {
  int64_t total_bytes = 0, free_bytes = 0;  // free: for those that are not root
};

// Thread-safe. One process at a time has a directory open (a lock file sees to it).
class Store {
 public:
  // Made when missing. Leftovers of a crash are removed. A damaged index.json is set aside as
  // index.json.damaged, `warn` told, and the images whose manifests are here come back without
  // names, pinned. FAILED_PRECONDITION: another process has it open, or it is an OCI layout of
  // another version.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& directory, Warn warn);

  ContentStore& contents() { return *contents_; }
  ImageTable& table() { return *table_; }
  LayerStore& layers() { return *layers_; }
  Trash& trash() { return *trash_; }
  Lease NewLease() { return leases_.New(); }
  // What manifest and configuration say; kept in memory. NOT_FOUND: one of the two is not here.
  absl::StatusOr<std::shared_ptr<const ImageDetails>> Details(const oci::Digest& manifest) {
    return details_->Get(manifest);
  }

  // Removes what nothing needs, beside everything else. `roots` is called once, after which what
  // leases hold or ever held in this collection counts as needed; it may take the caller's locks.
  // DATA_LOSS: a manifest or configuration of the table cannot be read, so that what it needs is
  // not known, and nothing is removed. One collection at a time; others wait.
  absl::StatusOr<Collected> Collect(const std::function<Roots()>& roots,
                                    const CollectOptions& options = {});
  // Reads contents again and compares digests; compares each layer with its record by a walk.
  absl::StatusOr<Verified> Verify(const VerifyOptions& options = {});
  // An empty directory beside the contents, for what is on its way in or out; the caller discards
  // it. What a crash left is discarded at Open.
  absl::StatusOr<std::string> NewScratch();
  // Of the file system, for watermarks.
  absl::StatusOr<DiskUse> Disk() const;

 private:
  Store(std::string directory, UniqueFd lock_file);
  absl::Status OpenParts(const Warn& warn);
  absl::Status RebuildTable(const absl::Status& why, const Warn& warn);
  // Renames it away unless it is marked or held; what is held anew is marked first. In a
  // collection.
  absl::StatusOr<bool> RemoveUnlessNeeded(const Leases::Item& item, bool dry_run, Mark& mark)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(collecting_);
  void Repair(const VerifyOptions& options, std::vector<Damage>& damages)
      ABSL_LOCKS_EXCLUDED(collecting_);

  const std::string directory_;
  const UniqueFd lock_file_;
  Leases leases_;
  std::unique_ptr<Trash> trash_;
  std::unique_ptr<ContentStore> contents_;
  std::unique_ptr<LayerStore> layers_;
  std::unique_ptr<ImageTable> table_;
  std::unique_ptr<DetailsCache> details_;
  std::atomic<uint64_t> next_scratch_ = 0;
  absl::Mutex collecting_;  // held by Collect and Repair
};

}  // namespace noded::store

#endif  // ROOTFS_STORE_STORE_H_
