// What one run of a container uses, from descriptors that are held: its supervisor is not asked.
#ifndef NODE_METER_H_
#define NODE_METER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cgroup/driver.h"
#include "node/base/pidfd.h"
#include "node/base/unique_fd.h"
#include "node/layer_use.h"
#include "node/v1/container.pb.h"
#include "node/v1/container_service.pb.h"

namespace noded {

class SharedGroup;

// Holds the sampler's descriptors and one of /proc/PID/net/dev, which pins the network namespace:
// to be destroyed when the container has ended. Thread-compatible.
class Meter {
 public:
  // `layer` is nullptr when there is none of its own.
  Meter(std::shared_ptr<SharedGroup> group, std::shared_ptr<const Pidfd> init,
        std::shared_ptr<LayerUse::Layer> layer);

  const SharedGroup* group() const { return group_.get(); }
  const std::shared_ptr<LayerUse::Layer>& layer() const { return layer_; }
  // Opens on the first call. UNAVAILABLE while the container is being killed or removed, NOT_FOUND
  // when its group is gone.
  absl::StatusOr<node::v1::StatsSample> Sample(const node::v1::Container& container,
                                               const cgroup::SampleOptions& options,
                                               uint32_t online_cpus);

 private:
  void AddNetwork(const node::v1::Container& container, node::v1::ContainerStats& stats);

  const std::shared_ptr<SharedGroup> group_;
  const std::shared_ptr<const Pidfd> init_;
  const std::shared_ptr<LayerUse::Layer> layer_;
  std::unique_ptr<cgroup::Sampler> sampler_;
  UniqueFd network_;
};

}  // namespace noded

#endif  // NODE_METER_H_
