// A pseudo-terminal of a container's own devpts. Thread-safe.
#ifndef NODE_SHIM_TERMINAL_H_
#define NODE_SHIM_TERMINAL_H_

#include <cstdint>

#include "node/base/unique_fd.h"
#include "node/shim/failure.h"

namespace noded::shim {

struct Terminal {
  UniqueFd master;
  UniqueFd slave;
};

// `root` is the container's root. Neither end becomes anyone's controlling terminal.
MaybeFailure OpenTerminal(int root, Terminal* out);
// False with errno. A size of 0 is left as it is.
bool ResizeTerminal(int master, uint32_t width, uint32_t height);

}  // namespace noded::shim

#endif  // NODE_SHIM_TERMINAL_H_
