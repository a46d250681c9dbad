// Unpacked layers, shared by all images and containers: layers/<chain hex>/fs, and layer.json
// beside it. What has its final name is whole and on disk: a power cut leaves a layer or none,
// because the file system is synced before the rename and the directory after it.
#ifndef ROOTFS_STORE_LAYER_STORE_H_
#define ROOTFS_STORE_LAYER_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "node/base/unique_fd.h"
#include "rootfs/oci/digest.h"
#include "rootfs/store/trash.h"

namespace noded::store {

// What a walk of a layer counts: every name below its root directory, hard links each, and the
// bytes (st_size) of regular files, once an inode.
struct TreeSize {
  int64_t entries = 0;
  int64_t bytes = 0;
  bool operator==(const TreeSize&) const = default;
};
// Of the directory `dir`, borrowed. Follows no link and crosses no mount.
absl::StatusOr<TreeSize> MeasureTree(int dir);

struct Layer {
  oci::Digest chain_id, diff_id;
  std::string path;  // of fs, absolute
  TreeSize size;
};

class LayerStore;

// A layer being unpacked, in layers/<chain hex>.draft-<n>. Move-only; single-threaded.
class LayerDraft {
 public:
  LayerDraft(LayerDraft&& other) noexcept;
  LayerDraft& operator=(LayerDraft&&) = delete;
  // Uncommitted: it is discarded.
  ~LayerDraft();

  // Of fs, empty at first, owned by root, 0755. Borrowed.
  int directory() const { return directory_.get(); }
  std::string path() const;

  // Durable when it returns. Nobody writes into it any more. A layer that is here already is fine:
  // this one is dropped. Its size is measured here, because what a tar says of itself is not what
  // a walk finds (entries that replace others, parents that it does not name).
  // RESOURCE_EXHAUSTED with NO_SPACE. DATA_LOSS: the disk failed to take what was written.
  absl::StatusOr<Layer> Commit(const oci::Digest& diff_id);

 private:
  friend class LayerStore;
  LayerDraft(LayerStore* store, oci::Digest chain_id, std::string name, UniqueFd directory,
             uint64_t sync_failures);

  LayerStore* store_;  // null: moved from, or committed
  oci::Digest chain_id_;
  std::string name_;  // in layers/
  UniqueFd directory_;
  uint64_t sync_failures_;  // of the store when this was begun
};

// Thread-safe; outlives its drafts.
class LayerStore {
 public:
  // `root` is the layout's directory. Drafts that a crash left are discarded; a layer whose record
  // cannot be read is too, and `warn` told so.
  static absl::StatusOr<std::unique_ptr<LayerStore>> Open(const std::string& root, Trash* trash,
                                                          const Warn& warn);

  // From memory, no system call.
  std::optional<Layer> Find(const oci::Digest& chain_id) const;
  std::vector<Layer> List() const;
  // An empty one: a base layer whose tar is not known yet; its diff_id will be its chain id.
  absl::StatusOr<LayerDraft> Begin(const oci::Digest& chain_id);
  // Gone at once, deleted behind. A missing one is OK.
  absl::Status Remove(const oci::Digest& chain_id);

 private:
  friend class LayerDraft;
  struct SyncRound;
  LayerStore(std::string directory, UniqueFd dir, Trash* trash);
  absl::Status Load(const Warn& warn);
  // syncfs(2) that began after the call. Callers that wait at the same time share one.
  // `failures`: of FailedSyncs() when the caller began to write.
  absl::Status Sync(uint64_t failures) ABSL_LOCKS_EXCLUDED(sync_lock_);
  uint64_t FailedSyncs() ABSL_LOCKS_EXCLUDED(sync_lock_);
  // Gives the draft its final name; false: there is one already.
  absl::StatusOr<bool> Rename(const std::string& draft, const std::string& name)
      ABSL_LOCKS_EXCLUDED(lock_);
  absl::StatusOr<Layer> Publish(const std::string& draft, Layer layer) ABSL_LOCKS_EXCLUDED(lock_);

  const std::string directory_;  // layers/
  const UniqueFd dir_;
  Trash* const trash_;
  mutable absl::Mutex lock_;
  std::map<oci::Digest, Layer> layers_ ABSL_GUARDED_BY(lock_);
  uint64_t next_draft_ ABSL_GUARDED_BY(lock_) = 0;
  absl::Mutex sync_lock_;
  std::shared_ptr<SyncRound> next_round_ ABSL_GUARDED_BY(sync_lock_);
  bool syncing_ ABSL_GUARDED_BY(sync_lock_) = false;
  uint64_t failed_syncs_ ABSL_GUARDED_BY(sync_lock_) = 0;
};

}  // namespace noded::store

#endif  // ROOTFS_STORE_LAYER_STORE_H_
