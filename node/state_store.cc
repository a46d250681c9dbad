#include "node/state_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/group_sync.h"
#include "node/record_json.h"

namespace noded {
namespace {

constexpr char kRecordFile[] = "container.json";
constexpr char kRemovedPrefix[] = ".removed-";
constexpr absl::Duration kLockBound = absl::Seconds(2);
constexpr absl::Duration kLockPause = absl::Milliseconds(10);
// Revisions covered by one write of the bound. Half of them remain when it is raised, so that the
// background sync has long been over when the last is given out.
constexpr int64_t kRevisionBlock = 10'000;
// Added to the latest revision that was found when the bound itself was lost.
constexpr int64_t kRevisionJump = 1'000'000;

absl::StatusOr<UniqueFd> OpenPrivateDirectory(int dir, const std::string& name) {
  if (mkdirat(dir, name.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, absl::StrCat("make directory \"", name, "\""));
  }
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (fchmod(fd.get(), 0700) != 0) {
    return ErrnoStatus(errno, absl::StrCat("change mode of \"", name, "\""));
  }
  return fd;
}

// 0 or an errno. A daemon that was killed may take a moment to be gone; and a child that it was
// just spawning holds the lock too, until its exec.
int LockWithin(int fd, absl::Duration bound) {
  const absl::Time end = absl::Now() + bound;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    if (error != EWOULDBLOCK || absl::Now() > end) return error;
    absl::SleepFor(kLockPause);
  }
  return 0;
}

// flock, because the kernel gives it back however the holder dies.
absl::StatusOr<UniqueFd> TakeLock(int root, const std::string& root_path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(root, "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (int error = LockWithin(fd.get(), kLockBound); error != 0) {
    if (error != EWOULDBLOCK) return ErrnoStatus(error, absl::StrCat("lock \"", root_path, "\""));
    std::string pid = ReadHeld(fd.get()).value_or("");
    absl::StripAsciiWhitespace(&pid);
    return absl::FailedPreconditionError(
        absl::StrCat("lock \"", root_path, "\": another noded has it",
                     pid.empty() ? "" : absl::StrCat(" (pid ", pid, ")")));
  }
  if (ftruncate(fd.get(), 0) != 0) return ErrnoStatus(errno, "write pid into lock");
  RETURN_IF_ERROR(
      Annotate(WriteAll(fd.get(), absl::StrCat(getpid(), "\n")), "write pid into lock"));
  return fd;
}

// As ReplaceFileAt, but by exchange: ext4 begins to write a file out when it is renamed over
// another (auto_da_alloc), which costs 70 us, and 8 ms one time in a hundred, instead of 10. What
// it is for, power loss, is GroupSync's care here.
absl::Status ReplaceRecord(int dir, const std::string& path, const std::string& content) {
  const std::string temporary = path + ".tmp";
  ASSIGN_OR_RETURN(UniqueFd fd,
                   OpenAt(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  // The new version, or the one before.
  auto remove = absl::MakeCleanup([&] { unlinkat(dir, temporary.c_str(), 0); });
  RETURN_IF_ERROR(Annotate(WriteAll(fd.get(), content), absl::StrCat("write \"", temporary, "\"")));
  if (renameat2(dir, temporary.c_str(), dir, path.c_str(), RENAME_EXCHANGE) == 0) {
    return absl::OkStatus();
  }
  // The first version, or a file system that cannot exchange.
  if (renameat(dir, temporary.c_str(), dir, path.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("rename to \"", path, "\""));
  }
  std::move(remove).Cancel();
  return absl::OkStatus();
}

bool IsDirectory(int dir, const std::string& name) {
  struct stat info;
  return fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

class DiskStore : public StateStore {
 public:
  DiskStore(std::string root, UniqueFd root_fd, UniqueFd lock, UniqueFd containers,
            UniqueFd requests, UniqueFd damaged)
      : root_(std::move(root)),
        root_fd_(std::move(root_fd)),
        lock_(std::move(lock)),
        containers_(std::move(containers)),
        requests_(std::move(requests)),
        damaged_(std::move(damaged)),
        sync_(root_fd_.get()) {}

  absl::StatusOr<Loaded> Load() override;
  absl::Status Save(const ContainerRecord& record) override;
  absl::Status Delete(const std::string& id) override;
  absl::Status SaveRequest(const RequestRecord& record) override;
  absl::StatusOr<RequestRecord> LoadRequest(const std::string& request_id) override;
  absl::Status DeleteRequest(const std::string& request_id) override;
  absl::Status CoverRevision(int64_t revision) override;
  const std::string& root() const override { return root_; }
  std::string ContainerDirectory(const std::string& id) const override {
    return absl::StrCat(root_, "/containers/", id);
  }

 private:
  void LoadContainer(const std::string& id, Loaded& loaded);
  absl::StatusOr<ContainerRecord> ReadRecord(int dir, const std::string& file,
                                             const std::string& id);
  absl::Status LoadRequests(Loaded& loaded);
  absl::Status LoadRevision(Loaded& loaded);
  // Moves a file out of the way, into damaged/. A failure only leaves it where it is.
  void SetAside(int dir, const std::string& file, const std::string& name);

  const std::string root_;
  const UniqueFd root_fd_;
  const UniqueFd lock_;
  const UniqueFd containers_;
  const UniqueFd requests_;
  const UniqueFd damaged_;
  absl::Mutex revision_mutex_;
  int64_t revision_bound_ ABSL_GUARDED_BY(revision_mutex_) = 0;
  GroupSync sync_;  // last, since it uses the descriptors
};

absl::StatusOr<StateStore::Loaded> DiskStore::Load() {
  Loaded loaded;
  ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirAt(containers_.get(), "."));
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    if (absl::StartsWith(name, kRemovedPrefix)) {
      // A removal that a crash cut short. What cannot be removed now is tried at the next start.
      (void)RemoveTreeAt(containers_.get(), name);
    } else if (IsContainerId(name) && IsDirectory(containers_.get(), name)) {
      LoadContainer(name, loaded);
    }
  }
  RETURN_IF_ERROR(LoadRequests(loaded));
  RETURN_IF_ERROR(LoadRevision(loaded));
  return loaded;
}

absl::StatusOr<ContainerRecord> DiskStore::ReadRecord(int dir, const std::string& file,
                                                      const std::string& id) {
  ASSIGN_OR_RETURN(std::string json, ReadFileAt(dir, file, kMaxRecordBytes));
  return DecodeContainerRecord(json, id);
}

void DiskStore::LoadContainer(const std::string& id, Loaded& loaded) {
  auto dir = OpenAt(containers_.get(), id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir.ok()) {
    loaded.damaged.push_back({id, std::string(dir.status().message())});
    return;
  }
  const std::string file = kRecordFile;
  unlinkat(dir->get(), (file + ".tmp").c_str(), 0);
  auto record = ReadRecord(dir->get(), file, id);
  if (!record.ok()) {
    if (!absl::IsNotFound(record.status())) SetAside(dir->get(), file, id);
    // Power was lost between the rename and the sync: the version before is whole.
    auto synced = ReadRecord(dir->get(), file + ".synced", id);
    if (!synced.ok()) {
      std::string reason =
          absl::IsNotFound(record.status()) ? "no record" : std::string(record.status().message());
      loaded.damaged.push_back({id, std::move(reason)});
      return;
    }
    record = std::move(synced);
  }
  loaded.containers.push_back(*std::move(record));
}

void DiskStore::SetAside(int dir, const std::string& file, const std::string& name) {
  const std::string stem = absl::StrCat(name, "-", absl::ToUnixSeconds(absl::Now()));
  std::string target = stem + ".json";
  constexpr int kMostOfOneSecond = 100;
  for (int i = 2; i < kMostOfOneSecond; ++i) {
    if (renameat2(dir, file.c_str(), damaged_.get(), target.c_str(), RENAME_NOREPLACE) == 0 ||
        errno != EEXIST) {
      return;
    }
    target = absl::StrCat(stem, "-", i, ".json");
  }
}

absl::Status DiskStore::LoadRequests(Loaded& loaded) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirAt(requests_.get(), "."));
  const int64_t now = absl::ToUnixSeconds(absl::Now());
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ".json")) {
      if (absl::EndsWith(name, ".tmp")) unlinkat(requests_.get(), name.c_str(), 0);
      continue;
    }
    absl::StatusOr<RequestRecord> record = absl::DataLossError("");
    auto json = ReadFileAt(requests_.get(), name, kMaxRecordBytes);
    if (json.ok()) record = DecodeRequestRecord(*json);
    if (!record.ok() || RequestFileName(record->request_id()) != name) {
      SetAside(requests_.get(), name, "request");
    } else if (record->expire_time().seconds() <= now) {
      unlinkat(requests_.get(), name.c_str(), 0);
    } else {
      loaded.requests.push_back(*std::move(record));
    }
  }
  return absl::OkStatus();
}

