// libs: cgroup node_base
// Rules come from clients: whatever they are, folding and generating end, and no jump leaves the
// program.
#include <cstdint>
#include <cstdlib>

#include "cgroup/device_program.h"
#include "cgroup/v1_devices.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<noded::cgroup::DeviceRule> rules;
  for (size_t i = 0; i + 4 <= size && rules.size() < 64; i += 4) {
    noded::cgroup::DeviceRule rule;
    rule.allow = data[i] & 1;
    rule.type = "abc"[data[i] % 3];
    if (data[i] & 4) rule.major = data[i + 1];
    if (data[i] & 8) rule.minor = data[i + 2];
    rule.access.clear();
    for (int bit = 0; bit < 3; ++bit) {
      if (data[i + 3] & (1 << bit)) rule.access += "rwm"[bit];
    }
    rules.push_back(rule);
  }
  noded::cgroup::FoldDeviceRules(rules).IgnoreError();
  std::vector<bpf_insn> program = noded::cgroup::DeviceProgram(rules);
  for (size_t at = 0; at < program.size(); ++at) {
    if (program[at].code != (BPF_LDX | BPF_MEM | BPF_W) && program[at].off != 0 &&
        at + 1 + static_cast<size_t>(program[at].off) >= program.size()) {
      abort();
    }
  }
  return 0;
}
