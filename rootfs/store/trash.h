// Deletion behind the caller's back: what is discarded is renamed into a directory in no time, and
// one thread empties that directory, also of what an earlier process left there. The directory is
// the queue, so a crash forgets nothing and memory holds no list.
#ifndef ROOTFS_STORE_TRASH_H_
#define ROOTFS_STORE_TRASH_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "node/base/unique_fd.h"

namespace noded::store {

// Told what an operator should know, one line without a newline. Called from any thread, never with
// a lock held.
using Warn = std::function<void(const std::string& line)>;

// Thread-safe. Owns its thread; the destructor waits for the tree that is being deleted, no more.
class Trash {
 public:
  // Made when missing. What is in it is deleted from now on.
  static absl::StatusOr<std::unique_ptr<Trash>> Open(const std::string& directory, Warn warn);
  ~Trash();

  // Renames a file or tree away from `path` and deletes it later; what is open or mounted in it
  // stays readable until then. A missing one is OK. FAILED_PRECONDITION: on another file system.
  absl::Status Discard(const std::string& path) ABSL_LOCKS_EXCLUDED(lock_);
  // Returns when all that was discarded before is deleted, or could not be.
  void Drain() ABSL_LOCKS_EXCLUDED(lock_);

 private:
  Trash(std::string directory, UniqueFd dir, Warn warn);
  void Run() ABSL_LOCKS_EXCLUDED(lock_);
  void DeleteAll() ABSL_LOCKS_EXCLUDED(lock_);
  bool Awake() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) { return stop_ || asked_ > begun_; }

  const std::string directory_;
  const UniqueFd dir_;
  const Warn warn_;
  absl::Mutex lock_;
  uint64_t next_name_ ABSL_GUARDED_BY(lock_) = 0;
  uint64_t asked_ ABSL_GUARDED_BY(lock_) = 1;  // rounds of deletion
  uint64_t begun_ ABSL_GUARDED_BY(lock_) = 0;
  uint64_t ended_ ABSL_GUARDED_BY(lock_) = 0;
  bool stop_ ABSL_GUARDED_BY(lock_) = false;
  std::thread thread_;  // last: it uses all above
};

}  // namespace noded::store

#endif  // ROOTFS_STORE_TRASH_H_
