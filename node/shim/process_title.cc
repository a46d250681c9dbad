#include "node/shim/process_title.h"

#include <sys/prctl.h>

#include <algorithm>
#include <cstring>

namespace noded::shim {

// The kernel lays the arguments out one behind the other.
ProcessTitle::ProcessTitle(int argc, char** argv)
    : begin_(argv[0]),
      size_(static_cast<size_t>(argv[argc - 1] + strlen(argv[argc - 1]) + 1 - argv[0])) {}

void ProcessTitle::Set(const std::string& name, const std::string& argument) {
  (void)prctl(PR_SET_NAME, name.c_str(), 0, 0, 0);
  std::string line = name;
  if (!argument.empty()) line += '\0' + argument;
  // The rest zero, up to the last byte: a command line that does not end in one is read on into the
  // environment.
  memset(begin_, 0, size_);
  memcpy(begin_, line.data(), std::min(line.size(), size_ - 1));
}

}  // namespace noded::shim
