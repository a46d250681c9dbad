#include "rootfs/store/layer_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/store/layer_record.h"

namespace noded::store {
namespace {

constexpr char kRecord[] = "layer.json";
constexpr size_t kMaxRecordBytes = 4096;
constexpr std::string_view kDraft = ".draft-";

std::string Named(const oci::Digest& chain_id) { return absl::StrCat("layer ", chain_id.text()); }

}  // namespace

// One syncfs and those that wait for it.
struct LayerStore::SyncRound {
  bool done = false;
  absl::Status status;
};

absl::StatusOr<std::unique_ptr<LayerStore>> LayerStore::Open(const std::string& root, Trash* trash,
                                                             const Warn& warn) {
  const std::string directory = root + "/layers";
  // Not for everybody: layers hold setuid programs, old ones too.
  RETURN_IF_ERROR(MakeDirs(directory, 0700));
  ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  std::unique_ptr<LayerStore> store(new LayerStore(directory, std::move(dir), trash));
  RETURN_IF_ERROR(store->Load(warn));
  return store;
}

LayerStore::LayerStore(std::string directory, UniqueFd dir, Trash* trash)
    : directory_(std::move(directory)), dir_(std::move(dir)), trash_(trash) {}

absl::Status LayerStore::Load(const Warn& warn) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirAt(dir_.get(), "."));
  absl::MutexLock lock(&lock_);
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(directory_, "/", name);
    if (name.find(kDraft) != name.npos) {
      RETURN_IF_ERROR(trash_->Discard(path));
      continue;
    }
    absl::StatusOr<oci::Digest> chain_id = oci::Digest::Parse(absl::StrCat("sha256:", name));
    if (!chain_id.ok()) continue;  // none of ours
    absl::StatusOr<std::string> json =
        ReadFileAt(dir_.get(), absl::StrCat(name, "/", kRecord), kMaxRecordBytes);
    absl::StatusOr<LayerRecord> record =
        json.ok() ? ParseLayerRecord(*json) : absl::StatusOr<LayerRecord>(json.status());
    if (!record.ok()) {
      warn(absl::StrCat(Named(*chain_id),
                        ": discarded, its record cannot be read: ", record.status().message()));
      RETURN_IF_ERROR(trash_->Discard(path));
      continue;
    }
    layers_[*chain_id] = {*chain_id, record->diff_id, path + "/fs", record->size};
  }
  return absl::OkStatus();
}

std::optional<Layer> LayerStore::Find(const oci::Digest& chain_id) const {
  absl::MutexLock lock(&lock_);
  const auto found = layers_.find(chain_id);
  if (found == layers_.end()) return std::nullopt;
  return found->second;
}

std::vector<Layer> LayerStore::List() const {
  absl::MutexLock lock(&lock_);
  std::vector<Layer> layers;
  layers.reserve(layers_.size());
  for (const auto& [chain_id, layer] : layers_) layers.push_back(layer);
  return layers;
}

