// Packs a tree, or a part of it, as one tar stream (pax where ustar does not do), in a child
// process (child.h). The same tree gives the same bytes: entries are in the order of their names,
// and the header of gzip tells no time. No link of the tree is followed while it is walked, no
// FIFO, socket or device is opened; what vanishes meanwhile is left out.
#ifndef ROOTFS_LAYER_PACKING_H_
#define ROOTFS_LAYER_PACKING_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "rootfs/layer/child.h"
#include "rootfs/oci/digest.h"

namespace noded::layer {

class ChildProcess;

struct PackOptions {
  std::string program = kOwnProgram;
  Tree tree;
  // What to pack, looked up inside the tree. "": all of it, with names relative to the root.
  // Otherwise the names begin with the last part of `path` ("/etc/ssl" gives "ssl/…").
  std::string path;
  // A link at the end of `path` is followed inside the tree, instead of packed as a link.
  bool follow_link = false;
  // The tree is an overlay's upper directory: whiteout devices become ".wh.name", opaque
  // directories (trusted.overlay.opaque and user.overlay.opaque) hold ".wh..wh..opq". Attributes of
  // overlayfs are left out anyhow.
  bool as_layer = false;
  // What is mounted inside the tree is left out; its place is packed as an empty directory or file.
  bool without_mounts = false;
  bool gzip = false;
  // Times after it become it (SOURCE_DATE_EPOCH).
  std::optional<absl::Time> latest_mtime;
  // Paths inside, relative to the root, which are left out with all below them. A directory named
  // "proc/*" is kept, and what is in it left out.
  std::vector<std::string> exclude;
  // Ids of the tree are outside, those of the tar inside. One that is not mapped is kept.
  IdMap ids;
  // Where the child writes the stream; borrowed until Start returns. -1: it is fetched by Read.
  int output = -1;
};

// What is at `path`.
struct PackedStat {
  std::string name;   // last part of the path; "/" for the root
  uint32_t mode = 0;  // type and permissions
  int64_t size_bytes = 0;
  absl::Time mtime;
  std::string link_target;
};

struct Packed {
  oci::Digest diff_id;    // of the tar
  oci::Digest digest;     // of the stream as written; equal to diff_id without gzip
  int64_t tar_bytes = 0;  // before compression
  int64_t size = 0;       // of the stream as written
  int64_t entries = 0;
};

// One tree being packed. Thread-compatible, except Cancel, which any thread may call at any time
// before the destructor.
class Packing {
 public:
  static absl::StatusOr<std::unique_ptr<Packing>> Start(const PackOptions& options);
  // Kills the child if it still runs, and reaps it.
  ~Packing();
  Packing(const Packing&) = delete;
  Packing& operator=(const Packing&) = delete;

  // Blocks until the child has found the path. NOT_FOUND when it is not there. May be left out.
  absl::StatusOr<PackedStat> Stat();
  // The next bytes, at most `max_bytes` of them; empty at the end. Blocks.
  absl::StatusOr<std::string> Read(size_t max_bytes);
  // Blocks until all is written (and, without `output`, wants all to have been read). Once. Errors
  // as of Stat; INTERNAL for those of the disk; RESOURCE_EXHAUSTED (NO_SPACE) of `output`;
  // CANCELLED by Cancel.
  absl::StatusOr<Packed> Finish();
  // Kills the child: the others return CANCELLED, Read perhaps what is left or the end.
  void Cancel();

 private:
  explicit Packing(std::unique_ptr<ChildProcess> child);
  std::unique_ptr<ChildProcess> child_;
  std::optional<PackedStat> stat_;
};

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_PACKING_H_