absl::Status DiskStore::LoadRevision(Loaded& loaded) {
  int64_t latest = 0;
  for (const ContainerRecord& record : loaded.containers) {
    latest = std::max(latest, record.container().revision());
  }
  for (const RequestRecord& record : loaded.requests) {
    latest = std::max(latest, record.container().revision());
  }
  auto text = ReadFileAt(root_fd_.get(), "revision", 64);
  int64_t next = 1;
  const bool known = text.ok() && absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &next);
  const bool fresh = absl::IsNotFound(text.status()) && latest == 0 && loaded.damaged.empty();
  if (!known) next = fresh ? 1 : latest + kRevisionJump;
  // Also when somebody wrote a lower number there: a revision is never given out twice.
  loaded.next_revision = std::max(next, latest + 1);
  absl::MutexLock lock(&revision_mutex_);
  revision_bound_ = loaded.next_revision + kRevisionBlock;
  return Annotate(ReplaceFileAt(root_fd_.get(), "revision", absl::StrCat(revision_bound_, "\n"),
                                0600, /*sync=*/true),
                  "save revision");
}

absl::Status DiskStore::Save(const ContainerRecord& record) {
  const std::string& id = record.container().id();
  if (!IsContainerId(id)) {
    return absl::InternalError(absl::StrCat("save container: \"", id, "\" is not an id"));
  }
  const std::string what = absl::StrCat("save container ", id);
  auto json = EncodeRecord(record);
  if (!json.ok()) return Annotate(json.status(), what);
  if (json->size() > kMaxRecordBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(what, ": record is larger than ", kMaxRecordBytes, " bytes"));
  }
  const std::string file = absl::StrCat(id, "/", kRecordFile);
  absl::Status saved = ReplaceRecord(containers_.get(), file, *json);
  if (absl::IsNotFound(saved)) {
    if (mkdirat(containers_.get(), id.c_str(), 0700) != 0) {
      return ErrnoStatus(errno, absl::StrCat(what, ": make directory"));
    }
    saved = ReplaceRecord(containers_.get(), file, *json);
    // Nothing was there before, so nothing is left.
    if (!saved.ok()) unlinkat(containers_.get(), id.c_str(), AT_REMOVEDIR);
  }
  if (absl::IsNotFound(saved)) saved = absl::InternalError(saved.message());
  if (saved.ok()) sync_.FileChanged(absl::StrCat("containers/", file), /*keep_synced=*/true);
  return Annotate(saved, what);
}

