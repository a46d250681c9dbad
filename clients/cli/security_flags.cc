#include "clients/cli/security_flags.h"

#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clients/cli/quantity.h"
#include "clients/cli/utf8.h"

namespace noded::cli {
namespace {

// What "unconfined" means in a profile's own words, so that it stays true when a profile becomes
// the default.
constexpr char kAllowAll[] = R"({"defaultAction":"SCMP_ACT_ALLOW"})";

// "NAME=VALUE"; Docker's older "NAME:VALUE" too.
absl::Status ApplySecurityOption(const std::string& text, const Host& host,
                                 node::v1::Security& security) {
  std::pair<std::string, std::string> pair =
      absl::StrSplit(text, absl::MaxSplits(absl::ByAnyChar("=:"), 1));
  const auto& [name, value] = pair;
  if (name == "no-new-privileges") {
    bool on = true;
    if (!value.empty() && !absl::SimpleAtob(value, &on)) {
      return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": true or false is needed"));
    }
    security.set_allow_new_privileges(!on);
  } else if (name == "seccomp" && value == "unconfined") {
    security.set_seccomp_profile(kAllowAll);
  } else if (name == "seccomp" && !value.empty()) {
    absl::StatusOr<std::string> profile = host.read_file(value);
    if (!profile.ok()) return profile.status();
    if (!IsUtf8(*profile)) return absl::InvalidArgumentError(absl::StrCat(value, " is not UTF-8"));
    security.set_seccomp_profile(*std::move(profile));
  } else if (name == "systempaths" && value == "unconfined") {
    security.set_unmask_system_paths(true);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is none of no-new-privileges[=false], seccomp=FILE, ",
                     "seccomp=unconfined, systempaths=unconfined"));
  }
  return absl::OkStatus();
}

}  // namespace

void DeclareSecurityFlags(FlagSet& flags, const Host& host, node::v1::Security& security) {
  flags.Value("--cap-add", "NAME", "capability besides the default 14: NET_ADMIN, or ALL",
              [&security](const std::string& name) {
                security.add_add_capabilities(name);
                return absl::OkStatus();
              });
  flags.Value("--cap-drop", "NAME", "capability to take away, before adding; or ALL",
              [&security](const std::string& name) {
                security.add_drop_capabilities(name);
                return absl::OkStatus();
              });
  flags.Value("--security-opt", "OPTION",
              "no-new-privileges=false, seccomp=FILE|unconfined, systempaths=unconfined",
              [&host, &security](const std::string& text) {
                return ApplySecurityOption(text, host, security);
              });
  flags.Value("--oom-score-adj", "NUMBER", "preference of the OOM killer, -1000 to 1000",
              [&security](const std::string& text) {
                absl::StatusOr<int64_t> number = ParseInteger(text, -1000, 1000);
                if (number.ok()) security.set_oom_score_adj(static_cast<int32_t>(*number));
                return number.status();
              });
}

}  // namespace noded::cli
