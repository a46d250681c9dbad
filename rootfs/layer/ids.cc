#include "rootfs/layer/ids.h"

namespace noded::layer {
namespace {

std::optional<uint32_t> Shift(int64_t id, uint32_t from, uint32_t to, uint32_t count) {
  if (id < from || id - from >= count) return std::nullopt;
  return static_cast<uint32_t>(to + (id - from));
}

}  // namespace

std::optional<uint32_t> ToOutside(const IdMap& map, int64_t inside) {
  if (inside < 0 || inside >= UINT32_MAX) return std::nullopt;
  if (map.empty()) return static_cast<uint32_t>(inside);
  for (const IdRange& range : map) {
    if (auto id = Shift(inside, range.inside, range.outside, range.count)) return id;
  }
  return std::nullopt;
}

std::optional<uint32_t> ToInside(const IdMap& map, uint32_t outside) {
  if (map.empty()) return outside;
  for (const IdRange& range : map) {
    if (auto id = Shift(outside, range.outside, range.inside, range.count)) return id;
  }
  return std::nullopt;
}

}  // namespace noded::layer
