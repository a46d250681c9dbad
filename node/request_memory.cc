#include "node/request_memory.h"

#include <utility>

namespace noded {

void RequestMemory::Hold(const std::string& request_id, const std::string& container_id) {
  if (!request_id.empty()) held_.emplace(request_id, container_id);
}

void RequestMemory::Release(const std::string& request_id) { held_.erase(request_id); }

const std::string* RequestMemory::HolderOf(const std::string& request_id) const {
  auto found = held_.find(request_id);
  return found == held_.end() ? nullptr : &found->second;
}

void RequestMemory::Remember(const std::string& request_id, absl::Time expires) {
  if (request_id.empty()) return;
  auto [entry, inserted] = remembered_.emplace(request_id, expires);
  if (!inserted && entry->second == expires) return;  // two entries could not be told apart
  entry->second = expires;
  order_.push_back({expires, &entry->first});
}

bool RequestMemory::Remembers(const std::string& request_id, absl::Time now) const {
  auto found = remembered_.find(request_id);
  return found != remembered_.end() && found->second > now;
}

std::vector<std::string> RequestMemory::Forget(absl::Time now) {
  std::vector<std::string> forgotten;
  while (!order_.empty() && (order_.front().time <= now || order_.size() > kMost)) {
    const Expiry expiry = order_.front();
    order_.pop_front();
    auto found = remembered_.find(*expiry.request_id);
    if (found->second != expiry.time) continue;
    forgotten.push_back(found->first);
    remembered_.erase(found);
  }
  return forgotten;
}

}  // namespace noded
