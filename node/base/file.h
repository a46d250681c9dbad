// Small file helpers, directory-relative (`dir` is a borrowed directory descriptor or AT_FDCWD).
// Every descriptor opened is close-on-exec; every call retries EINTR. Errors name the path.
// Thread-safe.
#ifndef NODE_BASE_FILE_H_
#define NODE_BASE_FILE_H_

#include <fcntl.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/base/unique_fd.h"

namespace noded {

// NOT_FOUND for ENOENT, so that callers can tell it; one that answers a client recodes it.
absl::StatusOr<UniqueFd> OpenAt(int dir, const std::string& path, int flags, mode_t mode = 0);
// Whole content; RESOURCE_EXHAUSTED past `limit_bytes`. NOT_FOUND when the file is not there.
absl::StatusOr<std::string> ReadFileAt(int dir, const std::string& path,
                                       size_t limit_bytes = 16 << 20);
// pread from offset 0 of a held descriptor of a /proc, /sys or cgroup file. NOT_FOUND when the
// cgroup or process behind it is gone.
absl::StatusOr<std::string> ReadHeld(int fd, size_t limit_bytes = 1 << 20);
// One write(2) into an existing kernel file (cgroup, /proc): never creates, never splits.
absl::Status WriteExistingAt(int dir, const std::string& path, std::string_view content);
// Writes "<path>.tmp", then renames it: a reader sees the old or the new content, also after a
// crash of this process. `sync` adds fsync of file and directory, for power loss.
absl::Status ReplaceFileAt(int dir, const std::string& path, std::string_view content,
                           mode_t mode = 0600, bool sync = false);
// write(2) until all is written or an error comes (EAGAIN is an error here).
absl::Status WriteAll(int fd, std::string_view data);
// Existing directories are fine; parents are made.
absl::Status MakeDirs(const std::string& path, mode_t mode = 0755);
// Names in a directory without "." and "..", unsorted. NOT_FOUND when it is not there.
absl::StatusOr<std::vector<std::string>> ListDirAt(int dir, const std::string& path);
// Removes a tree without following symlinks or crossing into mounts (FAILED_PRECONDITION then),
// with one descriptor held whatever its depth. `path` has no trailing slash. A missing one is OK.
absl::Status RemoveTreeAt(int dir, const std::string& path);
// A sealed memfd with this content (F_SEAL_WRITE|GROW|SHRINK|SEAL), positioned at its start.
absl::StatusOr<UniqueFd> SealedMemfd(const char* name, std::string_view content);
absl::Status SetNonblocking(int fd);
// pipe2(2).
struct Pipe {
  UniqueFd reader, writer;
};
absl::StatusOr<Pipe> MakePipe();

}  // namespace noded

#endif  // NODE_BASE_FILE_H_
