#include "node/layer_use.h"

#include <fts.h>
#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace noded {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(10);
// A large layer is measured less often, so that this never takes more than a fiftieth of its
// thread.
constexpr int kRestPerWork = 50;
constexpr absl::Duration kMostRest = absl::Minutes(5);
constexpr absl::Duration kStale = absl::Minutes(15);
constexpr absl::Duration kKept = absl::Seconds(1);
// A layer of more files than this takes too long to be measured in passing.
constexpr int64_t kMostFiles = 200'000;
constexpr uint64_t kStatBlockBytes = 512;  // stat(2), whatever the file system's block is

// Disk use of a tree; nullopt when it is too large to be measured in passing.
std::optional<uint64_t> MeasureTree(const std::string& path) {
  std::string root = path;
  char* const roots[] = {root.data(), nullptr};
  FTS* walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, nullptr);
  if (walk == nullptr) return std::nullopt;
  uint64_t bytes = 0;
  int64_t files = 0;
  while (FTSENT* entry = fts_read(walk)) {
    if (++files > kMostFiles) break;
    if (entry->fts_info == FTS_DP || entry->fts_statp == nullptr) continue;
    if (entry->fts_info == FTS_NS || entry->fts_info == FTS_ERR) continue;
    // A file of several names counts with each; telling them apart takes memory without a bound.
    bytes += static_cast<uint64_t>(entry->fts_statp->st_blocks) * kStatBlockBytes;
  }
  fts_close(walk);
  if (files > kMostFiles) return std::nullopt;
  return bytes;
}

}  // namespace

class LayerUse::Layer {
 public:
  explicit Layer(std::string path) : path_(std::move(path)) {}

  // Whether it is to be measured now; the caller then does so.
  bool Claim(bool* never_measured) {
    absl::MutexLock lock(&mutex_);
    *never_measured = measured_ == absl::InfinitePast();
    if (queued_ || absl::Now() < next_) return false;
    return queued_ = true;
  }
  void Measure() {
    absl::Time begin = absl::Now();
    std::optional<uint64_t> bytes = MeasureTree(path_);
    absl::Time end = absl::Now();
    absl::MutexLock lock(&mutex_);
    bytes_ = bytes;
    measured_ = end;
    next_ = begin + std::clamp(kRestPerWork * (end - begin), kInterval, kMostRest);
    queued_ = false;
  }
  std::optional<uint64_t> bytes() const {
    absl::MutexLock lock(&mutex_);
    return absl::Now() - measured_ < kStale ? bytes_ : std::nullopt;
  }

 private:
  const std::string path_;
  mutable absl::Mutex mutex_;
  bool queued_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<uint64_t> bytes_ ABSL_GUARDED_BY(mutex_);
  absl::Time measured_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time next_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

// Shared with the thread, which may come back when all else is gone.
struct LayerUse::State {
  absl::Mutex mutex;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  // At most one entry a layer, so it is bounded by the number of containers.
  std::deque<std::shared_ptr<Layer>> queue ABSL_GUARDED_BY(mutex);
  absl::Time busy_since ABSL_GUARDED_BY(mutex) = absl::InfiniteFuture();

  void Work();
};

void LayerUse::State::Work() {
  while (true) {
    std::shared_ptr<Layer> layer;
    {
      absl::MutexLock lock(&mutex);
      busy_since = absl::InfiniteFuture();
      auto wanted = [this]()
                        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return stopping || !queue.empty(); };
      mutex.Await(absl::Condition(&wanted));
      if (stopping) return;
      layer = std::move(queue.front());
      queue.pop_front();
      busy_since = absl::Now();
    }
    // The container has ended meanwhile.
    if (layer.use_count() == 1) continue;
    layer->Measure();
  }
}

std::shared_ptr<LayerUse::Layer> LayerUse::NewLayer(const std::string& path) {
  return std::make_shared<Layer>(path);
}

LayerUse::LayerUse() : state_(std::make_shared<State>()) {
  std::thread([state = state_] { state->Work(); }).detach();
}

LayerUse::~LayerUse() {
  std::deque<std::shared_ptr<Layer>> dropped;  // destroyed after the lock is released
  absl::MutexLock lock(&state_->mutex);
  state_->stopping = true;
  dropped.swap(state_->queue);
}

bool LayerUse::Refresh(const std::shared_ptr<Layer>& layer) {
  bool never_measured = false;
  if (layer->Claim(&never_measured)) {
    absl::MutexLock lock(&state_->mutex);
    state_->queue.push_back(layer);
  }
  return never_measured;
}

void LayerUse::AwaitMeasured(absl::Duration bound) {
  State& state = *state_;
  absl::MutexLock lock(&state.mutex);
  if (absl::Now() - state.busy_since > kKept) return;
  auto idle = [&state]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mutex) {
    return state.queue.empty() && state.busy_since == absl::InfiniteFuture();
  };
  state.mutex.AwaitWithTimeout(absl::Condition(&idle), bound);
}

std::optional<uint64_t> LayerUse::BytesOf(const Layer& layer) { return layer.bytes(); }

}  // namespace noded
