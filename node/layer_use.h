// How much disk the writable layers of containers take, measured now and then on a thread of its
// own: a file system that does not answer keeps that thread for as long as it likes, and nobody
// else.
#ifndef NODE_LAYER_USE_H_
#define NODE_LAYER_USE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace noded {

// Thread-safe. Its destructor does not wait for the thread.
class LayerUse {
 public:
  // One layer, as long as its container runs.
  class Layer;
  static std::shared_ptr<Layer> NewLayer(const std::string& path);

  LayerUse();
  ~LayerUse();
  LayerUse(const LayerUse&) = delete;
  LayerUse& operator=(const LayerUse&) = delete;

  // Has it measured if that was 10 s ago or more, and longer for one whose measuring takes long.
  // True when it has never been measured yet.
  bool Refresh(const std::shared_ptr<Layer>& layer);
  // Waits until all that was asked for is measured, for `bound` at most; not at all when the thread
  // is being kept.
  void AwaitMeasured(absl::Duration bound);
  // Bytes on disk. nullopt: not known (yet), too many files to be measured in passing, or the last
  // answer is minutes old.
  static std::optional<uint64_t> BytesOf(const Layer& layer);

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace noded

#endif  // NODE_LAYER_USE_H_
