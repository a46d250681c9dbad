// The rules of a spec, one function per part of it. Each adds every violation that it finds, with a
// text that says the rule and the allowed range. Internal to node/launch; pure and
// thread-compatible.
#ifndef NODE_LAUNCH_VALIDATION_H_
#define NODE_LAUNCH_VALIDATION_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "node/base/status.h"
#include "node/v1/container.pb.h"

namespace noded::launch {

// Violations found so far, at most 32 of them: the answer is a few kB whatever the request was.
class Findings {
 public:
  void Add(std::string_view field, std::string_view description);
  bool empty() const { return violations_.empty(); }
  absl::Status ToStatus() const { return violations_.ToStatus(); }

  // Each of the following adds a violation and returns false when the rule is broken.

  // At most `max_bytes` and no NUL byte, which would end it early for the kernel.
  bool Text(std::string_view field, std::string_view value, size_t max_bytes);
  // Absolute, without "..", of a length that the kernel takes.
  bool AbsolutePath(std::string_view field, std::string_view value);
  bool Range(std::string_view field, int64_t value, int64_t least, int64_t most);
  // At most `most` entries.
  bool Count(std::string_view field, int64_t count, int64_t most);

 private:
  Violations violations_;
  int count_ = 0;
};

// "spec.mounts[2]".
std::string Indexed(std::string_view field, int index);

void CheckProcess(const node::v1::Process& process, const std::string& field, Findings& findings);
void CheckNamespaces(const node::v1::ContainerSpec& spec, Findings& findings);
void CheckSysctls(const node::v1::ContainerSpec& spec, Findings& findings);
void CheckMounts(const node::v1::ContainerSpec& spec, Findings& findings);
void CheckDevices(const node::v1::ContainerSpec& spec, Findings& findings);
void CheckLimits(const node::v1::Limits& limits, Findings& findings);
void CheckSecurity(const node::v1::Security& security, Findings& findings);

}  // namespace noded::launch

#endif  // NODE_LAUNCH_VALIDATION_H_
