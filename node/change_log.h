// The last changes of containers, and who watches them. A watcher is a place in the ring, not a
// queue: however slow it is it costs no memory, and one that falls out of the ring is told so.
#ifndef NODE_CHANGE_LOG_H_
#define NODE_CHANGE_LOG_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "node/state/v1/record.pb.h"
#include "node/streams.h"
#include "node/v1/container_service.pb.h"

namespace noded {

// A change in two serialized parts whose concatenation in the event's container is the whole: what
// hardly ever changes (the spec above all) is shared by all changes of a container, so that ten
// thousand changes are some megabytes.
struct LoggedChange {
  int64_t revision = 0;
  std::shared_ptr<const std::string> constant;  // of Container
  std::string rest;                             // of ContainerEvent

  size_t bytes() const { return constant->size() + rest.size(); }
  node::v1::ContainerEvent ToEvent() const;
};
// `constant` is that of the container's change before (or nullptr), and is replaced when it
// differs.
LoggedChange MakeChange(node::v1::ContainerEventType type, absl::Time time,
                        const node::v1::Container& container,
                        std::shared_ptr<const std::string>& constant);

struct ChangeLogOptions {
  size_t kept_changes = 10'000;
  absl::Duration progress_interval = absl::Seconds(10);
};

// Thread-safe; held by a shared_ptr, since watchers may outlive the registry. One thread, on which
// the watchers' answers that had to wait come.
class ChangeLog : public std::enable_shared_from_this<ChangeLog> {
 public:
  using Options = ChangeLogOptions;
  using Snapshot = std::shared_ptr<const node::state::v1::ContainerRecord>;
  using WatchStream = ResponseStream<node::v1::WatchResponse>;

  // `last_revision`: changes up to it are not kept.
  explicit ChangeLog(int64_t last_revision, Options options = {});
  // Watchers are answered UNAVAILABLE. After it there are no more calls but by watchers.
  void Close();

  // Revisions must rise from call to call.
  void Append(LoggedChange change);

  // All changes from `from_revision` on, inclusive; it may lie in the future.
  std::shared_ptr<WatchStream> WatchFrom(int64_t from_revision, node::v1::ContainerFilter filter);
  // First the snapshots, which show `revision`, then all changes after it.
  std::shared_ptr<WatchStream> WatchAfter(std::vector<Snapshot> snapshots, int64_t revision,
                                          node::v1::ContainerFilter filter);

 private:
  class Watcher;
  enum class Found { kChanges, kNothing, kCompacted, kClosed };

  void DeliverLoop();
  // Changes from `from` on, within the bounds of a message; raises `from` past them.
  Found Collect(int64_t& from, std::vector<LoggedChange>& changes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  absl::Mutex mutex_;
  std::deque<LoggedChange> changes_ ABSL_GUARDED_BY(mutex_);
  int64_t first_kept_ ABSL_GUARDED_BY(mutex_);
  int64_t last_revision_ ABSL_GUARDED_BY(mutex_);
  bool appended_ ABSL_GUARDED_BY(mutex_) = false;  // what waiting ones have not seen
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::shared_ptr<Watcher>> waiting_ ABSL_GUARDED_BY(mutex_);  // with an outstanding Next
  std::thread thread_;
};

}  // namespace noded

#endif  // NODE_CHANGE_LOG_H_
