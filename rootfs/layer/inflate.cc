#include "rootfs/layer/inflate.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"
#include "rootfs/layer/decoder.h"
#include "rootfs/layer/refusal.h"

namespace noded::layer {
namespace {

constexpr size_t kBlockBytes = 256 << 10;
// Two are the caller's, one is being filled, and the others wait.
constexpr size_t kBlocks = 6;

}  // namespace

class InflatedStream::Worker {
 public:
  explicit Worker(const InflateOptions& options)
      : options_(options), stop_(eventfd(0, EFD_CLOEXEC)), thread_([this] { Run(); }) {}
  ~Worker() {
    const uint64_t one = 1;
    // Also wakes a read that would wait for bytes which nobody will send.
    if (write(stop_.get(), &one, sizeof one) < 0) return;
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
    }
    thread_.join();
  }

  absl::StatusOr<std::string_view> Next() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Worker::HasNext));
    if (filled_ > given_) {
      const std::vector<char>& block = blocks_[given_++ % kBlocks];
      return std::string_view(block.data(), block.size());
    }
    RETURN_IF_ERROR(end_);
    return std::string_view();
  }
  oci::Digest digest() const { return sum_.Result(); }
  int64_t bytes() const { return bytes_; }

 private:
  bool HasNext() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return filled_ > given_ || ended_; }
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    // The last two that were given are the caller's.
    return filled_ + 2 < given_ + kBlocks || stopped_;
  }

  void Run() {
    const absl::Status status = Decode();
    absl::MutexLock lock(&mutex_);
    end_ = status;
    ended_ = true;
  }

  absl::Status Decode() {
    ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> decoder,
                     Decoder::Make(options_.compression, options_.detect_compression,
                                   [this](char* out, size_t size) { return Read(out, size); }));
    for (size_t number = 0;; ++number) {
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &Worker::HasRoom));
        if (stopped_) return absl::CancelledError("the layer is no longer wanted");
      }
      std::vector<char>& block = blocks_[number % kBlocks];
      block.resize(kBlockBytes);
      ASSIGN_OR_RETURN(const size_t size, decoder->Fill(block.data(), block.size()));
      block.resize(size);
      if (size == 0) return absl::OkStatus();
      bytes_ += static_cast<int64_t>(size);
      if (bytes_ > options_.max_bytes) {
        return BeyondLimit(absl::StrCat("it unpacks to more than ", options_.max_bytes, " bytes"));
      }
      sum_.Update({block.data(), size});
      absl::MutexLock lock(&mutex_);
      ++filled_;
    }
  }

  absl::StatusOr<size_t> Read(char* out, size_t capacity) {
    pollfd fds[] = {
        {options_.stream, POLLIN, 0}, {stop_.get(), POLLIN, 0}, {options_.waiting_reader, 0, 0}};
    while (true) {
      if (poll(fds, std::size(fds), -1) < 0 && errno != EINTR) {
        return ErrnoStatus(errno, "wait for the stream");
      }
      // Nobody is left to tell, and the directory may soon be somebody else's.
      if (fds[2].revents != 0) _exit(1);
      if (fds[1].revents != 0) return absl::CancelledError("the layer is no longer wanted");
      const ssize_t size = read(options_.stream, out, capacity);
      if (size >= 0) return static_cast<size_t>(size);
      if (errno != EINTR) return ErrnoStatus(errno, "read the stream");
    }
  }

  const InflateOptions options_;
  UniqueFd stop_;
  std::array<std::vector<char>, kBlocks> blocks_;
  // The thread's until it has ended; then the caller's.
  oci::Sha256 sum_;
  int64_t bytes_ = 0;
  absl::Mutex mutex_;
  size_t filled_ ABSL_GUARDED_BY(mutex_) = 0;  // blocks so far
  size_t given_ ABSL_GUARDED_BY(mutex_) = 0;   // to the caller
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

InflatedStream::InflatedStream(const InflateOptions& options)
    : worker_(std::make_unique<Worker>(options)) {}
InflatedStream::~InflatedStream() = default;
absl::StatusOr<std::string_view> InflatedStream::Next() { return worker_->Next(); }
oci::Digest InflatedStream::digest() const { return worker_->digest(); }
int64_t InflatedStream::bytes() const { return worker_->bytes(); }

}  // namespace noded::layer
