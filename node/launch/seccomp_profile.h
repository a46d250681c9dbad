// Docker's seccomp profile as a value: what its JSON says, checked, with names turned into numbers.
// Which rules apply on this machine is decided later (seccomp.cc). Internal to node/launch; pure
// and thread-safe.
#ifndef NODE_LAUNCH_SECCOMP_PROFILE_H_
#define NODE_LAUNCH_SECCOMP_PROFILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace noded::launch {

// When a rule counts.
struct SeccompCondition {
  std::vector<std::string> capabilities;  // "CAP_SYS_ADMIN"
  std::vector<std::string> arches;        // as Go names them: "amd64"
  std::optional<std::pair<int, int>> min_kernel;
};

// A comparison of one argument of a system call.
struct SeccompArgument {
  uint32_t index = 0;  // 0 to 5
  int op = 0;          // enum scmp_compare
  uint64_t value = 0, value_two = 0;
};

struct SeccompRule {
  std::vector<std::string> names;
  uint32_t action = 0;  // SCMP_ACT_*
  std::vector<SeccompArgument> arguments;
  SeccompCondition includes, excludes;
};

struct SeccompProfile {
  struct ArchMap {
    uint32_t architecture = 0;  // SCMP_ARCH_*
    std::vector<uint32_t> sub_architectures;
  };

  uint32_t default_action = 0;
  std::vector<ArchMap> arch_map;
  std::vector<uint32_t> architectures;
  uint32_t flags = 0;  // SECCOMP_FILTER_FLAG_*
  std::vector<SeccompRule> rules;
};

// INVALID_ARGUMENT names `field` and the place in the JSON: "syscalls[3].action: unknown action …".
absl::StatusOr<SeccompProfile> ParseSeccompProfile(const std::string& json,
                                                   const std::string& field);

}  // namespace noded::launch

#endif  // NODE_LAUNCH_SECCOMP_PROFILE_H_
