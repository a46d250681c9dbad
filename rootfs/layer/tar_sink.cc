#include "rootfs/layer/tar_sink.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "rootfs/layer/refusal.h"

namespace noded::layer {
namespace {

constexpr size_t kDeflatedBytes = 256 << 10;
// zlib and not ISA-L, whose output depends on the processor it runs on: the same tree is to give
// the same digest on every host. Its gzip header tells neither a time nor a name.
constexpr int kLevel = 6;
constexpr int kGzipWindow = 15 + 16;
constexpr int kMemoryLevel = 8;

}  // namespace

void TarSink::End::operator()(z_stream* stream) const {
  deflateEnd(stream);
  delete stream;
}

TarSink::TarSink(int output, int waiting_reader, bool gzip)
    : output_(output), waiting_reader_(waiting_reader) {
  if (!gzip) return;
  gzip_.reset(new z_stream{});
  deflateInit2(gzip_.get(), kLevel, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY);
  deflated_.resize(kDeflatedBytes);
}

absl::Status TarSink::Write(std::string_view bytes) {
  tar_sum_.Update(bytes);
  tar_bytes_ += static_cast<int64_t>(bytes.size());
  return gzip_ ? Deflate(bytes, Z_NO_FLUSH) : Put(bytes);
}

absl::Status TarSink::Finish() { return gzip_ ? Deflate({}, Z_FINISH) : absl::OkStatus(); }

absl::Status TarSink::Deflate(std::string_view bytes, int flush) {
  gzip_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  gzip_->avail_in = static_cast<uInt>(bytes.size());
  int result = Z_OK;
  do {
    gzip_->next_out = reinterpret_cast<Bytef*>(deflated_.data());
    gzip_->avail_out = static_cast<uInt>(deflated_.size());
    result = deflate(gzip_.get(), flush);
    if (result == Z_STREAM_ERROR) return absl::InternalError("gzip: not initialized");
    const std::string_view made(deflated_.data(), deflated_.size() - gzip_->avail_out);
    stream_sum_.Update(made);
    RETURN_IF_ERROR(Put(made));
  } while (gzip_->avail_out == 0 && result != Z_STREAM_END);
  return absl::OkStatus();
}

absl::Status TarSink::Put(std::string_view bytes) {
  size_ += static_cast<int64_t>(bytes.size());
  pollfd reader{waiting_reader_, 0, 0};
  if (poll(&reader, 1, 0) > 0) _exit(1);
  while (!bytes.empty()) {
    const ssize_t size = write(output_, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return DiskError(errno, "write the tar");
    bytes.remove_prefix(static_cast<size_t>(size));
  }
  return absl::OkStatus();
}

}  // namespace noded::layer
