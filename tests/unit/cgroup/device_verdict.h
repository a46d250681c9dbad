// The meaning of device rules, written down as plainly as can be: each requested access bit is
// decided by the last rule that names the device and the bit. Both translations are held against
// it. Pure.
#ifndef TESTS_UNIT_CGROUP_DEVICE_VERDICT_H_
#define TESTS_UNIT_CGROUP_DEVICE_VERDICT_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "cgroup/limits.h"

namespace noded::cgroup {

struct DeviceRequest {
  char type;
  uint32_t major, minor;
  std::string access;  // "r", "rw", …
};

inline bool Allowed(const std::vector<DeviceRule>& rules, const DeviceRequest& request) {
  return std::all_of(request.access.begin(), request.access.end(), [&](char bit) {
    bool allowed = false;
    for (const DeviceRule& rule : rules) {
      bool named = (rule.type == 'a' || rule.type == request.type) &&
                   rule.major.value_or(request.major) == request.major &&
                   rule.minor.value_or(request.minor) == request.minor &&
                   rule.access.find(bit) != std::string::npos;
      if (named) allowed = rule.allow;
    }
    return allowed;
  });
}

inline std::vector<DeviceRequest> AllRequests() {
  std::vector<DeviceRequest> requests;
  for (char type : {'b', 'c'}) {
    for (uint32_t major : {1u, 2u, 0xfffffff0u}) {
      for (uint32_t minor : {3u, 4u, 0xffffffffu}) {
        for (const char* access : {"r", "w", "m", "rw", "rm", "wm", "rwm"}) {
          requests.push_back({type, major, minor, access});
        }
      }
    }
  }
  return requests;
}

// Rules over the same few devices, so that they overlap.
inline std::vector<DeviceRule> RandomRules(std::mt19937& random) {
  auto pick = [&](auto... choices) {
    std::array values{choices...};
    return values[random() % values.size()];
  };
  std::vector<DeviceRule> rules(random() % 7);
  for (DeviceRule& rule : rules) {
    rule.allow = pick(true, false);
    rule.type = pick('a', 'b', 'c', 'c');
    if (pick(true, false)) rule.major = pick(1u, 2u, 0xfffffff0u);
    if (pick(true, false)) rule.minor = pick(3u, 4u, 0xffffffffu);
    rule.access = pick("rwm", "rwm", "r", "w", "m", "rw", "wm");
  }
  return rules;
}

inline std::string Draw(const std::vector<DeviceRule>& rules) {
  std::string text;
  for (const DeviceRule& rule : rules) {
    text += std::string(rule.allow ? "allow " : "deny ") + rule.type + " " +
            (rule.major ? std::to_string(*rule.major) : "*") + ":" +
            (rule.minor ? std::to_string(*rule.minor) : "*") + " " + rule.access + "\n";
  }
  return text;
}

}  // namespace noded::cgroup

#endif  // TESTS_UNIT_CGROUP_DEVICE_VERDICT_H_
