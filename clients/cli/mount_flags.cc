#include "clients/cli/mount_flags.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clients/cli/quantity.h"

namespace noded::cli {
namespace {

using node::v1::BindMount;
using node::v1::Device;
using node::v1::Mount;
using node::v1::MountPropagation;

constexpr char kVolumeForm[] =
    "[SOURCE:]TARGET[:ro,rw,rro,rprivate,rslave,rshared], or of a volume [:ro,rw,nocopy]";
constexpr char kMountForm[] = "type=bind|volume|tmpfs|image,source=…,target=…";
constexpr char kTmpfsForm[] = "TARGET[:size=64m,mode=1777,exec,ro]";
constexpr char kDeviceForm[] = "HOST[:CONTAINER][:rwm]";

absl::Status Refuse(absl::string_view text, absl::string_view what, absl::string_view form) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": ", what, "; the form is ", form));
}

std::optional<MountPropagation> PropagationNamed(absl::string_view name) {
  if (name == "private" || name == "rprivate") return node::v1::MOUNT_PROPAGATION_PRIVATE;
  if (name == "slave" || name == "rslave") return node::v1::MOUNT_PROPAGATION_SLAVE;
  if (name == "shared" || name == "rshared") return node::v1::MOUNT_PROPAGATION_SHARED;
  return std::nullopt;
}

// SELinux labels and the file sharing of other systems: no such thing here, and existing command
// lines say them.
bool IsWithoutEffect(absl::string_view option) {
  return option == "z" || option == "Z" || option == "cached" || option == "delegated" ||
         option == "consistent";
}

// One option of -v. False: there is no such option.
bool ApplyVolumeOption(absl::string_view option, Mount& mount) {
  if (option == "ro" || option == "readonly") {
    mount.set_read_only(true);
  } else if (option == "rro" && mount.has_bind()) {
    mount.set_read_only(true);
    mount.mutable_bind()->set_recursive_read_only(true);
  } else if (option == "nocopy" && mount.has_volume()) {
    mount.mutable_volume()->set_no_copy(true);
  } else if (auto propagation = PropagationNamed(option)) {
    if (mount.has_bind()) {
      mount.mutable_bind()->set_propagation(*propagation);
    } else {
      mount.mutable_volume()->set_propagation(*propagation);
    }
  } else {
    return option == "rw" || IsWithoutEffect(option);
  }
  return true;
}

absl::StatusOr<uint32_t> ParseMode(absl::string_view text) {
  uint32_t mode = 0;
  bool octal = !text.empty() && text.size() <= 5;
  for (char digit : text) {
    octal = octal && digit >= '0' && digit <= '7';
    mode = mode * 8 + static_cast<uint32_t>(digit - '0');
  }
  if (!octal || mode > 07777) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not an octal mode such as 1777"));
  }
  return mode;
}

absl::Status ApplyTmpfsOption(absl::string_view option, Mount& mount) {
  std::pair<absl::string_view, absl::string_view> pair =
      absl::StrSplit(option, absl::MaxSplits('=', 1));
  if (pair.first == "size") {
    absl::StatusOr<int64_t> size = ParseSize(pair.second);
    if (!size.ok()) return size.status();
    mount.mutable_tmpfs()->set_size_bytes(*size);
  } else if (pair.first == "mode") {
    absl::StatusOr<uint32_t> mode = ParseMode(pair.second);
    if (!mode.ok()) return mode.status();
    mount.mutable_tmpfs()->set_mode(*mode);
  } else if (option == "exec" || option == "noexec") {
    mount.mutable_tmpfs()->set_exec(option == "exec");
  } else if (option == "ro" || option == "rw") {
    mount.set_read_only(option == "ro");
  } else if (option != "nosuid" && option != "nodev") {  // these two always hold
    return Refuse(option, "no such option", kTmpfsForm);
  }
  return absl::OkStatus();
}

// Whether "ro", "ro=true" or "ro=false"; INVALID_ARGUMENT for another value.
absl::StatusOr<bool> ParseSwitch(absl::string_view key, absl::string_view value) {
  bool on = true;
  if (value.empty() || absl::SimpleAtob(value, &on)) return on;
  return absl::InvalidArgumentError(absl::StrCat(key, " is true or false, not \"", value, "\""));
}

// The parts of --mount before they are put together, because type may come last.
struct MountParts {
  std::string type = "volume";
  std::string source;
  std::string target;
  bool read_only = false;
  Mount bind_options;    // what bind-… said
  Mount tmpfs_options;   // what tmpfs-… said
  Mount volume_options;  // what volume-… said
};

absl::Status ApplyMountField(absl::string_view key, absl::string_view value, MountParts& parts) {
  BindMount& bind = *parts.bind_options.mutable_bind();
  if (key == "type") {
    parts.type = std::string(value);
  } else if (key == "source" || key == "src") {
    parts.source = std::string(value);
  } else if (key == "target" || key == "dst" || key == "destination") {
    parts.target = std::string(value);
  } else if (key == "readonly" || key == "ro") {
    absl::StatusOr<bool> on = ParseSwitch(key, value);
    if (!on.ok()) return on.status();
    parts.read_only = *on;
  } else if (key == "bind-propagation") {
    auto propagation = PropagationNamed(value);
    if (!propagation) return Refuse(value, "no such propagation", "rprivate, rslave or rshared");
    bind.set_propagation(*propagation);
  } else if (key == "bind-nonrecursive") {
    absl::StatusOr<bool> on = ParseSwitch(key, value);
    if (!on.ok()) return on.status();
    bind.set_non_recursive(*on);
  } else if (key == "bind-recursive") {
    if (value == "disabled") bind.set_non_recursive(true);
    if (value == "readonly") bind.set_recursive_read_only(true);
    if (value != "disabled" && value != "readonly" && value != "enabled" && value != "writable") {
      return Refuse(value, "no such recursion", "enabled, disabled, writable or readonly");
    }
  } else if (key == "volume-nocopy") {
    absl::StatusOr<bool> on = ParseSwitch(key, value);
    if (!on.ok()) return on.status();
    parts.volume_options.mutable_volume()->set_no_copy(*on);
  } else if (key == "tmpfs-size" || key == "tmpfs-mode") {
    return ApplyTmpfsOption(absl::StrCat(key.substr(6), "=", value), parts.tmpfs_options);
  } else if (key != "consistency") {
    return absl::InvalidArgumentError(absl::StrCat("\"", key, "\": no such key"));
  }
  return absl::OkStatus();
}

