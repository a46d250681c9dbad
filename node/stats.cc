// Stats: measured from descriptors that are held, without a supervisor's help.
#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/util/time_util.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/network_counters.h"
#include "node/record_changes.h"
#include "node/root_files.h"

namespace noded {

using google::protobuf::util::TimeUtil;
using node::v1::Container;
using node::v1::ContainerStats;
using node::v1::StatsResponse;
using node::v1::StatsSample;

namespace {

constexpr absl::Duration kMinInterval = absl::Milliseconds(100);
constexpr absl::Duration kMaxInterval = absl::Hours(24);
constexpr absl::Duration kLayerInterval = absl::Seconds(10);
constexpr int kMaxSamples = 1000;
constexpr size_t kMaxWanted = 10'000;
// A layer of more files than this takes too long to be measured in passing.
constexpr int64_t kMaxLayerFiles = 200'000;
constexpr uint64_t kStatBlockBytes = 512;  // stat(2), whatever the file system's block is

template <typename Setter, typename Value>
void SetIfKnown(const std::optional<Value>& value, Setter set) {
  if (value) set(*value);
}

void CopyCpu(const cgroup::Stats& from, node::v1::CpuStats& to) {
  SetIfKnown(from.cpu_total_ns, [&](uint64_t v) { to.set_total_ns(v); });
  SetIfKnown(from.cpu_user_ns, [&](uint64_t v) { to.set_user_ns(v); });
  SetIfKnown(from.cpu_system_ns, [&](uint64_t v) { to.set_system_ns(v); });
  SetIfKnown(from.cpu_periods, [&](uint64_t v) { to.set_periods(v); });
  SetIfKnown(from.cpu_throttled_periods, [&](uint64_t v) { to.set_throttled_periods(v); });
  SetIfKnown(from.cpu_throttled_ns, [&](uint64_t v) { to.set_throttled_ns(v); });
  to.set_online_cpus(static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_ONLN)));
}

void CopyMemory(const cgroup::Stats& from, node::v1::MemoryStats& to) {
  SetIfKnown(from.memory_usage_bytes, [&](uint64_t v) { to.set_usage_bytes(v); });
  SetIfKnown(from.memory_working_set_bytes, [&](uint64_t v) { to.set_working_set_bytes(v); });
  SetIfKnown(from.memory_rss_bytes, [&](uint64_t v) { to.set_rss_bytes(v); });
  SetIfKnown(from.memory_cache_bytes, [&](uint64_t v) { to.set_cache_bytes(v); });
  SetIfKnown(from.memory_swap_bytes, [&](uint64_t v) { to.set_swap_bytes(v); });
  SetIfKnown(from.memory_limit_bytes, [&](uint64_t v) { to.set_limit_bytes(v); });
  SetIfKnown(from.memory_peak_bytes, [&](uint64_t v) { to.set_peak_bytes(v); });
  SetIfKnown(from.page_faults, [&](uint64_t v) { to.set_page_faults(v); });
  SetIfKnown(from.major_page_faults, [&](uint64_t v) { to.set_major_page_faults(v); });
  SetIfKnown(from.oom_kills, [&](uint64_t v) { to.set_oom_kills(v); });
  SetIfKnown(from.oom_events, [&](uint64_t v) { to.set_oom_events(v); });
  SetIfKnown(from.memory_max_events, [&](uint64_t v) { to.set_max_events(v); });
}

void CopyPids(const cgroup::Stats& from, node::v1::PidsStats& to) {
  SetIfKnown(from.pids_current, [&](uint64_t v) { to.set_current(v); });
  SetIfKnown(from.pids_limit, [&](uint64_t v) { to.set_limit(v); });
}

