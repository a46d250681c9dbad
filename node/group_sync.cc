#include "node/group_sync.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"

namespace noded {
namespace {

// Beyond it one sync of the whole file system is cheaper than some milliseconds for each file.
constexpr size_t kFewChanges = 16;
constexpr char kHeld[] = ".syncing";
constexpr char kSynced[] = ".synced";

std::string ParentOf(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// A container that was removed meanwhile needs no sync.
bool Done(const absl::Status& status) { return status.ok() || absl::IsNotFound(status); }

}  // namespace

GroupSync::GroupSync(int root, absl::Duration interval) : root_(root), interval_(interval) {
  thread_ = std::thread([this] { Loop(); });
}

GroupSync::~GroupSync() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void GroupSync::FileChanged(const std::string& path, bool keep_synced) {
  absl::MutexLock lock(&mutex_);
  (keep_synced ? pending_.kept_files : pending_.files).insert(path);
}

void GroupSync::DirectoryChanged(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  pending_.directories.insert(path);
}

void GroupSync::Loop() {
  bool stopping = false;
  while (!stopping) {
    Pending pending;
    {
      absl::MutexLock lock(&mutex_);
      auto wanted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || pending_.size() > 0;
      };
      mutex_.Await(absl::Condition(&wanted));
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), interval_);
      stopping = stopping_;
      pending = std::exchange(pending_, {});
    }
    Pending failed = SyncAll(pending);
    absl::MutexLock lock(&mutex_);
    pending_.files.merge(failed.files);
    pending_.kept_files.merge(failed.kept_files);
    pending_.directories.merge(failed.directories);
  }
}

GroupSync::Pending GroupSync::SyncAll(const Pending& pending) const {
  // A name of its own first, because the file may be replaced while it is synced.
  for (const std::string& path : pending.kept_files) Hold(path);
  Pending failed = pending.size() > kFewChanges ? SyncFilesystem(pending) : SyncEach(pending);
  for (const std::string& path : pending.kept_files) {
    if (!failed.kept_files.contains(path)) NameSynced(path);
  }
  return failed;
}

GroupSync::Pending GroupSync::SyncEach(const Pending& pending) const {
  Pending failed;
  std::set<std::string> directories = pending.directories;
  for (const std::string& path : pending.files) {
    if (!Done(SyncPath(path, O_RDONLY))) failed.files.insert(path);
    directories.insert(ParentOf(path));
  }
  for (const std::string& path : pending.kept_files) {
    if (!Done(SyncPath(path + kHeld, O_RDONLY))) failed.kept_files.insert(path);
    directories.insert(ParentOf(path));
    // The file's directory may be new itself.
    directories.insert(ParentOf(ParentOf(path)));
  }
  // After the files, because a name must never come to stand for content that is not on disk.
  for (const std::string& path : directories) {
    if (!Done(SyncPath(path, O_RDONLY | O_DIRECTORY))) failed.directories.insert(path);
  }
  return failed;
}

GroupSync::Pending GroupSync::SyncFilesystem(const Pending& pending) const {
  return syncfs(root_) == 0 ? Pending() : pending;
}

absl::Status GroupSync::SyncPath(const std::string& path, int flags) const {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(root_, path, flags));
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, absl::StrCat("sync \"", path, "\""));
  return absl::OkStatus();
}

void GroupSync::Hold(const std::string& path) const {
  const std::string held = path + kHeld;
  unlinkat(root_, held.c_str(), 0);  // of an attempt that failed
  linkat(root_, path.c_str(), root_, held.c_str(), 0);
}

void GroupSync::NameSynced(const std::string& path) const {
  const std::string held = path + kHeld;
  renameat(root_, held.c_str(), root_, (path + kSynced).c_str());
  // When both are names of one file already, rename(2) does nothing, and says OK.
  unlinkat(root_, held.c_str(), 0);
}

}  // namespace noded
