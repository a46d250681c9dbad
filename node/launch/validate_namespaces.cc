// Rules of namespaces, id maps, and the sysctls that belong to namespaces.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "node/launch/namespaces.h"
#include "node/launch/quote.h"
#include "node/launch/validation.h"

namespace noded::launch {
namespace {

using node::v1::IdMap;
using node::v1::Namespace;

using IdMaps = google::protobuf::RepeatedPtrField<IdMap>;

void CheckNamespace(const Namespace& one, const std::string& field, bool joinable,
                    Findings& findings) {
  const bool other = one.mode() == node::v1::NAMESPACE_MODE_CONTAINER;
  if (!node::v1::NamespaceMode_IsValid(one.mode())) {
    findings.Add(field + ".mode", absl::StrCat("unknown value ", one.mode()));
  } else if (other && !joinable) {
    findings.Add(field + ".mode",
                 "must be private or the host's; another container's cannot be taken");
  } else if (other && one.container().empty()) {
    findings.Add(field + ".container", "is required with NAMESPACE_MODE_CONTAINER");
  } else if (!other && !one.container().empty()) {
    findings.Add(field + ".container", "must be empty unless mode is NAMESPACE_MODE_CONTAINER");
  }
  findings.Text(field + ".container", one.container(), 128);
}

// Half-open ranges that share an id.
bool Overlap(uint64_t a, uint64_t b, uint64_t a_size, uint64_t b_size) {
  return a < b + b_size && b < a + a_size;
}

void CheckIdMaps(const IdMaps& maps, const std::string& field, Findings& findings) {
  if (maps.empty()) {
    findings.Add(field, "is required when the user namespace is private");
    return;
  }
  if (!findings.Count(field, maps.size(), 340)) return;  // the kernel's own bound
  bool zero = false;
  for (int i = 0; i < maps.size(); ++i) {
    const std::string map_field = Indexed(field, i);
    const IdMap& map = maps[i];
    zero = zero || (map.container_id() == 0 && map.size() > 0);
    if (map.size() == 0) findings.Add(map_field + ".size", "0 must be 1 or more");
    for (uint64_t first : {map.container_id(), map.host_id()}) {
      if (first + map.size() <= UINT32_MAX) continue;
      findings.Add(map_field + ".size",
                   absl::StrCat("the range must end at ", UINT32_MAX - 1, " or below"));
      break;
    }
    for (int j = 0; j < i; ++j) {
      if (Overlap(map.container_id(), maps[j].container_id(), map.size(), maps[j].size())) {
        findings.Add(map_field + ".container_id", absl::StrCat("overlaps ", Indexed(field, j)));
      }
      if (Overlap(map.host_id(), maps[j].host_id(), map.size(), maps[j].size())) {
        findings.Add(map_field + ".host_id", absl::StrCat("overlaps ", Indexed(field, j)));
      }
    }
  }
  if (!zero) findings.Add(field, "container id 0 must be mapped");
}

// Only the owner of a pid, network or ipc namespace may mount what belongs to it, and another
// container's belongs to another user namespace.
void CheckPrivateUser(const node::v1::Namespaces& namespaces, Findings& findings) {
  const std::pair<const char*, const Namespace&> joined[] = {
      {"pid", namespaces.pid()}, {"network", namespaces.network()}, {"ipc", namespaces.ipc()}};
  for (const auto& [name, one] : joined) {
    if (one.mode() != node::v1::NAMESPACE_MODE_CONTAINER) continue;
    findings.Add(absl::StrCat("spec.namespaces.", name, ".mode"),
                 "another container's cannot be combined with a private user namespace");
  }
  CheckIdMaps(namespaces.uid_maps(), "spec.namespaces.uid_maps", findings);
  CheckIdMaps(namespaces.gid_maps(), "spec.namespaces.gid_maps", findings);
}

enum class Owner { kNetwork, kIpc, kUts, kNone };

Owner OwnerOf(std::string_view name) {
  constexpr std::array<std::string_view, 8> kIpc = {
      "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
      "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
  if (name.starts_with("net.")) return Owner::kNetwork;
  if (name.starts_with("fs.mqueue.")) return Owner::kIpc;
  if (std::find(kIpc.begin(), kIpc.end(), name) != kIpc.end()) return Owner::kIpc;
  if (name == "kernel.domainname") return Owner::kUts;
  return Owner::kNone;
}

// Letters, digits and the few signs of interface names. Every part between dots is a file name
// below /proc/sys.
bool IsSysctlName(const std::string& name) {
  for (const auto& part : absl::StrSplit(name, '.')) {
    if (part.empty() || part == "/" || part == "//") return false;
    for (char c : part) {
      if (!absl::ascii_isalnum(c) && std::string_view("_-/@:").find(c) == std::string_view::npos) {
        return false;
      }
    }
  }
  return true;
}

void CheckSysctl(const std::string& name, const NamespaceModes& modes, const std::string& field,
                 Findings& findings) {
  if (!IsSysctlName(name)) {
    findings.Add(field, "must be a name like \"net.core.somaxconn\"");
    return;
  }
  if (name == "kernel.hostname") {
    findings.Add(field, "use spec.hostname");
    return;
  }
  constexpr node::v1::NamespaceMode kHost = node::v1::NAMESPACE_MODE_HOST;
  switch (OwnerOf(name)) {
    case Owner::kNone:
      findings.Add(
          field,
          "must belong to a namespace of the container: net.*, fs.mqueue.*, kernel.domainname, "
          "or one of the kernel.msg*, kernel.sem and kernel.shm* parameters");
      break;
    case Owner::kNetwork:
      if (modes.network == kHost)
        findings.Add(field, "must not be set in the host's network namespace");
      break;
    case Owner::kIpc:
      if (modes.ipc == kHost) findings.Add(field, "must not be set in the host's ipc namespace");
      break;
    case Owner::kUts:
      if (modes.uts == kHost) findings.Add(field, "must not be set in the host's uts namespace");
      break;
  }
}

}  // namespace

void CheckNamespaces(const node::v1::ContainerSpec& spec, Findings& findings) {
  const node::v1::Namespaces& namespaces = spec.namespaces();
  CheckNamespace(namespaces.pid(), "spec.namespaces.pid", true, findings);
  CheckNamespace(namespaces.network(), "spec.namespaces.network", true, findings);
  CheckNamespace(namespaces.ipc(), "spec.namespaces.ipc", true, findings);
  CheckNamespace(namespaces.uts(), "spec.namespaces.uts", true, findings);
  CheckNamespace(namespaces.cgroup(), "spec.namespaces.cgroup", false, findings);
  CheckNamespace(namespaces.user(), "spec.namespaces.user", false, findings);
  if (ResolveNamespaces(namespaces).private_user()) {
    CheckPrivateUser(namespaces, findings);
    return;
  }
  if (!namespaces.uid_maps().empty()) {
    findings.Add("spec.namespaces.uid_maps", "must be empty unless the user namespace is private");
  }
  if (!namespaces.gid_maps().empty()) {
    findings.Add("spec.namespaces.gid_maps", "must be empty unless the user namespace is private");
  }
}

void CheckSysctls(const node::v1::ContainerSpec& spec, Findings& findings) {
  constexpr size_t kMaxValueBytes = 4095;  // one page, which the kernel takes at once
  const NamespaceModes modes = ResolveNamespaces(spec.namespaces());
  findings.Count("spec.sysctls", spec.sysctls_size(), 1024);
  std::vector<std::string> names;
  for (const auto& [name, value] : spec.sysctls()) names.push_back(name);
  std::sort(names.begin(), names.end());  // a map has no order; messages do
  for (const std::string& name : names) {
    const std::string field = absl::StrCat("spec.sysctls[", Quote(name), "]");
    if (!findings.Text("spec.sysctls", name, 255)) continue;
    CheckSysctl(name, modes, field, findings);
    const std::string& value = spec.sysctls().at(name);
    if (value.empty()) findings.Add(field, "value must not be empty");
    findings.Text(field, value, kMaxValueBytes);
  }
}

}  // namespace noded::launch
