#include "node/host.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded {
namespace {

using node::v1::ContainerSpec;

constexpr char kCgroupRoot[] = "/sys/fs/cgroup";

absl::StatusOr<uint64_t> ReadPermittedCapabilities() {
  ASSIGN_OR_RETURN(std::string status, ReadFileAt(AT_FDCWD, "/proc/self/status"));
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    uint64_t mask = 0;
    if (absl::ConsumePrefix(&line, "CapPrm:") &&
        absl::SimpleHexAtoi(absl::StripAsciiWhitespace(line), &mask)) {
      return mask;
    }
  }
  return absl::InternalError("read \"/proc/self/status\": no CapPrm in it");
}

// Options of the superblock that name the hierarchy: "rw,cpu,cpuacct" → "cpu,cpuacct".
std::string HierarchyOptions(absl::string_view super_options) {
  std::vector<absl::string_view> kept;
  for (absl::string_view option : absl::StrSplit(super_options, ',')) {
    static const std::set<absl::string_view> kOthers = {
        "rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"};
    if (kOthers.count(option) != 0 || absl::StartsWith(option, "release_agent=")) continue;
    // A named hierarchy has no controllers, and mounting it must say so.
    if (absl::StartsWith(option, "name=")) kept.push_back("none");
    kept.push_back(option);
  }
  return absl::StrJoin(kept, ",");
}

bool IsDirectory(const struct stat& info) { return S_ISDIR(info.st_mode); }

using AtPath = std::function<void(const std::string&)>;

void CheckRoot(const ContainerSpec& spec, const AtPath& at, Violations& violations) {
  if (!spec.root().has_host_directory()) return;
  constexpr char kField[] = "spec.root.host_directory";
  const std::string& path = spec.root().host_directory();
  struct stat info;
  at(path);
  if (stat(path.c_str(), &info) != 0) {
    violations.Add(kField, absl::StrCat("\"", path, "\": ", ErrnoText(errno)));
  } else if (!IsDirectory(info)) {
    violations.Add(kField, absl::StrCat("\"", path, "\" is not a directory"));
  }
}

// The kernel makes a peer or slave of a private mount too, and then nothing ever propagates.
void CheckPropagation(const node::v1::BindMount& bind, int index, Violations& violations) {
  const bool shared = bind.propagation() == node::v1::MOUNT_PROPAGATION_SHARED;
  if (!shared && bind.propagation() != node::v1::MOUNT_PROPAGATION_SLAVE) return;
  struct statx info;
  absl::StatusOr<std::string> mountinfo = ReadFileAt(AT_FDCWD, "/proc/self/mountinfo");
  if (!mountinfo.ok() || statx(AT_FDCWD, bind.source().c_str(), 0, STATX_MNT_ID, &info) != 0 ||
      (info.stx_mask & STATX_MNT_ID) == 0) {
    return;
  }
  const std::string kind = ParsePropagation(*mountinfo, info.stx_mnt_id);
  if (absl::StrContains(kind, "shared:") || (!shared && absl::StrContains(kind, "master:"))) return;
  violations.Add(
      absl::StrCat("spec.mounts[", index, "].bind.propagation"),
      absl::StrCat("\"", bind.source(), "\" lies in a mount of the host that is not shared",
                   "; make it so with mount --make-shared"));
}

void CheckBindSources(const ContainerSpec& spec, const AtPath& at, Violations& violations) {
  for (int i = 0; i < spec.mounts_size(); ++i) {
    if (!spec.mounts(i).has_bind()) continue;
    const node::v1::BindMount& bind = spec.mounts(i).bind();
    struct stat info;
    at(bind.source());
    // A dangling symlink is a missing source too: what it points to is what would be mounted.
    if (stat(bind.source().c_str(), &info) == 0) {
      CheckPropagation(bind, i, violations);
      continue;
    }
    if (bind.create_source() && errno == ENOENT) continue;
    violations.Add(absl::StrCat("spec.mounts[", i, "].bind.source"),
                   absl::StrCat("\"", bind.source(), "\": ", ErrnoText(errno)));
  }
}

