// Unpacks one tar stream into a directory, in a child process (child.h): inflates, computes the
// digest of the tar, and makes what its entries say. No entry lands outside the tree. Nothing is
// synced to disk: the store does that once for all layers. What was made before an error stays, for
// the caller to remove.
#ifndef ROOTFS_LAYER_UNPACKING_H_
#define ROOTFS_LAYER_UNPACKING_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rootfs/layer/child.h"
#include "rootfs/oci/digest.h"
#include "rootfs/oci/document.h"

namespace noded::layer {

class ChildProcess;

// What a tar may need; more is RESOURCE_EXHAUSTED (LIMIT_REACHED).
struct UnpackLimits {
  int64_t max_bytes = int64_t{64} << 30;  // of the tar, inflated
  int64_t max_entries = 4 << 20;          // entries, and parents that none named
};

enum class UnpackMode {
  // A layer of an image for overlayfs: ".wh.name" becomes a whiteout device, ".wh..wh..opq" an
  // opaque directory; anything takes the place of anything.
  kLayer,
  // Files into a tree in use: nothing is a whiteout, links of the tree are followed inside it.
  kCopy,
};

struct Owner {
  uint32_t uid = 0, gid = 0;  // inside
};

struct UnpackOptions {
  std::string program = kOwnProgram;
  Tree tree;
  UnpackMode mode = UnpackMode::kLayer;
  oci::Compression compression = oci::Compression::kNone;
  // kNone finds out by its first bytes whether the stream is gzip or zstd after all.
  bool detect_compression = false;
  UnpackLimits limits;
  // Where the child reads the stream itself, from its present offset to its end; borrowed until
  // Start returns. -1: the stream comes by Write.
  int stream = -1;
  // An existing directory of the tree below which the entries are made; "" is the tree itself.
  std::string path;
  // Instead of the owners that the tar names.
  std::optional<Owner> owner;
  // kCopy: a directory may take a file's place and a file a directory's. Otherwise it is
  // FAILED_PRECONDITION.
  bool overwrite_type = false;
  // Ids of the tar and of `owner` are inside, those of the tree outside.
  IdMap ids;
};

struct Unpacked {
  oci::Digest diff_id;     // of the tar, inflated
  int64_t tar_bytes = 0;   // of the same
  int64_t file_bytes = 0;  // of the contents of files
  int64_t entries = 0;
};

// One stream being unpacked. Thread-compatible, except Cancel, which any thread may call at any
// time before the destructor. Whoever uses it ignores SIGPIPE, as noded does.
class Unpacking {
 public:
  static absl::StatusOr<std::unique_ptr<Unpacking>> Start(const UnpackOptions& options);
  // Kills the child if it still runs, and reaps it.
  ~Unpacking();
  Unpacking(const Unpacking&) = delete;
  Unpacking& operator=(const Unpacking&) = delete;

  // Gives the child the next bytes; blocks while it has enough of them. When the child has ended
  // early, its reason is returned, as of Finish.
  absl::Status Write(std::string_view bytes);
  // No more bytes follow. Blocks until all is made. Once.
  // INVALID_ARGUMENT (LAYER_REFUSED): no tar, truncated, damaged, or followed by other bytes; names
  //   the entry. NOT_FOUND, FAILED_PRECONDITION: `path` is not there, or no directory.
  // RESOURCE_EXHAUSTED: no space (NO_SPACE), beyond the limits (LIMIT_REACHED).
  // CANCELLED: by Cancel. INTERNAL: the child was killed by somebody else; errors of the disk.
  absl::StatusOr<Unpacked> Finish();
  // Kills the child: Write and Finish return CANCELLED.
  void Cancel();

 private:
  explicit Unpacking(std::unique_ptr<ChildProcess> child);
  std::unique_ptr<ChildProcess> child_;
};

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_UNPACKING_H_
