// One sampling of containers for all who want samples. A thread of its own takes them in rounds: a
// stream that is due takes part in the round, and where a sample is there already that is recent
// enough for it, no other is taken.
#ifndef NODE_SAMPLING_H_
#define NODE_SAMPLING_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cgroup/driver.h"
#include "node/engine.h"
#include "node/layer_use.h"
#include "node/registry.h"
#include "node/runtime.h"
#include "node/streams.h"

namespace noded {

class EngineImpl;

// Thread-safe. Must be destroyed before what it asks the engine for: registry and runtimes.
class Sampling {
 public:
  class Stream;

  // `engine` outlives this. `background`: samples all that often though no stream asks; zero: not.
  Sampling(EngineImpl* engine, bool pressure, absl::Duration background);
  // Streams that wait are answered UNAVAILABLE.
  ~Sampling();

  // Without ids: all that run at each round. Without interval: one round, taken from now on.
  std::shared_ptr<ResponseStream<node::v1::StatsResponse>> Open(
      std::vector<std::string> ids, std::optional<absl::Duration> interval);
  std::vector<LastSample> Last();

 private:
  // Monotonic, because a wall clock set back would hold up every stream.
  using Uptime = absl::Duration;
  using SharedSample = std::shared_ptr<const node::v1::StatsSample>;
  // What a round knows of one container.
  struct Target {
    Snapshot snapshot;
    std::shared_ptr<Runtime> runtime;
    std::shared_ptr<Meter> meter;
  };
  struct Round;

  static Uptime Now();
  void Work();
  // Streams that are due; none when only the background is. nullopt: the end.
  std::optional<std::vector<std::shared_ptr<Stream>>> AwaitDue();
  void TakeRound(const std::vector<std::shared_ptr<Stream>>& due);
  void FindTargets(const std::vector<std::shared_ptr<Stream>>& due, Round& round);
  void AddTarget(const Snapshot& snapshot, Round& round);
  SharedSample SampleOf(const Target& target, Uptime not_before, uint32_t online_cpus);
  // A stream's client waits for a message, which is due then.
  void Await(const std::shared_ptr<Stream>& stream, Uptime due);
  // It waits no more; without this a day's wait would be kept for a day.
  void Forget(const Stream* stream);

  EngineImpl* const engine_;
  const cgroup::SampleOptions options_;
  const absl::Duration background_;
  LayerUse layers_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // By when they are due. Weak, because a client that went away is not waited for.
  std::multimap<Uptime, std::weak_ptr<Stream>> waiting_ ABSL_GUARDED_BY(mutex_);
  Uptime background_due_;  // the thread's own
  std::thread thread_;
};

}  // namespace noded

#endif  // NODE_SAMPLING_H_