absl::StatusOr<LayerDraft> LayerStore::Begin(const oci::Digest& chain_id) {
  const uint64_t failures = FailedSyncs();
  std::string name = absl::StrCat(chain_id.empty() ? "base" : chain_id.hex(), AsAbsl(kDraft));
  {
    absl::MutexLock lock(&lock_);
    absl::StrAppend(&name, next_draft_++);
  }
  const std::string fs = name + "/fs";
  const std::string what = absl::StrCat("begin ", Named(chain_id), ": make \"", fs, "\"");
  if (mkdirat(dir_.get(), name.c_str(), 0700) != 0) return ErrnoStatus(errno, what);
  // From here on its destructor removes it.
  LayerDraft draft(this, chain_id, std::move(name), UniqueFd(), failures);
  if (mkdirat(dir_.get(), fs.c_str(), 0755) != 0) return ErrnoStatus(errno, what);
  draft.directory_ =
      UniqueFd(openat(dir_.get(), fs.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  // The mode given to mkdir is cut by the umask.
  if (!draft.directory_ || fchmod(draft.directory(), 0755) != 0) return ErrnoStatus(errno, what);
  return draft;
}

absl::Status LayerStore::Remove(const oci::Digest& chain_id) {
  absl::MutexLock lock(&lock_);
  layers_.erase(chain_id);
  return trash_->Discard(absl::StrCat(directory_, "/", chain_id.hex()));
}

uint64_t LayerStore::FailedSyncs() {
  absl::MutexLock lock(&sync_lock_);
  return failed_syncs_;
}

absl::Status LayerStore::Sync(uint64_t failures) {
  absl::MutexLock lock(&sync_lock_);
  // A running one may have passed what we wrote, so ours is the next, and so is that of all who
  // come before it begins.
  if (next_round_ == nullptr) next_round_ = std::make_shared<SyncRound>();
  const std::shared_ptr<SyncRound> round = next_round_;
  auto turn = [this, &round]()
                  ABSL_EXCLUSIVE_LOCKS_REQUIRED(sync_lock_) { return round->done || !syncing_; };
  sync_lock_.Await(absl::Condition(&turn));
  if (!round->done) {
    syncing_ = true;
    next_round_ = nullptr;
    sync_lock_.Unlock();
    const int error = syncfs(dir_.get()) == 0 ? 0 : errno;
    sync_lock_.Lock();
    syncing_ = false;
    round->done = true;
    if (error != 0) {
      round->status = ErrnoStatus(error, absl::StrCat("sync file system of \"", directory_, "\""));
      ++failed_syncs_;
    }
  }
  RETURN_IF_ERROR(round->status);
  // The kernel tells of a failed write to the first syncfs after it (errseq_t), which may have been
  // another layer's: then nobody knows whose bytes were lost.
  if (failed_syncs_ != failures) {
    return WithReason(absl::DataLossError(absl::StrCat("sync file system of \"", directory_,
                                                       "\": a write failed meanwhile")),
                      reason::kContentDamaged);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> LayerStore::Rename(const std::string& draft, const std::string& name) {
  absl::MutexLock lock(&lock_);
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (renameat2(dir_.get(), draft.c_str(), dir_.get(), name.c_str(), RENAME_NOREPLACE) == 0) {
      return true;
    }
    if (errno != EEXIST) break;
    struct stat info;
    if (fstatat(dir_.get(), absl::StrCat(name, "/", kRecord).c_str(), &info, 0) == 0) return false;
    // Left by somebody else; without a record it is no layer.
    RETURN_IF_ERROR(trash_->Discard(absl::StrCat(directory_, "/", name)));
  }
  return ErrnoStatus(errno, absl::StrCat("rename \"", draft, "\" in \"", directory_, "\""));
}

absl::StatusOr<Layer> LayerStore::Publish(const std::string& draft, Layer layer) {
  const std::string name = layer.chain_id.hex();
  ASSIGN_OR_RETURN(const bool ours, Rename(draft, name));
  if (!ours) RETURN_IF_ERROR(trash_->Discard(absl::StrCat(directory_, "/", draft)));
  // Before anybody can find it, because what refers to it is made durable next. Also when it is
  // another's, who may not have come as far.
  if (fsync(dir_.get()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("sync directory \"", directory_, "\""));
  }
  absl::MutexLock lock(&lock_);
  struct stat info;
  if (fstatat(dir_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return absl::AbortedError(
        absl::StrCat("commit ", Named(layer.chain_id), ": it was removed meanwhile"));
  }
  layer.path = absl::StrCat(directory_, "/", name, "/fs");
  return layers_.try_emplace(layer.chain_id, layer).first->second;
}

LayerDraft::LayerDraft(LayerStore* store, oci::Digest chain_id, std::string name,
                       UniqueFd directory, uint64_t sync_failures)
    : store_(store),
      chain_id_(std::move(chain_id)),
      name_(std::move(name)),
      directory_(std::move(directory)),
      sync_failures_(sync_failures) {}

LayerDraft::LayerDraft(LayerDraft&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      chain_id_(std::move(other.chain_id_)),
      name_(std::move(other.name_)),
      directory_(std::move(other.directory_)),
      sync_failures_(other.sync_failures_) {}

LayerDraft::~LayerDraft() {
  if (store_ == nullptr) return;
  // What cannot be discarded now is found at the next Open.
  store_->trash_->Discard(absl::StrCat(store_->directory_, "/", name_)).IgnoreError();
}

std::string LayerDraft::path() const { return absl::StrCat(store_->directory_, "/", name_, "/fs"); }

absl::StatusOr<Layer> LayerDraft::Commit(const oci::Digest& diff_id) {
  if (chain_id_.empty()) chain_id_ = diff_id;
  const std::string what = absl::StrCat("commit ", Named(chain_id_));
  absl::StatusOr<TreeSize> size = MeasureTree(directory());
  if (!size.ok()) return Annotate(size.status(), what);
  // Before the sync, so that one sync serves the record too; nobody sees either before the rename.
  RETURN_IF_ERROR(Annotate(ReplaceFileAt(store_->dir_.get(), absl::StrCat(name_, "/", kRecord),
                                         LayerRecordToJson({diff_id, *size})),
                           what));
  RETURN_IF_ERROR(Annotate(store_->Sync(sync_failures_), what));
  ASSIGN_OR_RETURN(Layer layer, store_->Publish(name_, {chain_id_, diff_id, "", *size}));
  store_ = nullptr;
  return layer;
}

}  // namespace noded::store
