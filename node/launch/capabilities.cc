#include "node/launch/capabilities.h"

#include <linux/capability.h>

#include <array>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "node/launch/namespaces.h"
#include "node/launch/quote.h"

namespace noded::launch {
namespace {

// By number, in linux/capability.h's order.
constexpr std::array<std::string_view, CAP_LAST_CAP + 1> kNames = {"CHOWN",
                                                                   "DAC_OVERRIDE",
                                                                   "DAC_READ_SEARCH",
                                                                   "FOWNER",
                                                                   "FSETID",
                                                                   "KILL",
                                                                   "SETGID",
                                                                   "SETUID",
                                                                   "SETPCAP",
                                                                   "LINUX_IMMUTABLE",
                                                                   "NET_BIND_SERVICE",
                                                                   "NET_BROADCAST",
                                                                   "NET_ADMIN",
                                                                   "NET_RAW",
                                                                   "IPC_LOCK",
                                                                   "IPC_OWNER",
                                                                   "SYS_MODULE",
                                                                   "SYS_RAWIO",
                                                                   "SYS_CHROOT",
                                                                   "SYS_PTRACE",
                                                                   "SYS_PACCT",
                                                                   "SYS_ADMIN",
                                                                   "SYS_BOOT",
                                                                   "SYS_NICE",
                                                                   "SYS_RESOURCE",
                                                                   "SYS_TIME",
                                                                   "SYS_TTY_CONFIG",
                                                                   "MKNOD",
                                                                   "LEASE",
                                                                   "AUDIT_WRITE",
                                                                   "AUDIT_CONTROL",
                                                                   "SETFCAP",
                                                                   "MAC_OVERRIDE",
                                                                   "MAC_ADMIN",
                                                                   "SYSLOG",
                                                                   "WAKE_ALARM",
                                                                   "BLOCK_SUSPEND",
                                                                   "AUDIT_READ",
                                                                   "PERFMON",
                                                                   "BPF",
                                                                   "CHECKPOINT_RESTORE"};

constexpr uint64_t Bit(int capability) { return uint64_t{1} << capability; }

// Docker's 14.
constexpr uint64_t kDefaultCapabilities =
    Bit(CAP_CHOWN) | Bit(CAP_DAC_OVERRIDE) | Bit(CAP_FSETID) | Bit(CAP_FOWNER) | Bit(CAP_MKNOD) |
    Bit(CAP_NET_RAW) | Bit(CAP_SETGID) | Bit(CAP_SETUID) | Bit(CAP_SETFCAP) | Bit(CAP_SETPCAP) |
    Bit(CAP_NET_BIND_SERVICE) | Bit(CAP_SYS_CHROOT) | Bit(CAP_KILL) | Bit(CAP_AUDIT_WRITE);

bool IsAll(const std::string& name) { return absl::EqualsIgnoreCase(name, "ALL"); }

// Those named one by one, "ALL" left out.
uint64_t Named(const google::protobuf::RepeatedPtrField<std::string>& names) {
  uint64_t set = 0;
  for (const std::string& name : names) {
    if (std::optional<int> number = CapabilityNumber(name)) set |= Bit(*number);
  }
  return set;
}

bool NamesAll(const google::protobuf::RepeatedPtrField<std::string>& names) {
  for (const std::string& name : names) {
    if (IsAll(name)) return true;
  }
  return false;
}

}  // namespace

std::optional<int> CapabilityNumber(std::string_view name) {
  std::string upper = absl::AsciiStrToUpper(AsAbsl(name));
  std::string_view bare = upper;
  if (bare.starts_with("CAP_")) bare.remove_prefix(4);
  for (size_t number = 0; number < kNames.size(); ++number) {
    if (kNames[number] == bare) return static_cast<int>(number);
  }
  return std::nullopt;
}

absl::StatusOr<uint64_t> GrantedCapabilities(const node::v1::ContainerSpec& spec,
                                             const HostFacts& host) {
  const node::v1::Security& security = spec.security();
  uint64_t known = host.last_capability >= 63 ? ~uint64_t{0} : Bit(host.last_capability + 1) - 1;
  // In a user namespace of its own the container has every capability over what that namespace
  // owns, whatever we have on the host: the kernel gives its first process the full set.
  bool private_user = ResolveNamespaces(spec.namespaces()).private_user();
  uint64_t grantable = private_user ? known : known & host.own_capabilities;

  for (int i = 0; i < security.add_capabilities_size(); ++i) {
    const std::string& name = security.add_capabilities(i);
    std::optional<int> number = CapabilityNumber(name);
    if (!number || (grantable & Bit(*number)) != 0) continue;
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          "spec.security.add_capabilities[", i, "]: the daemon does not have ",
                          Quote(name), " itself, so it cannot grant it")),
                      reason::kNotSupported);
  }

  uint64_t base = security.privileged() ? ~uint64_t{0} : kDefaultCapabilities;
  if (NamesAll(security.drop_capabilities())) base = 0;
  if (NamesAll(security.add_capabilities())) base = ~uint64_t{0};
  uint64_t wanted =
      (base & ~Named(security.drop_capabilities())) | Named(security.add_capabilities());
  return wanted & grantable;
}

}  // namespace noded::launch
