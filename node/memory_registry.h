// The registry's state and locks. Its reading half is in registry_read.cc, its changing half in
// registry.cc.
#ifndef NODE_MEMORY_REGISTRY_H_
#define NODE_MEMORY_REGISTRY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "node/change_log.h"
#include "node/registry.h"
#include "node/request_memory.h"
#include "node/snapshot_observers.h"

namespace noded {

// Locks, in this order: a container's `change` (held over the disk, so that its changes are one
// after another), request_files_, mutex_ (never held over the disk or a callback).
class MemoryRegistry : public Registry {
 public:
  MemoryRegistry(StateStore* store, StateStore::Loaded loaded);
  ~MemoryRegistry() override;

  absl::StatusOr<Snapshot> Find(const std::string& reference) const override;
  Snapshot Get(const std::string& id) const override;
  std::vector<Snapshot> All() const override;
  absl::StatusOr<std::optional<node::v1::Container>> FindRequest(
      const std::string& request_id, const std::string& digest) const override;
  absl::StatusOr<Snapshot> Insert(ContainerRecord record) override;
  absl::StatusOr<Snapshot> Change(const std::string& id, node::v1::ContainerEventType type,
                                  absl::AnyInvocable<absl::Status(ContainerRecord&)> change,
                                  Saving saving) override;
  void SaveChanged() override;
  absl::Status Remove(const std::string& id, bool forget) override;
  std::function<void()> OnChange(const std::string& id, Seen seen) override;
  absl::StatusOr<node::v1::ListResponse> List(const node::v1::ListRequest& request) const override;
  std::shared_ptr<ResponseStream<node::v1::WatchResponse>> Watch(
      const node::v1::WatchRequest& request) override;
  int64_t revision() const override {
    absl::ReaderMutexLock lock(&mutex_);
    return published_;
  }

 private:
  struct Entry {
    absl::Mutex change;
    bool removed ABSL_GUARDED_BY(change) = false;
    std::shared_ptr<const std::string> constant ABSL_GUARDED_BY(change);  // see LoggedChange
    // Guarded by the registry's mutex_.
    Snapshot snapshot;
    bool published = false;  // until then it is only reserved
    const std::shared_ptr<SnapshotObservers> observers = std::make_shared<SnapshotObservers>();
  };
  using EntryPtr = std::shared_ptr<Entry>;

  // Adopting, before there are other threads.
  void Adopt(ContainerRecord record);
  void AdoptDamaged(const StateStore::Loaded::Damaged& damaged);

  EntryPtr FindEntry(const std::string& id) const;
  absl::Status Reserve(const EntryPtr& entry, const Snapshot& snapshot);
  void Unreserve(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(entry.change);

  // Changes are published in the order of their revisions, though they are saved side by side: who
  // has saved waits for those with lower revisions, and for nothing but their file writes.
  int64_t TakeRevision();
  void DropRevision(int64_t revision);
  // Publishes `next` (removes the container with `remove`) in its turn.
  void Publish(Entry& entry, const Snapshot& next, node::v1::ContainerEventType type,
               bool remove = false) ABSL_EXCLUSIVE_LOCKS_REQUIRED(entry.change);
  void EraseEntry(const node::v1::Container& container) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RememberRequest(const ContainerRecord& record);

  void Upkeep();
  // What of these is still unsaved after it is in unsaved_.
  void Save(const std::set<std::string>& ids);
  void ForgetRequests();

  StateStore* const store_;
  const std::shared_ptr<ChangeLog> log_;
  // Over a request's file and the memory of it, so that a file is not deleted that has just been
  // written anew.
  absl::Mutex request_files_;
  mutable absl::Mutex mutex_;
  std::map<std::string, EntryPtr> entries_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::string> names_ ABSL_GUARDED_BY(mutex_);  // name → id
  RequestMemory requests_ ABSL_GUARDED_BY(mutex_);
  int64_t taken_ ABSL_GUARDED_BY(mutex_);
  int64_t published_ ABSL_GUARDED_BY(mutex_);
  std::set<int64_t> in_turn_ ABSL_GUARDED_BY(mutex_);      // revisions taken, not yet published
  std::set<std::string> unsaved_ ABSL_GUARDED_BY(mutex_);  // published though the disk refused
  std::set<std::string> changed_ ABSL_GUARDED_BY(mutex_);  // published, SaveChanged is owed
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread upkeep_;
};

// NOT_FOUND (CONTAINER_NOT_FOUND), with the reference unless it is long.
absl::Status ContainerNotFound(const std::string& reference);

}  // namespace noded

#endif  // NODE_MEMORY_REGISTRY_H_
