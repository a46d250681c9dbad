// Rules of mounts and devices.
#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "node/base/name.h"
#include "node/launch/namespaces.h"
#include "node/launch/paths.h"
#include "node/launch/quote.h"
#include "node/launch/validation.h"

namespace noded::launch {
namespace {

constexpr int64_t kMaxMounts = 4096;
constexpr int64_t kMaxDevices = 1024;

// Returns the clean target, empty when it is refused.
std::string CheckTarget(const std::string& target, const std::string& field, Findings& findings) {
  if (!findings.AbsolutePath(field, target)) return "";
  std::string clean = CleanPath(target);
  if (clean == "/") {
    findings.Add(field, "must not be \"/\"; use spec.root");
    return "";
  }
  if (clean == "/proc") {
    // The supervisor writes sysctls and masks there; another file system would make both a
    // pretence.
    findings.Add(field, "must not be \"/proc\"");
    return "";
  }
  return clean;
}

void CheckBind(const node::v1::Mount& mount, bool private_user, const std::string& field,
               Findings& findings) {
  const node::v1::BindMount& bind = mount.bind();
  findings.AbsolutePath(field + ".bind.source", bind.source());
  if (bind.recursive_read_only() && !mount.read_only()) {
    findings.Add(field + ".bind.recursive_read_only", "needs read_only");
  }
  const std::string propagation = field + ".bind.propagation";
  if (!node::v1::MountPropagation_IsValid(bind.propagation())) {
    findings.Add(propagation, absl::StrCat("unknown value ", bind.propagation()));
  }
  if (bind.propagation() == node::v1::MOUNT_PROPAGATION_SHARED && private_user) {
    // What its own root mounts there would appear on the host.
    findings.Add(propagation,
                 "MOUNT_PROPAGATION_SHARED cannot be combined with a private user namespace");
  }
}

void CheckTmpfs(const node::v1::TmpfsMount& tmpfs, const std::string& field, Findings& findings) {
  // tmpfs takes 0 as unlimited.
  if (tmpfs.has_size_bytes()) {
    findings.Range(field + ".tmpfs.size_bytes", tmpfs.size_bytes(), 1, INT64_MAX);
  }
  if (tmpfs.has_mode() && tmpfs.mode() > 07777) {
    findings.Add(field + ".tmpfs.mode", absl::StrCat(tmpfs.mode(), " must be 0 to 4095 (07777)"));
  }
}

void CheckVolume(const node::v1::VolumeMount& volume, const std::string& field,
                 Findings& findings) {
  if (!volume.name().empty() && !IsName(volume.name())) {
    findings.Add(field + ".volume.name", absl::StrCat(Quote(volume.name()), kNameRule));
  }
  if (!node::v1::MountPropagation_IsValid(volume.propagation())) {
    findings.Add(field + ".volume.propagation",
                 absl::StrCat("unknown value ", volume.propagation()));
  }
}

bool IsPermissions(const std::string& text) {
  std::set<char> seen;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c == 'r' || c == 'w' || c == 'm') && seen.insert(c).second;
  });
}

}  // namespace

void CheckMounts(const node::v1::ContainerSpec& spec, Findings& findings) {
  if (!findings.Count("spec.mounts", spec.mounts_size(), kMaxMounts)) return;
  const bool private_user = ResolveNamespaces(spec.namespaces()).private_user();
  std::set<std::string> seen;
  for (int i = 0; i < spec.mounts_size(); ++i) {
    const std::string field = Indexed("spec.mounts", i);
    const node::v1::Mount& mount = spec.mounts(i);
    std::string target = CheckTarget(mount.target(), field + ".target", findings);
    if (!target.empty() && !seen.insert(target).second) {
      findings.Add(field + ".target", absl::StrCat(Quote(target), " is mounted twice"));
    }
    switch (mount.source_case()) {
      case node::v1::Mount::kBind:
        CheckBind(mount, private_user, field, findings);
        break;
      case node::v1::Mount::kTmpfs:
        CheckTmpfs(mount.tmpfs(), field, findings);
        break;
      case node::v1::Mount::kVolume:
        CheckVolume(mount.volume(), field, findings);
        break;
      case node::v1::Mount::kImage:
        if (mount.image().image().empty()) findings.Add(field + ".image.image", "is required");
        break;
      default:
        findings.Add(field, "bind, tmpfs, volume or image is required");
    }
  }
}

void CheckDevices(const node::v1::ContainerSpec& spec, Findings& findings) {
  if (!findings.Count("spec.devices", spec.devices_size(), kMaxDevices)) return;
  std::set<std::string> seen;
  for (int i = 0; i < spec.devices_size(); ++i) {
    const std::string field = Indexed("spec.devices", i);
    const node::v1::Device& device = spec.devices(i);
    bool good = findings.AbsolutePath(field + ".host_path", device.host_path());
    if (!device.container_path().empty()) {
      good = findings.AbsolutePath(field + ".container_path", device.container_path()) && good;
    }
    const bool own_path = !device.container_path().empty();
    const std::string path_field = field + (own_path ? ".container_path" : ".host_path");
    std::string path = CleanPath(own_path ? device.container_path() : device.host_path());
    if (good && path == "/") findings.Add(path_field, "must not be \"/\"");
    if (good && !seen.insert(path).second) {
      findings.Add(path_field, absl::StrCat(Quote(path), " is there twice"));
    }
    if (!IsPermissions(device.permissions())) {
      findings.Add(field + ".permissions",
                   absl::StrCat(Quote(device.permissions()), " must be a subset of \"rwm\""));
    }
  }
}

}  // namespace noded::launch
