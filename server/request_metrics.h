// How many requests were made, how they ended and how long they took, since the daemon began.
#ifndef SERVER_REQUEST_METRICS_H_
#define SERVER_REQUEST_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"
#include "node/duration_histogram.h"

namespace noded::server {

// gRPC's codes, OK to UNAUTHENTICATED.
inline constexpr int kStatusCodes = 17;

// Thread-safe. Recording takes no lock that another recording waits for, but for a method's first.
class RequestMetrics {
 public:
  struct Method {
    std::string_view name;
    std::array<uint64_t, kStatusCodes> by_code{};
    DurationHistogram::Values durations;
  };

  // `method` is a literal of this program, "ContainerService/Stop": so what is kept is bounded by
  // the API and never by what a client sends.
  void Begin() { in_flight_.fetch_add(1, std::memory_order_relaxed); }
  void End(std::string_view method, grpc::StatusCode code, absl::Duration duration);

  // Methods that were called, by name.
  std::vector<Method> Read() const;
  int64_t in_flight() const { return in_flight_.load(std::memory_order_relaxed); }

 private:
  struct Counts {
    std::array<std::atomic<uint64_t>, kStatusCodes> by_code{};
    DurationHistogram durations;
  };
  Counts* CountsOf(std::string_view method);

  std::atomic<int64_t> in_flight_ = 0;
  mutable absl::Mutex mutex_;
  std::map<std::string_view, std::unique_ptr<Counts>> methods_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace noded::server

#endif  // SERVER_REQUEST_METRICS_H_
