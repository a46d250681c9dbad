// Who waits for the changes of one container.
#ifndef NODE_SNAPSHOT_OBSERVERS_H_
#define NODE_SNAPSHOT_OBSERVERS_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "node/state/v1/record.pb.h"

namespace noded {

// Thread-safe. Snapshots are pushed in their order under the caller's lock, and delivered by Drain
// without it, so that an observer may call whatever holds the list. Must be held by a shared_ptr
// when Add's result is to be used.
class SnapshotObservers : public std::enable_shared_from_this<SnapshotObservers> {
 public:
  using Snapshot = std::shared_ptr<const node::state::v1::ContainerRecord>;
  // True: enough. nullptr: the container is gone; nothing comes after it.
  using Seen = std::function<bool(const Snapshot&)>;

  // `present` is the first that it sees, by the next Drain. The returned function ends it: when it
  // returns, `seen` does not run and will not (unless called from within it).
  std::function<void()> Add(Snapshot present, Seen seen);
  // For all. An observer with more than 64 undelivered snapshots is spared those in between.
  void Push(const Snapshot& snapshot);
  // Delivers what was pushed, or leaves it to the thread that is just delivering.
  void Drain();

 private:
  struct Observer;
  static bool Deliver(Observer& observer);
  void Erase(const Observer* observer);

  absl::Mutex mutex_;
  std::vector<std::shared_ptr<Observer>> observers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace noded

#endif  // NODE_SNAPSHOT_OBSERVERS_H_
