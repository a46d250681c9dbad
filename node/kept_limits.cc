#include "node/kept_limits.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/host.h"

namespace noded {

absl::StatusOr<KeptLimits> KeepLimits(const cgroup::Driver& driver,
                                      const node::v1::ContainerSpec& spec, cgroup::Limits limits) {
  KeptLimits kept;
  kept.limits = std::move(limits);
  std::vector<cgroup::Unkept> unkept = driver.Unenforceable(kept.limits);
  if (!spec.limits().best_effort()) {
    RETURN_IF_ERROR(cgroup::UnkeptStatus(unkept));
  } else {
    cgroup::StripUnkept(unkept, kept.limits);
    for (const cgroup::Unkept& one : unkept) {
      kept.unenforced[one.field] = absl::StrCat(one.in_part ? "kept in part: " : "", one.reason,
                                                "; what would help: ", one.remedy);
    }
  }
  RETURN_IF_ERROR(driver.Check(kept.limits));
  return kept;
}

absl::StatusOr<KeptLimits> KeepLimitsOf(const cgroup::Driver& driver,
                                        const node::v1::ContainerSpec& spec) {
  ASSIGN_OR_RETURN(std::vector<launch::ResolvedDevice> devices, ResolveDevices(spec));
  ASSIGN_OR_RETURN(std::vector<launch::BlockDevice> block_devices,
                   ResolveBlockDevices(spec.limits()));
  return KeepLimits(driver, spec, launch::CompileLimits(spec, devices, block_devices));
}

bool IsTold(const KeptLimits& kept, const node::v1::Container& container) {
  const auto& told = container.unenforced_limits();
  return std::map<std::string, std::string>(told.begin(), told.end()) == kept.unenforced;
}

void Tell(const KeptLimits& kept, node::v1::Container& container) {
  container.clear_unenforced_limits();
  container.mutable_unenforced_limits()->insert(kept.unenforced.begin(), kept.unenforced.end());
}

}  // namespace noded
