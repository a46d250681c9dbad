// fsync in the background, many changes at a time: a change is on disk at most a second after it
// was made (as far as the disk keeps up), and nobody waits for it.
//
// A file that was renamed into place before its data was synced may be empty or torn after power
// loss. So the last version that is known to be on disk keeps a second name, "<path>.synced" (a
// hard link), which the reader falls back to: power loss leaves the old or the new version.
#ifndef NODE_GROUP_SYNC_H_
#define NODE_GROUP_SYNC_H_

#include <set>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace noded {

// Thread-safe. One thread. What waits is bounded by the number of files.
class GroupSync {
 public:
  // Paths below are relative to the borrowed directory `root`. Changes are collected for
  // `interval`.
  explicit GroupSync(int root, absl::Duration interval = absl::Milliseconds(500));
  ~GroupSync();  // syncs what waits

  // A file was replaced. With `keep_synced` the durable version gets its second name.
  void FileChanged(const std::string& path, bool keep_synced);
  // Entries of a directory were made or removed.
  void DirectoryChanged(const std::string& path);

 private:
  struct Pending {
    std::set<std::string> files;
    std::set<std::string> kept_files;
    std::set<std::string> directories;
    size_t size() const { return files.size() + kept_files.size() + directories.size(); }
  };
  void Loop();
  // What could not be synced, to be tried again.
  Pending SyncAll(const Pending& pending) const;
  Pending SyncEach(const Pending& pending) const;
  Pending SyncFilesystem(const Pending& pending) const;
  absl::Status SyncPath(const std::string& path, int flags) const;
  void Hold(const std::string& path) const;
  void NameSynced(const std::string& path) const;

  const int root_;
  const absl::Duration interval_;
  absl::Mutex mutex_;
  Pending pending_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace noded

#endif  // NODE_GROUP_SYNC_H_
