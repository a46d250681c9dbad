#include "rootfs/layer/decoder.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "rootfs/layer/refusal.h"

namespace noded::layer {
namespace {

constexpr size_t kInputBytes = 256 << 10;

// The stream with some of it in memory.
class Input {
 public:
  explicit Input(ReadBytes read) : read_(std::move(read)), buffer_(kInputBytes) {}

  // At least `wanted` bytes, unless the stream ends before.
  absl::StatusOr<std::string_view> Peek(size_t wanted) {
    while (!ended_ && end_ - begin_ < wanted) {
      if (begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
      }
      ASSIGN_OR_RETURN(const size_t size, read_(buffer_.data() + end_, buffer_.size() - end_));
      end_ += size;
      ended_ = size == 0;
    }
    return std::string_view(buffer_.data() + begin_, end_ - begin_);
  }
  void Consume(size_t size) { begin_ += size; }
  // What is in memory first, then straight from the stream.
  absl::StatusOr<size_t> Read(char* out, size_t capacity) {
    const size_t held = std::min(end_ - begin_, capacity);
    if (held == 0) return ended_ ? size_t{0} : read_(out, capacity);
    std::memcpy(out, buffer_.data() + begin_, held);
    begin_ += held;
    return held;
  }

 private:
  ReadBytes read_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;
  bool ended_ = false;
};

class PlainDecoder : public Decoder {
 public:
  explicit PlainDecoder(Input input) : input_(std::move(input)) {}
  absl::StatusOr<size_t> Fill(char* out, size_t capacity) override {
    size_t filled = 0;
    while (filled < capacity) {
      ASSIGN_OR_RETURN(const size_t size, input_.Read(out + filled, capacity - filled));
      if (size == 0) break;
      filled += size;
    }
    return filled;
  }

 private:
  Input input_;
};

// RFC 1952: any number of members, each with a checksum of its own.
class GzipDecoder : public Decoder {
 public:
  explicit GzipDecoder(Input input) : input_(std::move(input)) {}
  absl::StatusOr<size_t> Fill(char* out, size_t capacity) override {
    size_t filled = 0;
    while (filled < capacity) {
      if (between_members_) {
        ASSIGN_OR_RETURN(const bool more, BeginMember());
        if (!more) break;
      }
      ASSIGN_OR_RETURN(const size_t size, Inflate(out + filled, capacity - filled));
      filled += size;
    }
    return filled;
  }

 private:
  absl::StatusOr<bool> BeginMember() {
    while (true) {
      ASSIGN_OR_RETURN(const std::string_view bytes, input_.Peek(1));
      if (bytes.empty()) {
        if (members_ > 0) return false;
        return Refused("gzip: the stream is empty");
      }
      // Tapes and some tools pad with zeros; gzip(1) takes no offence either.
      if (members_ > 0 && bytes[0] == '\0') {
        const size_t other = bytes.find_first_not_of('\0');
        input_.Consume(other == std::string_view::npos ? bytes.size() : other);
        padded_ = true;
        continue;
      }
      if (bytes[0] != '\x1f' || padded_) {
        return Refused(members_ == 0 ? "gzip: the stream is not gzip"
                                     : "gzip: other bytes follow its last member");
      }
      break;
    }
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;
    between_members_ = false;
    ++members_;
    return true;
  }

  absl::StatusOr<size_t> Inflate(char* out, size_t capacity) {
    ASSIGN_OR_RETURN(const std::string_view bytes, input_.Peek(1));
    state_->next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(bytes.data()));
    state_->avail_in = static_cast<uint32_t>(bytes.size());
    state_->next_out = reinterpret_cast<uint8_t*>(out);
    state_->avail_out = static_cast<uint32_t>(capacity);
    const int result = isal_inflate(state_.get());
    if (result != ISAL_DECOMP_OK) return Refused(Why(result));
    input_.Consume(bytes.size() - state_->avail_in);
    const size_t made = capacity - state_->avail_out;
    between_members_ = state_->block_state == ISAL_BLOCK_FINISH;
    if (bytes.empty() && made == 0 && !between_members_) {
      return Refused("gzip: the stream is cut short");
    }
    return made;
  }

  static std::string Why(int result) {
    switch (result) {
      case ISAL_INCORRECT_CHECKSUM:
        return "gzip: the checksum is wrong";
      case ISAL_INVALID_WRAPPER:
      case ISAL_UNSUPPORTED_METHOD:
        return "gzip: the stream is not gzip";
      default:
        return absl::StrCat("gzip: the stream is damaged (", result, ")");
    }
  }

  Input input_;
  // 90 kB, with tables that it initializes itself.
  std::unique_ptr<inflate_state> state_ = std::make_unique<inflate_state>();
  bool between_members_ = true;
  bool padded_ = false;
  int64_t members_ = 0;
};

// RFC 8878: any number of frames; skippable ones are skipped by the library.
class ZstdDecoder : public Decoder {
 public:
  explicit ZstdDecoder(Input input) : input_(std::move(input)), context_(ZSTD_createDCtx()) {}
  absl::StatusOr<size_t> Fill(char* out, size_t capacity) override {
    ZSTD_outBuffer output{out, capacity, 0};
    while (output.pos < output.size) {
      ASSIGN_OR_RETURN(const std::string_view bytes, input_.Peek(1));
      if (bytes.empty() && frame_ended_) break;
      ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
      const size_t before = output.pos;
      const size_t result = ZSTD_decompressStream(context_.get(), &output, &in);
      if (ZSTD_isError(result)) return Refused(absl::StrCat("zstd: ", ZSTD_getErrorName(result)));
      input_.Consume(in.pos);
      frame_ended_ = result == 0;
      if (bytes.empty() && output.pos == before && !frame_ended_) {
        return Refused("zstd: the stream is cut short");
      }
    }
    return output.pos;
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  Input input_;
  std::unique_ptr<ZSTD_DCtx, Free> context_;
  bool frame_ended_ = false;
};

oci::Compression CompressionOfBytes(std::string_view bytes) {
  if (bytes.starts_with("\x1f\x8b")) return oci::Compression::kGzip;
  if (bytes.starts_with("\x28\xb5\x2f\xfd")) return oci::Compression::kZstd;
  return oci::Compression::kNone;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Decoder>> Decoder::Make(oci::Compression compression, bool detect,
                                                       ReadBytes read) {
  Input input(std::move(read));
  if (detect && compression == oci::Compression::kNone) {
    ASSIGN_OR_RETURN(const std::string_view bytes, input.Peek(4));
    compression = CompressionOfBytes(bytes);
  }
  switch (compression) {
    case oci::Compression::kGzip:
      return std::make_unique<GzipDecoder>(std::move(input));
    case oci::Compression::kZstd:
      return std::make_unique<ZstdDecoder>(std::move(input));
    case oci::Compression::kNone:
      break;
  }
  return std::make_unique<PlainDecoder>(std::move(input));
}

}  // namespace noded::layer
