// Validation of a whole spec, and of the parts that belong to no other.
#include <arpa/inet.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "node/base/name.h"
#include "node/base/string_view.h"
#include "node/launch/namespaces.h"
#include "node/launch/paths.h"
#include "node/launch/plan.h"
#include "node/launch/quote.h"
#include "node/launch/validation.h"

namespace noded::launch {
namespace {

using node::v1::ContainerSpec;

constexpr int kMaxViolations = 32;
constexpr size_t kMaxPathBytes = 4095;      // PATH_MAX less the NUL
constexpr size_t kMaxComponentBytes = 255;  // NAME_MAX
constexpr size_t kMaxHostnameBytes = 64;    // __NEW_UTS_LEN
constexpr size_t kMaxReferenceBytes = 1024;

void CheckIdentity(const ContainerSpec& spec, Findings& findings) {
  if (!spec.name().empty() && !IsName(spec.name())) {
    findings.Add("spec.name", absl::StrCat(Quote(spec.name()), kNameRule));
  }
  constexpr size_t kMaxLabelBytes = 4096;
  findings.Count("spec.labels", spec.labels_size(), 256);
  for (const auto& [key, value] : spec.labels()) {
    const std::string field = absl::StrCat("spec.labels[", Quote(key), "]");
    if (key.empty()) findings.Add("spec.labels", "a key must not be empty");
    if (key.size() > kMaxLabelBytes) {
      findings.Add(field, absl::StrCat("key must be at most ", kMaxLabelBytes, " bytes"));
    }
    if (value.size() > kMaxLabelBytes) {
      findings.Add(field, absl::StrCat("value must be at most ", kMaxLabelBytes, " bytes, is ",
                                       value.size()));
    }
  }
  constexpr size_t kMaxAnnotationBytes = 256 << 10;
  size_t bytes = 0;
  for (const auto& [key, value] : spec.annotations()) bytes += key.size() + value.size();
  if (bytes > kMaxAnnotationBytes) {
    findings.Add("spec.annotations", absl::StrCat("must be at most ", kMaxAnnotationBytes,
                                                  " bytes together, are ", bytes));
  }
}

void CheckRoot(const ContainerSpec& spec, Findings& findings) {
  switch (spec.root().source_case()) {
    case node::v1::RootFilesystem::kHostDirectory:
      findings.AbsolutePath("spec.root.host_directory", spec.root().host_directory());
      break;
    case node::v1::RootFilesystem::kImage:
      if (findings.Text("spec.root.image", spec.root().image(), kMaxReferenceBytes) &&
          spec.root().image().empty()) {
        findings.Add("spec.root.image", "is required");
      }
      break;
    default:
      findings.Add("spec.root", "image or host_directory is required");
  }
  if (!spec.root().has_writable_limit_bytes()) return;
  findings.Range("spec.root.writable_limit_bytes", spec.root().writable_limit_bytes(), 1 << 20,
                 INT64_MAX);
  if (spec.root().read_only()) {
    findings.Add("spec.root.writable_limit_bytes", "a read-only root has no writable layer");
  }
}

// What is only told once the image is known, because its configuration may have a command.
bool MayHaveNoCommand(const ContainerSpec& spec) {
  return spec.root().has_image() || !spec.process().entrypoint().empty();
}

void CheckHostname(const ContainerSpec& spec, Findings& findings) {
  const std::string& hostname = spec.hostname();
  if (hostname.empty()) return;
  if (hostname.size() > kMaxHostnameBytes || !HasNameForm(hostname)) {
    findings.Add("spec.hostname",
                 absl::StrCat(Quote(hostname),
                              " must be a letter or digit followed by letters, digits, "
                              "\"_\", \".\" or \"-\", at most ",
                              kMaxHostnameBytes, " bytes"));
  }
  if (ResolveNamespaces(spec.namespaces()).uts != node::v1::NAMESPACE_MODE_PRIVATE) {
    findings.Add("spec.hostname", "must be empty unless spec.namespaces.uts is private");
  }
}

void CheckStop(const ContainerSpec& spec, Findings& findings) {
  if (!spec.stop_signal().empty()) {
    absl::StatusOr<int> signal = ParseSignal(spec.stop_signal(), "spec.stop_signal");
    for (const FieldViolation& one : FieldViolationsOf(signal.status())) {
      findings.Add(one.field, one.description);
    }
  }
  if (!spec.has_stop_grace()) return;
  const google::protobuf::Duration& grace = spec.stop_grace();
  constexpr int64_t kMaxSeconds = 315'576'000'000;  // a Duration's own bound, 10,000 years
  if (grace.seconds() < 0 || grace.nanos() < 0 || grace.seconds() > kMaxSeconds ||
      grace.nanos() > 999'999'999) {
    findings.Add("spec.stop_grace",
                 absl::StrCat("must be 0 s to ", kMaxSeconds, " s, with nanos of 0 to 999999999"));
  }
}

void CheckLog(const node::v1::LogOptions& log, Findings& findings) {
  if (log.has_max_file_bytes()) {
    findings.Range("spec.log.max_file_bytes", log.max_file_bytes(), 4096, INT64_MAX);
  }
  if (log.has_max_files()) findings.Range("spec.log.max_files", log.max_files(), 1, 1000);
  if (!node::v1::LogFullPolicy_IsValid(log.full_policy())) {
    findings.Add("spec.log.full_policy", absl::StrCat("unknown value ", log.full_policy()));
  }
}

bool IsAddress(const std::string& text) {
  in6_addr storage;
  return inet_pton(AF_INET, text.c_str(), &storage) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &storage) == 1;
}

void CheckExtraHosts(const ContainerSpec& spec, Findings& findings) {
  findings.Count("spec.extra_hosts", spec.extra_hosts_size(), 4096);
  for (int i = 0; i < spec.extra_hosts_size(); ++i) {
    const std::string field = Indexed("spec.extra_hosts", i);
    const std::string& line = spec.extra_hosts(i);
    if (!findings.Text(field, line, 1024)) continue;
    std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    bool good = words.size() >= 2 && IsAddress(words[0]) &&
                std::all_of(words.begin() + 1, words.end(),
                            [](const auto& w) { return HasNameForm(AsStd(absl::string_view(w))); });
    if (good) continue;
    findings.Add(field, absl::StrCat(Quote(line),
                                     " must be an IP address and one or more host names, as in "
                                     "\"10.0.0.5 db\""));
  }
}

}  // namespace