void CopyBlockIo(const cgroup::Stats& from, ContainerStats& to) {
  for (const cgroup::BlockStats& device :
       from.block_devices.value_or(std::vector<cgroup::BlockStats>())) {
    node::v1::BlockIoStats& one = *to.add_block_io();
    one.set_major(device.major);
    one.set_minor(device.minor);
    SetIfKnown(device.read_bytes, [&](uint64_t v) { one.set_read_bytes(v); });
    SetIfKnown(device.written_bytes, [&](uint64_t v) { one.set_written_bytes(v); });
    SetIfKnown(device.read_operations, [&](uint64_t v) { one.set_read_operations(v); });
    SetIfKnown(device.write_operations, [&](uint64_t v) { one.set_write_operations(v); });
  }
}

void CopyHugetlb(const cgroup::Stats& from, ContainerStats& to) {
  for (const cgroup::HugetlbStats& size :
       from.hugetlb.value_or(std::vector<cgroup::HugetlbStats>())) {
    node::v1::HugetlbStats& one = *to.add_hugetlb();
    one.set_page_size(size.page_size);
    one.set_usage_bytes(size.usage_bytes);
  }
}

void CopyPressureLine(const cgroup::PressureLine& from, node::v1::PressureLine& to) {
  to.set_avg10(from.avg10);
  to.set_avg60(from.avg60);
  to.set_avg300(from.avg300);
  to.set_total_us(from.total_us);
}

void CopyPressure(const cgroup::Pressure& from, node::v1::Pressure& to) {
  if (from.some) CopyPressureLine(*from.some, *to.mutable_some());
  if (from.full) CopyPressureLine(*from.full, *to.mutable_full());
}

void CopyPressures(const cgroup::Stats& from, ContainerStats& to) {
  if (from.cpu_pressure) CopyPressure(*from.cpu_pressure, *to.mutable_pressure()->mutable_cpu());
  if (from.memory_pressure) {
    CopyPressure(*from.memory_pressure, *to.mutable_pressure()->mutable_memory());
  }
  if (from.io_pressure) CopyPressure(*from.io_pressure, *to.mutable_pressure()->mutable_io());
}

bool HasOwnNetwork(const node::v1::ContainerSpec& spec) {
  return spec.namespaces().network().mode() != node::v1::NAMESPACE_MODE_HOST;
}

void AddNetwork(const Container& container, Runtime& runtime, ContainerStats& stats) {
  std::shared_ptr<const UniqueFd> held;
  std::shared_ptr<const Pidfd> init;
  {
    absl::MutexLock lock(&runtime.mutex);
    held = runtime.network;
    init = runtime.init;
  }
  if (held == nullptr) {
    absl::StatusOr<UniqueFd> fd =
        OpenAt(AT_FDCWD, absl::StrCat("/proc/", container.pid(), "/net/dev"), O_RDONLY);
    // Looked at after the open, so that it is not another process that got the number.
    if (!fd.ok() || init == nullptr || init->Ended()) return;
    held = std::make_shared<const UniqueFd>(*std::move(fd));
    absl::MutexLock lock(&runtime.mutex);
    if (runtime.init == init) runtime.network = held;
  }
  absl::StatusOr<std::string> content = ReadHeld(held->get());
  if (!content.ok()) return;
  for (node::v1::NetworkInterfaceStats& one : ParseNetworkCounters(*content)) {
    *stats.add_networks() = std::move(one);
  }
}

// Disk use of a tree; nullopt when it is too large to be measured in passing, or being removed.
std::optional<uint64_t> MeasureTree(const std::string& path) {
  std::string root = path;
  char* const roots[] = {root.data(), nullptr};
  FTS* walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, nullptr);
  if (walk == nullptr) return std::nullopt;
  uint64_t bytes = 0;
  int64_t files = 0;
  while (FTSENT* entry = fts_read(walk)) {
    if (++files > kMaxLayerFiles) break;
    if (entry->fts_info == FTS_DP || entry->fts_statp == nullptr) continue;
    if (entry->fts_info == FTS_NS || entry->fts_info == FTS_ERR) continue;
    // A file of several names counts with each; telling them apart takes memory without a bound.
    bytes += static_cast<uint64_t>(entry->fts_statp->st_blocks) * kStatBlockBytes;
  }
  fts_close(walk);
  if (files > kMaxLayerFiles) return std::nullopt;
  return bytes;
}

