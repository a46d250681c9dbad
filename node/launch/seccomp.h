// A seccomp profile compiled to what seccomp(2) takes. Internal to node/launch; thread-safe.
#ifndef NODE_LAUNCH_SECCOMP_H_
#define NODE_LAUNCH_SECCOMP_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace noded::launch {

struct SeccompFilter {
  std::string program;  // struct sock_filter as bytes
  uint32_t flags = 0;   // SECCOMP_FILTER_FLAG_*
};

// As CompileSeccomp in plan.h, with the flags that the profile asks for.
absl::StatusOr<SeccompFilter> CompileSeccompFilter(const std::string& json, uint64_t capabilities,
                                                   const std::string& field);

}  // namespace noded::launch

#endif  // NODE_LAUNCH_SECCOMP_H_
