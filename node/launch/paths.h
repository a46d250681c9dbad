// Paths as text: nothing here looks at a file system. Symlinks are the supervisor's business, which
// resolves every target inside the new root. Pure and thread-safe.
#ifndef NODE_LAUNCH_PATHS_H_
#define NODE_LAUNCH_PATHS_H_

#include <string>
#include <string_view>

namespace noded::launch {

// One slash between components, no "." and no trailing slash: "//dev/./shm/" → "/dev/shm".
// REQUIRES: absolute.
std::string CleanPath(std::string_view path);
// Whether a component is "..".
bool HasDotDot(std::string_view path);
// Whether clean `path` is clean `ancestor` or lies below it.
bool IsAtOrBelow(std::string_view path, std::string_view ancestor);

}  // namespace noded::launch

#endif  // NODE_LAUNCH_PATHS_H_