void AddLayer(const std::string& upper, Runtime& runtime, ContainerStats& stats) {
  bool measure = false;
  {
    absl::MutexLock lock(&runtime.mutex);
    // Set before it is measured, so that one sampler at a time does it.
    measure = absl::Now() - runtime.layer_measured >= kLayerInterval;
    if (measure) runtime.layer_measured = absl::Now();
  }
  std::optional<uint64_t> measured;
  if (measure) measured = MeasureTree(upper);
  absl::MutexLock lock(&runtime.mutex);
  if (measure) runtime.layer_bytes = measured;
  if (runtime.layer_bytes) stats.set_writable_layer_bytes(*runtime.layer_bytes);
}

// One client's samples. Thread-safe.
class StatsStream : public ResponseStream<StatsResponse>,
                    public std::enable_shared_from_this<StatsStream> {
 public:
  // Without ids: all that run at each round. Without interval: one round.
  StatsStream(EngineImpl* engine, std::vector<std::string> ids,
              std::optional<absl::Duration> interval)
      : engine_(engine), ids_(std::move(ids)), interval_(interval), due_(absl::Now()) {}

  void Next(Ready ready) override;
  void Cancel() override;

 private:
  void Measure();
  void BeginRound();
  void Answer(absl::StatusOr<std::optional<StatsResponse>> message);

  EngineImpl* const engine_;
  const std::vector<std::string> ids_;
  const std::optional<absl::Duration> interval_;
  absl::Mutex mutex_;
  Ready ready_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time due_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> rest_ ABSL_GUARDED_BY(mutex_);  // of a round larger than a message
};

void StatsStream::Next(Ready ready) {
  absl::Duration wait;
  {
    absl::MutexLock lock(&mutex_);
    ready_ = std::move(ready);
    if (cancelled_ || (over_ && rest_.empty())) {
      wait = -absl::InfiniteDuration();
    } else {
      wait = rest_.empty() ? due_ - absl::Now() : absl::ZeroDuration();
    }
  }
  auto measure = [self = shared_from_this()] {
    absl::Status submitted = self->engine_->Submit([self] { self->Measure(); });
    if (!submitted.ok()) self->Answer(submitted);
  };
  if (wait == -absl::InfiniteDuration()) return Answer(std::nullopt);
  if (wait <= absl::ZeroDuration()) return measure();
  // Weak, because a client that went away is not waited for.
  engine_->loop()->RunAfter(wait, [weak = weak_from_this(), engine = engine_] {
    auto self = weak.lock();
    if (self == nullptr) return;
    absl::Status submitted = engine->Submit([self] { self->Measure(); });
    if (!submitted.ok()) self->Answer(submitted);
  });
}

void StatsStream::Cancel() {
  {
    absl::MutexLock lock(&mutex_);
    if (cancelled_) return;
    cancelled_ = true;
  }
  Answer(absl::CancelledError("the client went away"));
}

void StatsStream::Answer(absl::StatusOr<std::optional<StatsResponse>> message) {
  Ready ready;
  {
    absl::MutexLock lock(&mutex_);
    ready = std::exchange(ready_, nullptr);
    if (cancelled_) message = absl::CancelledError("the client went away");
  }
  if (ready) ready(std::move(message));
}

void StatsStream::BeginRound() {
  std::vector<std::string> ids = ids_;
  if (ids.empty()) {
    for (const Snapshot& snapshot : engine_->registry()->All()) {
      if (HasProcess(snapshot->container().state())) ids.push_back(snapshot->container().id());
    }
  }
  absl::MutexLock lock(&mutex_);
  rest_ = std::move(ids);
  // From when it was due and not from now, so that intervals do not drift.
  due_ = std::max(due_ + interval_.value_or(absl::ZeroDuration()), absl::Now());
  over_ = !interval_.has_value();
}

