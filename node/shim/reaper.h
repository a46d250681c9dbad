// PID 1 of a container made with `init: true`: signals that it gets go to the main process,
// children are reaped, and it ends when the main process does.
#ifndef NODE_SHIM_REAPER_H_
#define NODE_SHIM_REAPER_H_

#include <sys/types.h>

namespace noded::shim {

// Never returns. `status` is a pipe that the main process's wait status is written to (an int),
// because PID 1 of a namespace cannot die of a signal of its own as the main process may have.
// Every other descriptor is closed.
[[noreturn]] void RunReaper(pid_t main_process, int status);

}  // namespace noded::shim

#endif  // NODE_SHIM_REAPER_H_
