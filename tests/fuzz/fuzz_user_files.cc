// libs: rootfs_mount
// A container's /etc/passwd and /etc/group, which its image may fill with anything.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "rootfs/mount/user.h"

// Input: name, newline, additional group, newline, passwd up to a NUL, group.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  auto cut = [&rest](char separator) {
    size_t end = rest.find(separator);
    std::string_view part = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return part;
  };
  node::shim::v1::UserPlan plan;
  plan.set_name(std::string(cut('\n')));
  std::string additional(cut('\n'));
  if (!additional.empty()) plan.add_additional_groups(additional);
  std::string_view passwd = cut('\0');
  noded::mount::User user;
  noded::mount::Result result = noded::mount::ResolveUser(plan, passwd, rest, &user);
  // set*id(2) take it for "unchanged", which would leave root.
  if (result.ok() && (user.uid == UINT32_MAX || user.gid == UINT32_MAX)) abort();
  for (uint32_t group : user.groups) {
    if (result.ok() && group == UINT32_MAX) abort();
  }
  return 0;
}
