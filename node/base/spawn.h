// posix_spawn(3) as a daemon with threads needs it: a program in a session of its own, with its
// signals as a program expects them and no descriptor but those it is given.
#ifndef NODE_BASE_SPAWN_H_
#define NODE_BASE_SPAWN_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace noded {

// `argv[0]` is what it is called; `program` is looked for in PATH unless it has a slash.
// `environment` as of execve(2). Descriptor i of the child is `fds[i]`, borrowed. The child is the
// caller's to reap. The status says why it could not be run. Thread-safe.
absl::StatusOr<pid_t> Spawn(const std::string& program, std::vector<std::string> argv,
                            char* const environment[], const std::vector<int>& fds);

}  // namespace noded

#endif  // NODE_BASE_SPAWN_H_