void Findings::Add(std::string_view field, std::string_view description) {
  if (++count_ <= kMaxViolations) violations_.Add(field, description);
}

bool Findings::Text(std::string_view field, std::string_view value, size_t max_bytes) {
  if (value.find('\0') != std::string_view::npos) {
    Add(field, "must not contain a NUL byte");
    return false;
  }
  if (value.size() > max_bytes) {
    Add(field, absl::StrCat("must be at most ", max_bytes, " bytes, is ", value.size()));
    return false;
  }
  return true;
}

bool Findings::AbsolutePath(std::string_view field, std::string_view value) {
  if (!Text(field, value, kMaxPathBytes)) return false;
  if (!value.starts_with('/')) {
    Add(field,
        value.empty() ? "is required" : absl::StrCat(Quote(value), " must be an absolute path"));
    return false;
  }
  if (HasDotDot(value)) {
    Add(field, absl::StrCat(Quote(value), " must not contain \"..\""));
    return false;
  }
  for (const auto& component : absl::StrSplit(AsAbsl(value), '/')) {
    if (component.size() <= kMaxComponentBytes) continue;
    Add(field,
        absl::StrCat("each part of the path must be at most ", kMaxComponentBytes, " bytes"));
    return false;
  }
  return true;
}

bool Findings::Range(std::string_view field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return true;
  Add(field, most == INT64_MAX ? absl::StrCat(value, " must be ", least, " or more")
                               : absl::StrCat(value, " must be ", least, " to ", most));
  return false;
}

bool Findings::Count(std::string_view field, int64_t count, int64_t most) {
  if (count <= most) return true;
  Add(field, absl::StrCat("must have at most ", most, " entries, has ", count));
  return false;
}

std::string Indexed(std::string_view field, int index) {
  return absl::StrCat(AsAbsl(field), "[", index, "]");
}

absl::Status ValidateSpec(const ContainerSpec& spec) {
  Findings findings;
  CheckIdentity(spec, findings);
  CheckRoot(spec, findings);
  if (spec.process().argv().empty() && !MayHaveNoCommand(spec)) {
    findings.Add("spec.process.argv", "is required");
  }
  CheckProcess(spec.process(), "spec.process", findings);
  CheckHostname(spec, findings);
  CheckNamespaces(spec, findings);
  CheckMounts(spec, findings);
  CheckLimits(spec.limits(), findings);
  CheckDevices(spec, findings);
  CheckSysctls(spec, findings);
  CheckStop(spec, findings);
  CheckLog(spec.log(), findings);
  if (!spec.cgroup_parent().empty()) {
    findings.AbsolutePath("spec.cgroup_parent", spec.cgroup_parent());
  }
  CheckSecurity(spec.security(), findings);
  CheckExtraHosts(spec, findings);
  return findings.ToStatus();
}

absl::Status ValidateProcess(const node::v1::Process& process, const std::string& prefix) {
  Findings findings;
  if (process.argv().empty()) findings.Add(prefix + ".argv", "is required");
  if (!process.entrypoint().empty() || process.no_entrypoint()) {
    findings.Add(prefix + ".entrypoint", "is of a container's main process only");
  }
  CheckProcess(process, prefix, findings);
  return findings.ToStatus();
}

}  // namespace noded::launch
