// Compiled filters of late: compiling one like Docker's takes some 30 ms, ten times a whole start,
// and every exec needs it again. Internal to node/launch; thread-safe.
#ifndef NODE_LAUNCH_SECCOMP_CACHE_H_
#define NODE_LAUNCH_SECCOMP_CACHE_H_

#include <cstdint>
#include <list>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "node/launch/seccomp.h"

namespace noded::launch {

// Holds at most kEntries filters, those used last; a profile larger than kMaxProfileBytes is not
// kept, so that all together stay below some 2 MB.
class SeccompCache {
 public:
  static constexpr size_t kEntries = 16;
  static constexpr size_t kMaxProfileBytes = 64 << 10;

  std::optional<SeccompFilter> Find(const std::string& json, uint64_t capabilities);
  void Keep(const std::string& json, uint64_t capabilities, const SeccompFilter& filter);

 private:
  struct Entry {
    std::string json;
    uint64_t capabilities;
    SeccompFilter filter;
  };

  absl::Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // the one used last in front
};

}  // namespace noded::launch

#endif  // NODE_LAUNCH_SECCOMP_CACHE_H_