// As the API has names of volumes.
bool IsVolumeName(absl::string_view name) {
  return absl::ascii_isalnum(name[0]) && std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-';
         });
}

// Of the type that was said, less what all types have.
absl::StatusOr<Mount> PutTogether(absl::string_view text, const MountParts& parts,
                                  absl::string_view working_directory) {
  Mount mount;
  if ((parts.type == "bind" || parts.type == "image") && parts.source.empty()) {
    return Refuse(text, "source is needed", kMountForm);
  }
  if (parts.type == "bind") {
    mount = parts.bind_options;
    mount.mutable_bind()->set_source(AbsolutePath(parts.source, working_directory));
  } else if (parts.type == "volume") {
    mount = parts.volume_options;
    mount.mutable_volume()->set_name(parts.source);
  } else if (parts.type == "tmpfs") {
    if (!parts.source.empty()) return Refuse(text, "a tmpfs has no source", kMountForm);
    mount = parts.tmpfs_options;
    mount.mutable_tmpfs();
  } else if (parts.type == "image") {
    mount.mutable_image()->set_image(parts.source);
  } else {
    return Refuse(text, absl::StrCat("no type \"", parts.type, "\""), kMountForm);
  }
  return mount;
}

}  // namespace

std::string AbsolutePath(absl::string_view path, absl::string_view working_directory) {
  if (absl::StartsWith(path, "/")) return std::string(path);
  while (absl::StartsWith(path, "./")) path.remove_prefix(2);
  if (path.empty() || path == ".") return std::string(working_directory);
  return absl::StrCat(working_directory == "/" ? "" : working_directory, "/", path);
}

absl::StatusOr<Mount> ParseVolume(absl::string_view text, absl::string_view working_directory) {
  std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  Mount mount;
  if (parts.size() == 1 && absl::StartsWith(text, "/")) {
    mount.set_target(std::string(text));
    mount.mutable_volume();  // without a name: an anonymous one
    return mount;
  }
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() || parts[1].empty()) {
    return Refuse(text, "a source and a target are needed", kVolumeForm);
  }
  mount.set_target(std::string(parts[1]));
  if (parts[0][0] == '/' || parts[0][0] == '.') {
    mount.mutable_bind()->set_source(AbsolutePath(parts[0], working_directory));
    mount.mutable_bind()->set_create_source(true);
  } else if (IsVolumeName(parts[0])) {
    mount.mutable_volume()->set_name(std::string(parts[0]));
  } else {
    return Refuse(text,
                  absl::StrCat("\"", parts[0],
                               "\" is neither a volume's name nor a path, such as /data or ./data"),
                  kVolumeForm);
  }
  if (parts.size() == 3) {
    for (absl::string_view option : absl::StrSplit(parts[2], ',')) {
      if (!ApplyVolumeOption(option, mount)) {
        return Refuse(text, absl::StrCat("no option \"", option, "\""), kVolumeForm);
      }
    }
  }
  return mount;
}

absl::StatusOr<Mount> ParseMount(absl::string_view text, absl::string_view working_directory) {
  MountParts parts;
  for (absl::string_view field : absl::StrSplit(text, ',')) {
    std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(field, absl::MaxSplits('=', 1));
    absl::Status status = ApplyMountField(pair.first, pair.second, parts);
    if (!status.ok()) return status;
  }
  if (parts.target.empty()) return Refuse(text, "target is needed", kMountForm);
  absl::StatusOr<Mount> mount = PutTogether(text, parts, working_directory);
  if (!mount.ok()) return mount;
  mount->set_target(parts.target);
  mount->set_read_only(parts.read_only);
  return mount;
}

absl::StatusOr<Mount> ParseTmpfs(absl::string_view text) {
  std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  if (parts.first.empty()) return Refuse(text, "a target is needed", kTmpfsForm);
  Mount mount;
  mount.set_target(std::string(parts.first));
  mount.mutable_tmpfs();
  for (absl::string_view option : absl::StrSplit(parts.second, ',', absl::SkipEmpty())) {
    absl::Status status = ApplyTmpfsOption(option, mount);
    if (!status.ok()) return status;
  }
  return mount;
}

absl::StatusOr<Device> ParseDevice(absl::string_view text) {
  std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  if (text.empty()) return Refuse(text, "not a device", kDeviceForm);
  Device device;
  device.set_host_path(std::string(parts[0]));
  parts.erase(parts.begin());
  if (!parts.empty() && absl::StartsWith(parts[0], "/")) {
    device.set_container_path(std::string(parts[0]));
    parts.erase(parts.begin());
  }
  if (!parts.empty() && !parts[0].empty() &&
      parts[0].find_first_not_of("rwm") == absl::string_view::npos) {
    device.set_permissions(std::string(parts[0]));
    parts.erase(parts.begin());
  }
  if (!parts.empty() || !absl::StartsWith(device.host_path(), "/")) {
    return Refuse(text, "not a device", kDeviceForm);
  }
  return device;
}

}  // namespace noded::cli
