#include "node/launch/seccomp_cache.h"

#include <algorithm>

namespace noded::launch {

std::optional<SeccompFilter> SeccompCache::Find(const std::string& json, uint64_t capabilities) {
  absl::MutexLock lock(&mutex_);
  auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.capabilities == capabilities && entry.json == json;
  });
  if (found == entries_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, found);
  return entries_.front().filter;
}

void SeccompCache::Keep(const std::string& json, uint64_t capabilities,
                        const SeccompFilter& filter) {
  if (json.size() > kMaxProfileBytes) return;
  absl::MutexLock lock(&mutex_);
  // Two callers may have compiled the same at once; the second copy ages away.
  entries_.push_front({json, capabilities, filter});
  if (entries_.size() > kEntries) entries_.pop_back();
}

}  // namespace noded::launch
