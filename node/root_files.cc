#include "node/root_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded {
namespace {

using node::v1::ContainerSpec;

constexpr mode_t kFileMode = 0644;

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) != 0) {
    return ErrnoStatus(errno, absl::StrCat("make directory \"", path, "\""));
  }
  return absl::OkStatus();
}

absl::Status MakeWritableLayer(const RootFiles& files, const std::string& root) {
  // The mode of upper is that of "/" inside.
  RETURN_IF_ERROR(MakeDirectory(files.upper, 0755));
  RETURN_IF_ERROR(MakeDirectory(files.work, 0700));
  struct stat info;
  if (stat(root.c_str(), &info) == 0 && chmod(files.upper.c_str(), info.st_mode & 07777) != 0) {
    return ErrnoStatus(errno, absl::StrCat("set mode of \"", files.upper, "\""));
  }
  return absl::OkStatus();
}

// A missing file of the host is an empty one.
std::string Copy(const std::string& path) {
  absl::StatusOr<std::string> content = ReadFileAt(AT_FDCWD, path, 1 << 20);
  return content.ok() ? *content : "";
}

// Into a directory that has just been made.
absl::Status WriteFile(const std::string& path, const std::string& content) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, kFileMode));
  // The mode given to open is cut by the umask.
  if (fchmod(fd.get(), kFileMode) != 0) {
    return ErrnoStatus(errno, absl::StrCat("set mode of \"", path, "\""));
  }
  return Annotate(WriteAll(fd.get(), content), absl::StrCat("write \"", path, "\""));
}

bool HasHostNetwork(const ContainerSpec& spec) {
  return spec.namespaces().network().mode() == node::v1::NAMESPACE_MODE_HOST;
}

std::string ExtraHosts(const ContainerSpec& spec) {
  std::string lines;
  for (const std::string& line : spec.extra_hosts()) absl::StrAppend(&lines, line, "\n");
  return lines;
}

}  // namespace

std::string HostsFile(const ContainerSpec& spec, const std::string& hostname) {
  // The own name resolves to loopback, the one address that every private network has.
  return absl::StrCat(
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "127.0.1.1\t",
      hostname, "\n", ExtraHosts(spec));
}

absl::Status MakeRootFiles(const RootFiles& files, const ContainerSpec& spec,
                           const std::string& root, const std::string& hostname,
                           const std::string& shared_etc) {
  // With a read-only root too: mount points that the root lacks are made there before it is closed.
  RETURN_IF_ERROR(MakeWritableLayer(files, root));
  RETURN_IF_ERROR(MakeDirectory(files.log, 0700));
  RETURN_IF_ERROR(MakeDirectory(files.etc, 0755));
  std::string hosts = HostsFile(spec, hostname);
  std::string resolv_conf = Copy("/etc/resolv.conf");
  // Who shares a network must see the names of that network.
  if (HasHostNetwork(spec)) {
    hosts = absl::StrCat(Copy("/etc/hosts"), ExtraHosts(spec));
  } else if (!shared_etc.empty()) {
    hosts = absl::StrCat(Copy(shared_etc + "/hosts"), ExtraHosts(spec));
    resolv_conf = Copy(shared_etc + "/resolv.conf");
  }
  RETURN_IF_ERROR(WriteFile(files.hosts, hosts));
  RETURN_IF_ERROR(WriteFile(files.resolv_conf, resolv_conf));
  return WriteFile(files.hostname, absl::StrCat(hostname, "\n"));
}

}  // namespace noded
