// libs: node_engine
// Lines of the kernel's log: names of tasks and groups in them are chosen by containers.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "node/oom_log.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  noded::OomLog log;
  // Records are set apart by a zero byte.
  while (!rest.empty()) {
    size_t end = rest.find('\0');
    auto kill = log.Feed(rest.substr(0, end));
    if (kill && kill->task_cgroup.empty()) abort();
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return 0;
}
