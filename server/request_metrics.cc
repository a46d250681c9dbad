#include "server/request_metrics.h"

namespace noded::server {

RequestMetrics::Counts* RequestMetrics::CountsOf(std::string_view method) {
  {
    const absl::ReaderMutexLock lock(&mutex_);
    const auto found = methods_.find(method);
    if (found != methods_.end()) return found->second.get();
  }
  const absl::MutexLock lock(&mutex_);
  std::unique_ptr<Counts>& counts = methods_[method];
  if (counts == nullptr) counts = std::make_unique<Counts>();
  return counts.get();  // lives as long as this: none is ever removed
}

void RequestMetrics::End(std::string_view method, grpc::StatusCode code, absl::Duration duration) {
  in_flight_.fetch_sub(1, std::memory_order_relaxed);
  Counts* const counts = CountsOf(method);
  const bool known = code >= 0 && code < kStatusCodes;
  counts->by_code[known ? code : grpc::StatusCode::UNKNOWN].fetch_add(1, std::memory_order_relaxed);
  counts->durations.Observe(duration);
}

std::vector<RequestMetrics::Method> RequestMetrics::Read() const {
  std::vector<Method> all;
  const absl::ReaderMutexLock lock(&mutex_);
  for (const auto& [name, counts] : methods_) {
    Method method{.name = name, .durations = counts->durations.Read()};
    for (int code = 0; code < kStatusCodes; ++code) {
      method.by_code[code] = counts->by_code[code].load(std::memory_order_relaxed);
    }
    all.push_back(method);
  }
  return all;
}

}  // namespace noded::server
