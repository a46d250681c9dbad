// libs: cgroup node_base
// What the cgroup room reads: mountinfo, whose paths anybody with a mount chooses, and cgroup
// files.
#include <cstdint>
#include <string_view>

#include "cgroup/mounts.h"
#include "cgroup/values.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  noded::cgroup::ParseMounts(text);
  noded::cgroup::ParseNumber(text);
  noded::cgroup::ParsePids(text);
  noded::cgroup::ParseWords(text);
  size_t end = text.find('\n');
  std::string_view key = text.substr(0, end);
  std::string_view rest = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  noded::cgroup::ParseKeyed(rest, key);
  return 0;
}
