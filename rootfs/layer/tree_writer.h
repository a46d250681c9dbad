// Makes what the entries of a tar say, in a tree that is the root of this process or of a test's
// making. Rules beyond those of tar are in entry_name.h and UnpackMode. Each entry is made by name
// in a held directory (tree_walk.h), never through a link at its end, and nothing that exists is
// opened: what an entry replaces is removed first. Thread-compatible.
#ifndef ROOTFS_LAYER_TREE_WRITER_H_
#define ROOTFS_LAYER_TREE_WRITER_H_

#include <sys/stat.h>
#include <time.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rootfs/layer/tar_reader.h"
#include "rootfs/layer/tree_walk.h"
#include "rootfs/layer/unpacking.h"

namespace noded::layer {

struct TreeWriterOptions {
  UnpackMode mode = UnpackMode::kLayer;
  std::string path;
  std::optional<Owner> owner;
  bool overwrite_type = false;
  IdMap ids;
  int64_t max_entries = 0;
};

class TreeWriter {
 public:
  using NextData = std::function<absl::StatusOr<std::optional<TarData>>()>;

  // `root` is borrowed. The process's umask must be 0.
  TreeWriter(int root, TreeWriterOptions options);

  // Whether the directory of `options.path` is there.
  absl::Status CheckPath();
  // `data` gives the content of a file.
  absl::Status Apply(const TarEntry& entry, const NextData& data);
  // Gives directories their times, which making their entries has changed.
  absl::Status Finish();

  int64_t entries() const { return entries_; }
  int64_t file_bytes() const { return file_bytes_; }

 private:
  struct DirectoryTime {
    dev_t device = 0;
    ino_t inode = 0;
    timespec mtime{};
  };
  // An entry with where it goes and whose it is.
  struct Place {
    const TarEntry& entry;
    std::vector<std::string> parts;
    int parent = -1;
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0;
  };

  absl::Status Make(const TarEntry& entry, const NextData& data);
  absl::Status MakeKind(const Place& place, const NextData& data);
  absl::Status MakeRoot(const Place& place);
  absl::Status MakeDirectory(const Place& place);
  absl::StatusOr<bool> KeepsDirectory(const Place& place, bool* hides);
  absl::Status MakeFile(const Place& place, const NextData& data);
  absl::Status WriteData(int fd, const TarEntry& entry, const NextData& data);
  absl::Status MakeSymlink(const Place& place);
  absl::Status MakeNode(const Place& place);
  absl::Status MakeHardLink(const Place& place);
  absl::Status MakeWhiteout(const Place& place);
  absl::Status MakeImplied(int parent, const std::string& name, bool whiteout);

  // Calls `make` (0 or -1 with errno); if something is there already, removes it and calls again.
  absl::Status Replacing(const Place& place, const std::function<int()>& make);
  absl::Status RemoveOld(const Place& place);
  absl::Status SetAttributesByName(const Place& place);
  absl::Status SetDirectory(int fd, const Place& place);
  absl::Status MakeOpaque(int dir);
  absl::Status SetOwner(Place* place) const;
  absl::Status CountEntry();
  std::vector<std::string> Below(std::string_view name) const;

  const int root_;
  const TreeWriterOptions options_;
  const std::vector<std::string> base_;
  TreeWalk walk_;
  std::map<std::vector<std::string>, DirectoryTime> directory_times_;
  int64_t entries_ = 0;
  int64_t file_bytes_ = 0;
};

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_TREE_WRITER_H_
