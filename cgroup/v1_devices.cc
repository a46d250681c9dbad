#include "cgroup/v1_devices.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"

namespace noded::cgroup {
namespace {

bool Covers(const std::optional<uint32_t>& wide, const std::optional<uint32_t>& narrow) {
  return !wide || wide == narrow;
}

bool Meets(const std::optional<uint32_t>& a, const std::optional<uint32_t>& b) {
  return !a || !b || a == b;
}

std::string Without(const std::string& access, const std::string& removed) {
  std::string left;
  for (char letter : access) {
    if (removed.find(letter) == std::string::npos) left += letter;
  }
  return left;
}

bool SameDevices(const DeviceRule& a, const DeviceRule& b) {
  return a.type == b.type && a.major == b.major && a.minor == b.minor;
}

bool IsEverything(const DeviceRule& rule) {
  return rule.type == 'a' && !rule.major && !rule.minor && Without("rwm", rule.access).empty();
}

// The controller's state: a default, and exceptions to it, all of the opposite sense.
struct Folded {
  bool allow_by_default = false;
  std::vector<DeviceRule> exceptions;
};

void AddException(Folded& folded, const DeviceRule& rule) {
  for (DeviceRule& exception : folded.exceptions) {
    if (!SameDevices(exception, rule)) continue;
    exception.access += Without(rule.access, exception.access);
    return;
  }
  folded.exceptions.push_back(rule);
}

// Takes back what the rule names from the exceptions. False when a wider exception would have to
// get a hole, which the controller cannot hold.
bool RemoveExceptions(Folded& folded, const DeviceRule& rule) {
  for (DeviceRule& exception : folded.exceptions) {
    bool meets = exception.type == rule.type && Meets(exception.major, rule.major) &&
                 Meets(exception.minor, rule.minor);
    std::string left = Without(exception.access, rule.access);
    if (!meets || left == exception.access) continue;
    if (!Covers(rule.major, exception.major) || !Covers(rule.minor, exception.minor)) return false;
    exception.access = left;
  }
  std::erase_if(folded.exceptions, [](const DeviceRule& one) { return one.access.empty(); });
  return true;
}

bool Apply(Folded& folded, const DeviceRule& rule) {
  if (IsEverything(rule)) {
    folded = {.allow_by_default = rule.allow, .exceptions = {}};
    return true;
  }
  // To the kernel 'a' means everything with every access whatever follows, so it is written as both
  // types.
  std::vector<DeviceRule> parts = {rule};
  if (rule.type == 'a') {
    parts.push_back(rule);
    parts[0].type = 'b';
    parts[1].type = 'c';
  }
  for (const DeviceRule& part : parts) {
    if (part.allow != folded.allow_by_default) {
      AddException(folded, part);
    } else if (!RemoveExceptions(folded, part)) {
      return false;
    }
  }
  return true;
}

std::string Number(const std::optional<uint32_t>& number) {
  return number ? absl::StrCat(*number) : "*";
}

}  // namespace

absl::StatusOr<std::vector<DeviceWrite>> FoldDeviceRules(const std::vector<DeviceRule>& rules) {
  Folded folded;
  for (size_t i = 0; i < rules.size(); ++i) {
    if (!Apply(folded, rules[i])) {
      return InvalidField(absl::StrCat("limits.devices[", i, "]"),
                          "takes part of a wider rule back, which cgroup v1 cannot express");
    }
  }
  // Also sets the exceptions inherited from the parent aside.
  std::vector<DeviceWrite> writes = {{folded.allow_by_default, "a"}};
  for (const DeviceRule& one : folded.exceptions) {
    writes.push_back(
        {!folded.allow_by_default, absl::StrCat(std::string(1, one.type), " ", Number(one.major),
                                                ":", Number(one.minor), " ", one.access)});
  }
  return writes;
}

}  // namespace noded::cgroup
