// libs: cgroup node_base
// What the cgroup room reads: mountinfo, whose paths anybody with a mount chooses, and cgroup
// files.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "cgroup/mounts.h"
#include "cgroup/settings.h"
#include "cgroup/stat_files.h"
#include "cgroup/v1_devices.h"
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
  noded::cgroup::Stats stats;
  noded::cgroup::ParseMemoryStat(text, true, stats);
  noded::cgroup::ParseMemoryStat(text, false, stats);
  noded::cgroup::ParseCpuStatV2(text, stats);
  noded::cgroup::ParseThrottlingV1(text, stats);
  noded::cgroup::ParseIoStat(text);
  std::vector<noded::cgroup::BlockStats> devices;
  noded::cgroup::ParseBlkio(text, noded::cgroup::BlkioFile::kBytes, devices);
  noded::cgroup::ParsePressure(text);
  noded::cgroup::LimitNumber(text);
  noded::cgroup::DevicesBetween(text, {});
  // Whatever a file holds, each change is written once.
  auto settings = noded::cgroup::SettingsV1({}, {"2MB"});
  auto changes = noded::cgroup::ChangesBetween(
      *settings, [&](const noded::cgroup::Setting&) { return std::string(text); });
  if (noded::cgroup::InOrder(changes).size() != changes.size()) abort();
  return 0;
}
