#include "node/sampling.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/meter.h"
#include "node/root_files.h"
#include "node/sampling_stream.h"

namespace noded {

using node::v1::Container;
using node::v1::StatsSample;

namespace {

// A layer that is measured for the first time is waited for so long.
constexpr absl::Duration kFirstLayerBound = absl::Milliseconds(250);

}  // namespace

struct Sampling::Round {
  Uptime now;
  uint32_t online_cpus = 0;
  std::vector<Target> targets;
  std::unordered_map<std::string_view, size_t> by_id;  // of ids that the targets hold
  bool new_layers = false;
};

Sampling::Sampling(EngineImpl* engine, bool pressure, absl::Duration background)
    : engine_(engine),
      options_{.pressure = pressure},
      background_(background),
      background_due_(background > absl::ZeroDuration() ? Now() : absl::InfiniteDuration()) {
  thread_ = std::thread([this] { Work(); });
}

Sampling::~Sampling() {
  std::multimap<Uptime, std::weak_ptr<Stream>> waiting;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    waiting.swap(waiting_);
  }
  thread_.join();
  for (auto& [due, weak] : waiting) {
    if (auto stream = weak.lock()) stream->Close();
  }
}

Sampling::Uptime Sampling::Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::DurationFromTimespec(now);
}

std::shared_ptr<ResponseStream<node::v1::StatsResponse>> Sampling::Open(
    std::vector<std::string> ids, std::optional<absl::Duration> interval) {
  return std::make_shared<Stream>(this, std::move(ids), interval, Now());
}

void Sampling::Await(const std::shared_ptr<Stream>& stream, Uptime due) {
  {
    absl::MutexLock lock(&mutex_);
    if (!stopping_) {
      waiting_.emplace(due, stream);
      return;
    }
  }
  stream->Close();
}

void Sampling::Forget(const Stream* stream) {
  absl::MutexLock lock(&mutex_);
  for (auto one = waiting_.begin(); one != waiting_.end();) {
    auto waiting = one->second.lock();
    one = waiting == nullptr || waiting.get() == stream ? waiting_.erase(one) : std::next(one);
  }
}

std::optional<std::vector<std::shared_ptr<Sampling::Stream>>> Sampling::AwaitDue() {
  std::vector<std::shared_ptr<Stream>> due;
  absl::MutexLock lock(&mutex_);
  while (!stopping_) {
    Uptime now = Now();
    while (!waiting_.empty() && waiting_.begin()->first <= now) {
      if (auto stream = waiting_.begin()->second.lock()) due.push_back(std::move(stream));
      waiting_.erase(waiting_.begin());
    }
    if (!due.empty() || background_due_ <= now) return due;
    Uptime next = background_due_;
    if (!waiting_.empty()) next = std::min(next, waiting_.begin()->first);
    auto changed = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stopping_ || (!waiting_.empty() && waiting_.begin()->first < next);
    };
    mutex_.AwaitWithTimeout(absl::Condition(&changed), next - now);
  }
  return std::nullopt;
}

void Sampling::Work() {
  while (auto due = AwaitDue()) TakeRound(*due);
}

void Sampling::TakeRound(const std::vector<std::shared_ptr<Stream>>& due) {
  Round round;
  round.now = Now();
  // Read from a file of /sys each time that it is asked for.
  round.online_cpus = static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_ONLN));
  FindTargets(due, round);
  if (round.new_layers) layers_.AwaitMeasured(kFirstLayerBound);
  for (const std::shared_ptr<Stream>& stream : due) {
    std::vector<SharedSample> samples;
    auto take = [&](const Target& target) {
      SharedSample sample = SampleOf(target, stream->OldestWanted(round.now), round.online_cpus);
      if (sample != nullptr) samples.push_back(std::move(sample));
    };
    if (stream->wants_all()) {
      samples.reserve(round.targets.size());
      for (const Target& target : round.targets) take(target);
    } else {
      for (const std::string& id : stream->ids()) {
        auto found = round.by_id.find(id);
        if (found != round.by_id.end()) take(round.targets[found->second]);
      }
    }
    stream->Deliver(std::move(samples), round.now);
  }
  if (background_due_ > round.now) return;
  for (const Target& target : round.targets) {
    SampleOf(target, round.now - background_ / 2, round.online_cpus);
  }
  background_due_ = round.now + background_;
}

void Sampling::FindTargets(const std::vector<std::shared_ptr<Stream>>& due, Round& round) {
  bool all = background_due_ <= round.now;
  for (const std::shared_ptr<Stream>& stream : due) all |= stream->wants_all();
  if (all) {
    for (const Snapshot& snapshot : engine_->registry()->All()) AddTarget(snapshot, round);
    return;
  }
  for (const std::shared_ptr<Stream>& stream : due) {
    for (const std::string& id : stream->ids()) {
      if (round.by_id.count(id) != 0) continue;
      if (Snapshot snapshot = engine_->registry()->Get(id)) AddTarget(snapshot, round);
    }
  }
}

void Sampling::AddTarget(const Snapshot& snapshot, Round& round) {
  const Container& container = snapshot->container();
  if (!HasProcess(container.state())) return;
  Target target{snapshot, engine_->RuntimeOf(container.id()), nullptr};
  {
    Runtime& runtime = *target.runtime;
    absl::MutexLock lock(&runtime.mutex);
    // Starting again, or its end is just being recorded.
    if (runtime.group == nullptr) return;
    if (runtime.meter == nullptr || runtime.meter->group() != runtime.group.get()) {
      std::string upper = RootFiles(engine_->store()->ContainerDirectory(container.id())).upper;
      bool read_only = container.spec().root().read_only();
      runtime.last_sample = nullptr;
      runtime.meter = std::make_shared<Meter>(runtime.group, runtime.init,
                                              read_only ? nullptr : LayerUse::NewLayer(upper));
    }
    target.meter = runtime.meter;
  }
  if (target.meter->layer() != nullptr) round.new_layers |= layers_.Refresh(target.meter->layer());
  round.by_id.emplace(target.runtime->id, round.targets.size());
  round.targets.push_back(std::move(target));
}

Sampling::SharedSample Sampling::SampleOf(const Target& target, Uptime not_before,
                                          uint32_t online_cpus) {
  Runtime& runtime = *target.runtime;
  {
    absl::MutexLock lock(&runtime.mutex);
    // Its end was recorded since the round began.
    if (runtime.meter != target.meter) return nullptr;
    if (runtime.last_sample != nullptr && runtime.sampled >= not_before) {
      return runtime.last_sample;
    }
  }
  Uptime now = Now();
  absl::StatusOr<StatsSample> sample =
      target.meter->Sample(target.snapshot->container(), options_, online_cpus);
  // Being killed, removed or gone: the next round tells.
  if (!sample.ok()) return nullptr;
  auto shared = std::make_shared<const StatsSample>(*std::move(sample));
  absl::MutexLock lock(&runtime.mutex);
  if (runtime.meter != target.meter) return nullptr;
  runtime.last_sample = shared;
  runtime.sampled = now;
  return shared;
}

std::vector<LastSample> Sampling::Last() {
  std::vector<LastSample> samples;
  for (const Snapshot& snapshot : engine_->registry()->All()) {
    const Container& container = snapshot->container();
    if (!HasProcess(container.state())) continue;
    std::shared_ptr<Runtime> runtime = engine_->RuntimeOf(container.id());
    absl::MutexLock lock(&runtime->mutex);
    if (runtime->last_sample == nullptr) continue;
    samples.push_back({container.id(), container.name(), runtime->last_sample});
  }
  return samples;
}

}  // namespace noded