absl::Status DiskStore::Delete(const std::string& id) {
  if (!IsContainerId(id)) {
    return absl::InternalError(absl::StrCat("remove container: \"", id, "\" is not an id"));
  }
  const std::string what = absl::StrCat("remove directory of container ", id);
  const std::string aside = kRemovedPrefix + id;
  RETURN_IF_ERROR(Annotate(RemoveTreeAt(containers_.get(), aside), what));
  if (renameat(containers_.get(), id.c_str(), containers_.get(), aside.c_str()) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return ErrnoStatus(errno, what);
  }
  absl::Status removed = RemoveTreeAt(containers_.get(), aside);
  if (!removed.ok()) {
    // Back to its name, so that what is left of it stays in sight and can be removed again.
    renameat(containers_.get(), aside.c_str(), containers_.get(), id.c_str());
    return Annotate(removed, what);
  }
  sync_.DirectoryChanged("containers");
  return absl::OkStatus();
}

absl::Status DiskStore::SaveRequest(const RequestRecord& record) {
  const std::string file = RequestFileName(record.request_id());
  auto json = EncodeRecord(record);
  if (!json.ok()) return Annotate(json.status(), "save request");
  RETURN_IF_ERROR(Annotate(ReplaceFileAt(requests_.get(), file, *json), "save request"));
  sync_.FileChanged(absl::StrCat("requests/", file), /*keep_synced=*/false);
  return absl::OkStatus();
}

