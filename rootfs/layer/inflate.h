// A layer's stream from its descriptor: read, inflated, measured and digested, in blocks. A thread
// of its own does that ahead of the caller, so that a layer uses two processors; it ends with the
// object. Needs no file by name, so it works after the change of root, when Sha256 was used before.
#ifndef ROOTFS_LAYER_INFLATE_H_
#define ROOTFS_LAYER_INFLATE_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "rootfs/oci/digest.h"
#include "rootfs/oci/document.h"

namespace noded::layer {

struct InflateOptions {
  int stream = -1;  // borrowed
  // Its reader's end of life ends this process: what nobody waits for is not made. -1: none.
  int waiting_reader = -1;
  oci::Compression compression = oci::Compression::kNone;
  bool detect_compression = false;
  int64_t max_bytes = 0;
};

// Thread-compatible.
class InflatedStream {
 public:
  explicit InflatedStream(const InflateOptions& options);
  ~InflatedStream();
  InflatedStream(const InflatedStream&) = delete;
  InflatedStream& operator=(const InflatedStream&) = delete;

  // The next block; empty at the end. It and the one before it stay valid until the next call.
  // INVALID_ARGUMENT (LAYER_REFUSED): damaged or cut short. RESOURCE_EXHAUSTED: beyond max_bytes.
  absl::StatusOr<std::string_view> Next();
  // Of all blocks; to be asked after the last one only.
  oci::Digest digest() const;
  int64_t bytes() const;

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_INFLATE_H_
