// Where a packed tar goes: digested, compressed if asked, digested again, written. Single-threaded.
#ifndef ROOTFS_LAYER_TAR_SINK_H_
#define ROOTFS_LAYER_TAR_SINK_H_

#include <zlib.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "rootfs/oci/digest.h"

namespace noded::layer {

class TarSink {
 public:
  // `output` is borrowed. The end of `waiting_reader`'s reader ends this process.
  TarSink(int output, int waiting_reader, bool gzip);
  TarSink(const TarSink&) = delete;
  TarSink& operator=(const TarSink&) = delete;

  absl::Status Write(std::string_view bytes);
  absl::Status Finish();

  oci::Digest diff_id() const { return tar_sum_.Result(); }
  oci::Digest digest() const { return gzip_ ? stream_sum_.Result() : tar_sum_.Result(); }
  int64_t tar_bytes() const { return tar_bytes_; }
  int64_t size() const { return size_; }

 private:
  struct End {
    void operator()(z_stream* stream) const;
  };
  absl::Status Deflate(std::string_view bytes, int flush);
  absl::Status Put(std::string_view bytes);

  const int output_;
  const int waiting_reader_;
  std::unique_ptr<z_stream, End> gzip_;
  std::vector<char> deflated_;
  oci::Sha256 tar_sum_, stream_sum_;
  int64_t tar_bytes_ = 0;
  int64_t size_ = 0;
};

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_TAR_SINK_H_