void StatsStream::Measure() {
  std::vector<std::string> ids;
  bool begin;
  {
    absl::MutexLock lock(&mutex_);
    begin = rest_.empty();
  }
  if (begin) BeginRound();
  {
    absl::MutexLock lock(&mutex_);
    size_t most = std::min<size_t>(rest_.size(), kMaxSamples);
    ids.assign(rest_.begin(), rest_.begin() + static_cast<ptrdiff_t>(most));
    rest_.erase(rest_.begin(), rest_.begin() + static_cast<ptrdiff_t>(most));
  }
  StatsResponse response;
  for (const std::string& id : ids) {
    Snapshot snapshot = engine_->registry()->Get(id);
    if (snapshot == nullptr) continue;
    absl::StatusOr<StatsSample> sample = engine_->Sample(snapshot);
    if (sample.ok()) *response.add_samples() = *std::move(sample);
  }
  Answer(std::move(response));
}

}  // namespace

absl::StatusOr<StatsSample> EngineImpl::Sample(const Snapshot& snapshot) {
  const Container& container = snapshot->container();
  std::shared_ptr<Runtime> runtime = RuntimeOf(container.id());
  std::shared_ptr<SharedGroup> group = runtime->Group();
  if (group == nullptr) return WrongState(container);
  ASSIGN_OR_RETURN(cgroup::Stats measured, group->TryReadStats());
  StatsSample sample;
  sample.set_container_id(container.id());
  sample.set_name(container.name());
  *sample.mutable_time() = TimeUtil::GetCurrentTime();
  ContainerStats& stats = *sample.mutable_stats();
  CopyCpu(measured, *stats.mutable_cpu());
  CopyMemory(measured, *stats.mutable_memory());
  CopyBlockIo(measured, stats);
  CopyHugetlb(measured, stats);
  CopyPressures(measured, stats);
  CopyPids(measured, *stats.mutable_pids());
  if (HasOwnNetwork(container.spec())) AddNetwork(container, *runtime, stats);
  if (!container.spec().root().read_only()) {
    AddLayer(RootFiles(store_->ContainerDirectory(container.id())).upper, *runtime, stats);
  }
  absl::MutexLock lock(&runtime->mutex);
  if (runtime->group == group) {
    runtime->last_sample = std::make_shared<const StatsSample>(sample);
  }
  return sample;
}

std::vector<LastSample> EngineImpl::LastSamples() {
  std::vector<LastSample> samples;
  for (const Snapshot& snapshot : registry_->All()) {
    const Container& container = snapshot->container();
    if (!HasProcess(container.state())) continue;
    std::shared_ptr<Runtime> runtime = RuntimeOf(container.id());
    absl::MutexLock lock(&runtime->mutex);
    if (runtime->last_sample == nullptr) continue;
    samples.push_back({container.id(), container.name(), runtime->last_sample});
  }
  return samples;
}

absl::StatusOr<std::shared_ptr<ResponseStream<StatsResponse>>> EngineImpl::Stats(
    const node::v1::StatsRequest& request) {
  std::optional<absl::Duration> interval;
  if (request.has_interval()) {
    interval =
        absl::Seconds(request.interval().seconds()) + absl::Nanoseconds(request.interval().nanos());
    if (*interval < kMinInterval || *interval > kMaxInterval) {
      return InvalidField("interval", "must be 100 ms to 24 h");
    }
  }
  if (static_cast<size_t>(request.containers_size()) > kMaxWanted) {
    return InvalidField("containers", absl::StrCat("must be at most ", kMaxWanted));
  }
  std::vector<std::string> ids;
  for (const std::string& reference : request.containers()) {
    ASSIGN_OR_RETURN(Snapshot snapshot, registry_->Find(reference));
    // One sample would be of nothing; a stream may wait for it to run.
    if (!interval && !HasProcess(snapshot->container().state())) {
      return WrongState(snapshot->container());
    }
    ids.push_back(snapshot->container().id());
  }
  return std::make_shared<StatsStream>(this, std::move(ids), interval);
}

}  // namespace noded
