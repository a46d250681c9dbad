// Rules of security settings.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "node/launch/capabilities.h"
#include "node/launch/paths.h"
#include "node/launch/quote.h"
#include "node/launch/seccomp_profile.h"
#include "node/launch/validation.h"

namespace noded::launch {
namespace {

using Strings = google::protobuf::RepeatedPtrField<std::string>;

constexpr int64_t kMaxPaths = 1024;

void CheckCapabilities(const Strings& names, const std::string& field, Findings& findings) {
  if (!findings.Count(field, names.size(), 256)) return;
  for (int i = 0; i < names.size(); ++i) {
    if (absl::EqualsIgnoreCase(names[i], "ALL") || CapabilityNumber(names[i])) continue;
    findings.Add(Indexed(field, i),
                 absl::StrCat("unknown capability ", Quote(names[i]),
                              "; must be a name like \"NET_ADMIN\", or \"ALL\""));
  }
}

void CheckPaths(const Strings& paths, const std::string& field, Findings& findings) {
  if (!findings.Count(field, paths.size(), kMaxPaths)) return;
  for (int i = 0; i < paths.size(); ++i) {
    if (findings.AbsolutePath(Indexed(field, i), paths[i]) && CleanPath(paths[i]) == "/") {
      findings.Add(Indexed(field, i), "must not be \"/\"");
    }
  }
}

}  // namespace

void CheckSecurity(const node::v1::Security& security, Findings& findings) {
  CheckCapabilities(security.add_capabilities(), "spec.security.add_capabilities", findings);
  CheckCapabilities(security.drop_capabilities(), "spec.security.drop_capabilities", findings);
  CheckPaths(security.masked_paths(), "spec.security.masked_paths", findings);
  CheckPaths(security.read_only_paths(), "spec.security.read_only_paths", findings);
  if (security.has_oom_score_adj()) {
    findings.Range("spec.security.oom_score_adj", security.oom_score_adj(), -1000, 1000);
  }
  if (!security.seccomp_profile().empty()) {
    const std::string field = "spec.security.seccomp_profile";
    for (const FieldViolation& one :
         FieldViolationsOf(ParseSeccompProfile(security.seccomp_profile(), field).status())) {
      findings.Add(one.field, one.description);
    }
  }
}

}  // namespace noded::launch
