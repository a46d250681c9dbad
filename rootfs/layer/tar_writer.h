// A tar as libarchive writes it: pax, with the records that an entry needs and no others, so that
// the same entries give the same bytes. Names are bytes. Single-threaded.
#ifndef ROOTFS_LAYER_TAR_WRITER_H_
#define ROOTFS_LAYER_TAR_WRITER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "rootfs/layer/tar_reader.h"
#include "rootfs/layer/tar_sink.h"

namespace noded::layer {

class TarWriter {
 public:
  // `sink` is borrowed.
  explicit TarWriter(TarSink* sink);
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  // `pieces` of a sparse file: {offset, length} of what is no hole, ascending; empty: all of it.
  absl::Status Begin(const TarEntry& entry,
                     const std::vector<std::pair<int64_t, int64_t>>& pieces = {});
  // Content of the present entry, holes included; what is missing in the end is zeros.
  absl::Status Write(std::string_view bytes);
  absl::Status Finish();
  int64_t entries() const { return entries_; }

 private:
  struct Free {
    void operator()(archive* writer) const;
    void operator()(archive_entry* entry) const;
  };
  static ssize_t Take(archive* writer, void* self, const void* bytes, size_t size);
  absl::Status Failure(std::string_view name);

  TarSink* const sink_;
  absl::Status sink_status_;
  std::unique_ptr<archive, Free> writer_;
  std::unique_ptr<archive_entry, Free> entry_;
  int64_t entries_ = 0;
};

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_TAR_WRITER_H_
