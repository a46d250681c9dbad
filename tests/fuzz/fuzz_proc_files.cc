// libs: node_engine node_launch
// Files of /proc: their commands and names are chosen by containers.
#include <cstddef>
#include <cstdint>
#include <string>

#include "node/host.h"
#include "node/network_counters.h"
#include "node/process_table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string content(reinterpret_cast<const char*>(data), size);
  noded::ParseProcessStat(content).status().IgnoreError();
  noded::ParseNetworkCounters(content);
  noded::ParseCgroupMounts(content);
  return 0;
}