absl::StatusOr<RequestRecord> DiskStore::LoadRequest(const std::string& request_id) {
  ASSIGN_OR_RETURN(std::string json,
                   ReadFileAt(requests_.get(), RequestFileName(request_id), kMaxRecordBytes));
  ASSIGN_OR_RETURN(RequestRecord record, DecodeRequestRecord(json));
  if (record.request_id() != request_id) return absl::DataLossError("not of this request");
  return record;
}

absl::Status DiskStore::DeleteRequest(const std::string& request_id) {
  const std::string file = RequestFileName(request_id);
  if (unlinkat(requests_.get(), file.c_str(), 0) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "forget request");
  }
  sync_.DirectoryChanged("requests");
  return absl::OkStatus();
}

absl::Status DiskStore::CoverRevision(int64_t revision) {
  absl::MutexLock lock(&revision_mutex_);
  if (revision + kRevisionBlock / 2 < revision_bound_) return absl::OkStatus();
  const int64_t bound = revision + kRevisionBlock;
  absl::Status saved = ReplaceFileAt(root_fd_.get(), "revision", absl::StrCat(bound, "\n"), 0600);
  if (saved.ok()) {
    revision_bound_ = bound;
    sync_.FileChanged("revision", /*keep_synced=*/false);
  } else if (revision >= revision_bound_) {
    return Annotate(saved, "save revision");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateStore>> StateStore::Open(const std::string& root) {
  const std::string what = absl::StrCat("open state in \"", root, "\"");
  const size_t slash = root.find_last_of('/');
  if (root.empty() || root[0] != '/' || slash + 1 == root.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": must be an absolute path without a slash at its end"));
  }
  if (slash != 0) RETURN_IF_ERROR(Annotate(MakeDirs(root.substr(0, slash)), what));
  if (mkdir(root.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus(errno, what);
  auto open = [&]() -> absl::StatusOr<std::unique_ptr<StateStore>> {
    ASSIGN_OR_RETURN(UniqueFd root_fd, OpenAt(AT_FDCWD, root, O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(UniqueFd lock, TakeLock(root_fd.get(), root));
    ASSIGN_OR_RETURN(UniqueFd containers, OpenPrivateDirectory(root_fd.get(), "containers"));
    ASSIGN_OR_RETURN(UniqueFd requests, OpenPrivateDirectory(root_fd.get(), "requests"));
    ASSIGN_OR_RETURN(UniqueFd damaged, OpenPrivateDirectory(root_fd.get(), "damaged"));
    return std::make_unique<DiskStore>(root, std::move(root_fd), std::move(lock),
                                       std::move(containers), std::move(requests),
                                       std::move(damaged));
  };
  auto store = open();
  if (!store.ok()) return Annotate(store.status(), what);
  return store;
}

}  // namespace noded
