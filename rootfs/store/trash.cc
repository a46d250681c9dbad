#include "rootfs/store/trash.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded::store {

absl::StatusOr<std::unique_ptr<Trash>> Trash::Open(const std::string& directory, Warn warn) {
  RETURN_IF_ERROR(MakeDirs(directory, 0700));
  ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  return std::unique_ptr<Trash>(new Trash(directory, std::move(dir), std::move(warn)));
}

Trash::Trash(std::string directory, UniqueFd dir, Warn warn)
    : directory_(std::move(directory)), dir_(std::move(dir)), warn_(std::move(warn)) {
  thread_ = std::thread([this] { Run(); });
}

Trash::~Trash() {
  {
    absl::MutexLock lock(&lock_);
    stop_ = true;
  }
  thread_.join();
}

absl::Status Trash::Discard(const std::string& path) {
  while (true) {
    std::string name;
    {
      absl::MutexLock lock(&lock_);
      name = absl::StrCat(next_name_++);
    }
    // NOREPLACE, because an earlier process's names are still there.
    if (renameat2(AT_FDCWD, path.c_str(), dir_.get(), name.c_str(), RENAME_NOREPLACE) == 0) break;
    if (errno == ENOENT) return absl::OkStatus();
    if (errno == EEXIST) continue;
    const std::string what = absl::StrCat("discard \"", path, "\" into \"", directory_, "\"");
    if (errno == EXDEV) {
      return StatusWithErrno(absl::StatusCode::kFailedPrecondition, errno, what);
    }
    return ErrnoStatus(errno, what);
  }
  absl::MutexLock lock(&lock_);
  ++asked_;
  return absl::OkStatus();
}

void Trash::Drain() {
  absl::MutexLock lock(&lock_);
  const uint64_t wanted = ++asked_;
  auto done = [this, wanted]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) { return ended_ >= wanted; };
  lock_.Await(absl::Condition(&done));
}

void Trash::Run() {
  pthread_setname_np(pthread_self(), "store-trash");
  while (true) {
    uint64_t round;
    {
      absl::MutexLock lock(&lock_);
      lock_.Await(absl::Condition(this, &Trash::Awake));
      if (stop_) return;
      round = begun_ = asked_;
    }
    DeleteAll();
    absl::MutexLock lock(&lock_);
    ended_ = round;
  }
}

void Trash::DeleteAll() {
  absl::StatusOr<std::vector<std::string>> names = ListDirAt(dir_.get(), ".");
  if (!names.ok()) {
    warn_(absl::StrCat("trash: ", std::string(names.status().message())));
    return;
  }
  if (names->empty()) return;
  // Because after a power cut the old name must not lead to a tree that is half deleted: the rename
  // is on disk before the first unlink.
  fsync(dir_.get());
  for (const std::string& name : *names) {
    {
      absl::MutexLock lock(&lock_);
      if (stop_) return;
    }
    const absl::Status removed = RemoveTreeAt(dir_.get(), name);
    if (!removed.ok()) {
      warn_(absl::StrCat("trash \"", directory_, "\": ", std::string(removed.message())));
    }
  }
}

}  // namespace noded::store