absl::StatusOr<launch::ResolvedDevice> ResolveDevice(const node::v1::Device& device,
                                                     const std::string& field) {
  struct stat info;
  if (stat(device.host_path().c_str(), &info) != 0) {
    return InvalidField(field, absl::StrCat("\"", device.host_path(), "\": ", ErrnoText(errno)));
  }
  if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) {
    return InvalidField(field, absl::StrCat("\"", device.host_path(), "\" is not a device"));
  }
  launch::ResolvedDevice resolved;
  resolved.host_path = device.host_path();
  resolved.container_path =
      device.container_path().empty() ? device.host_path() : device.container_path();
  resolved.mode = info.st_mode;
  resolved.major = major(info.st_rdev);
  resolved.minor = minor(info.st_rdev);
  resolved.uid = info.st_uid;
  resolved.gid = info.st_gid;
  resolved.permissions = device.permissions().empty() ? "rwm" : device.permissions();
  return resolved;
}

absl::StatusOr<launch::BlockDevice> ResolveBlockDevice(const std::string& device,
                                                       const std::string& field) {
  std::string number = device;
  if (device.starts_with("/")) {
    struct stat info;
    if (stat(device.c_str(), &info) != 0) {
      return InvalidField(field, absl::StrCat("\"", device, "\": ", ErrnoText(errno)));
    }
    if (!S_ISBLK(info.st_mode)) {
      return InvalidField(field, absl::StrCat("\"", device, "\" is not a block device"));
    }
    number = absl::StrCat(major(info.st_rdev), ":", minor(info.st_rdev));
  }
  const std::string directory = absl::StrCat("/sys/dev/block/", number);
  if (access(directory.c_str(), F_OK) != 0) {
    return InvalidField(field, absl::StrCat("\"", device, "\": no such block device"));
  }
  if (access(absl::StrCat(directory, "/partition").c_str(), F_OK) == 0) {
    return InvalidField(
        field, absl::StrCat("\"", device, "\" is a partition; only whole disks have limits"));
  }
  std::pair<std::string, std::string> parts = absl::StrSplit(number, ':');
  launch::BlockDevice resolved;
  if (!absl::SimpleAtoi(parts.first, &resolved.major) ||
      !absl::SimpleAtoi(parts.second, &resolved.minor)) {
    return InvalidField(field, absl::StrCat("\"", device, "\" must be major:minor or a path"));
  }
  return resolved;
}

std::string DeviceField(int index) { return absl::StrCat("spec.devices[", index, "].host_path"); }
std::string DiskField(int index) {
  return absl::StrCat("spec.limits.block_io.devices[", index, "].device");
}

void AddLimitPaths(const ContainerSpec& spec, const AtPath& at, Violations& violations) {
  auto add = [&violations](const absl::Status& status) {
    for (const FieldViolation& one : FieldViolationsOf(status)) {
      violations.Add(one.field, one.description);
    }
  };
  for (int i = 0; i < spec.devices_size(); ++i) {
    at(spec.devices(i).host_path());
    add(ResolveDevice(spec.devices(i), DeviceField(i)).status());
  }
  const node::v1::BlockIoLimits& block_io = spec.limits().block_io();
  for (int i = 0; i < block_io.devices_size(); ++i) {
    at(block_io.devices(i).device());
    add(ResolveBlockDevice(block_io.devices(i).device(), DiskField(i)).status());
  }
}

}  // namespace

std::vector<launch::CgroupMount> ParseCgroupMounts(const std::string& mountinfo) {
  std::vector<launch::CgroupMount> mounts;
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    // "… <mount point> <options> [fields…] - <type> <source> <super options>" (proc(5))
    std::vector<absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2) continue;
    std::vector<absl::string_view> left = absl::StrSplit(halves[0], ' ');
    std::vector<absl::string_view> right = absl::StrSplit(halves[1], ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    bool v1 = right[0] == "cgroup";
    if (!v1 && right[0] != "cgroup2") continue;
    // Elsewhere it is somebody's second view of what is shown there already.
    if (left[4] != kCgroupRoot && !absl::StartsWith(left[4], absl::StrCat(kCgroupRoot, "/"))) {
      continue;
    }
    mounts.push_back({std::string(right[0]), std::string(left[4]),
                      v1 ? HierarchyOptions(right[2]) : std::string()});
  }
  return mounts;
}

