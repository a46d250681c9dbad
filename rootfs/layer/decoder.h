// Decoders of a layer's stream: from bytes as they come to the bytes of the tar. Single-threaded.
#ifndef ROOTFS_LAYER_DECODER_H_
#define ROOTFS_LAYER_DECODER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "rootfs/oci/document.h"

namespace noded::layer {

// Reads at most `capacity` bytes; 0 is the end.
using ReadBytes = std::function<absl::StatusOr<size_t>(char* out, size_t capacity)>;

class Decoder {
 public:
  // `compression` as the bytes are packed; with `detect` kNone looks at the first ones.
  static absl::StatusOr<std::unique_ptr<Decoder>> Make(oci::Compression compression, bool detect,
                                                       ReadBytes read);
  virtual ~Decoder() = default;
  // Fills `out` as far as the stream goes: less than `capacity` is its end. INVALID_ARGUMENT
  // (LAYER_REFUSED): damaged, cut short, or followed by something else.
  virtual absl::StatusOr<size_t> Fill(char* out, size_t capacity) = 0;
};

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_DECODER_H_