std::string ParsePropagation(const std::string& mountinfo, uint64_t mount_id) {
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    // "<id> <parent> <device> <root> <mount point> <options> [fields…] - …" (proc(5))
    std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    uint64_t id = 0;
    if (!absl::SimpleAtoi(words[0], &id) || id != mount_id) continue;
    std::vector<absl::string_view> kinds;
    for (size_t i = 6; i < words.size() && words[i] != "-"; ++i) {
      if (absl::StartsWith(words[i], "shared:") || absl::StartsWith(words[i], "master:")) {
        kinds.push_back(words[i]);
      }
    }
    return absl::StrJoin(kinds, " ");
  }
  return "";
}

absl::StatusOr<launch::HostFacts> ReadHostFacts(uint64_t open_files) {
  launch::HostFacts facts;
  ASSIGN_OR_RETURN(std::string mountinfo, ReadFileAt(AT_FDCWD, "/proc/self/mountinfo"));
  facts.cgroup_mounts = ParseCgroupMounts(mountinfo);
  ASSIGN_OR_RETURN(facts.own_capabilities, ReadPermittedCapabilities());
  ASSIGN_OR_RETURN(std::string last, ReadFileAt(AT_FDCWD, "/proc/sys/kernel/cap_last_cap"));
  if (!absl::SimpleAtoi(last, &facts.last_capability)) {
    return absl::InternalError("read \"/proc/sys/kernel/cap_last_cap\": not a number");
  }
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return ErrnoStatus(errno, "read the limit of files");
  facts.open_files_soft = open_files > 0 ? open_files : files.rlim_cur;
  facts.open_files_hard = files.rlim_max;
  return facts;
}

absl::StatusOr<std::string> ReadBootId() {
  ASSIGN_OR_RETURN(std::string id, ReadFileAt(AT_FDCWD, "/proc/sys/kernel/random/boot_id"));
  absl::StripAsciiWhitespace(&id);
  return id;
}

std::vector<std::string> HostPaths(const ContainerSpec& spec) {
  std::vector<std::string> paths;
  if (spec.root().has_host_directory()) paths.push_back(spec.root().host_directory());
  for (const node::v1::Mount& mount : spec.mounts()) {
    if (mount.has_bind()) paths.push_back(mount.bind().source());
  }
  for (const node::v1::Device& device : spec.devices()) paths.push_back(device.host_path());
  for (const node::v1::BlockIoDeviceLimit& limit : spec.limits().block_io().devices()) {
    if (limit.device().starts_with("/")) paths.push_back(limit.device());
  }
  return paths;
}

absl::Status CheckHostPaths(const ContainerSpec& spec, const AtPath& at) {
  Violations violations;
  CheckRoot(spec, at, violations);
  CheckBindSources(spec, at, violations);
  AddLimitPaths(spec, at, violations);
  return violations.ToStatus();
}

absl::Status CheckLimitPathsOf(const ContainerSpec& spec, const AtPath& at) {
  Violations violations;
  AddLimitPaths(spec, at, violations);
  return violations.ToStatus();
}

absl::Status MakeBindSources(const ContainerSpec& spec) {
  for (const node::v1::Mount& mount : spec.mounts()) {
    if (!mount.has_bind() || !mount.bind().create_source()) continue;
    struct stat info;
    if (stat(mount.bind().source().c_str(), &info) == 0) continue;
    RETURN_IF_ERROR(MakeDirs(mount.bind().source()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<launch::ResolvedDevice>> ResolveDevices(const ContainerSpec& spec) {
  std::vector<launch::ResolvedDevice> devices;
  for (int i = 0; i < spec.devices_size(); ++i) {
    ASSIGN_OR_RETURN(launch::ResolvedDevice device, ResolveDevice(spec.devices(i), DeviceField(i)));
    devices.push_back(std::move(device));
  }
  return devices;
}

absl::StatusOr<std::vector<launch::BlockDevice>> ResolveBlockDevices(
    const node::v1::Limits& limits) {
  std::vector<launch::BlockDevice> devices;
  for (int i = 0; i < limits.block_io().devices_size(); ++i) {
    ASSIGN_OR_RETURN(launch::BlockDevice device,
                     ResolveBlockDevice(limits.block_io().devices(i).device(), DiskField(i)));
    for (const launch::BlockDevice& other : devices) {
      // By path and by numbers, or by two paths: which of the rates would hold?
      if (other.major != device.major || other.minor != device.minor) continue;
      return InvalidField(DiskField(i), absl::StrCat("\"", limits.block_io().devices(i).device(),
                                                     "\" is there already by another name"));
    }
    devices.push_back(device);
  }
  return devices;
}

}  // namespace noded
