#include "clients/cli/error_text.h"

#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "clients/cli/exit_code.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace noded::cli {
namespace {

struct FieldFlag {
  absl::string_view field;  // less "spec." or "start." in front, "[3]" and what "." follows
  absl::string_view flag;
};

// The longest field that a path begins with counts.
constexpr FieldFlag kFlags[] = {
    {"name", "--name"},
    {"labels", "--label"},
    {"annotations", "--annotation"},
    {"root", "--rootfs"},
    {"root.image", "IMAGE"},
    {"root.read_only", "--read-only"},
    {"root.writable_limit_bytes", "--storage-opt size"},
    {"process.argv", "COMMAND"},
    {"process.entrypoint", "--entrypoint"},
    {"process.no_entrypoint", "--entrypoint"},
    {"process.env", "--env"},
    {"process.working_directory", "--workdir"},
    {"process.user", "--user"},
    {"process.user.additional_groups", "--group-add"},
    {"process.tty", "--tty"},
    {"process.terminal_size", "--tty"},
    {"process.stdin", "--interactive"},
    {"process.rlimits", "--ulimit"},
    {"hostname", "--hostname"},
    {"namespaces.pid", "--pid"},
    {"namespaces.network", "--net"},
    {"namespaces.ipc", "--ipc"},
    {"namespaces.uts", "--uts"},
    {"namespaces.cgroup", "--cgroupns"},
    {"namespaces.user", "--userns"},
    {"namespaces.uid_maps", "--uid-map"},
    {"namespaces.gid_maps", "--gid-map"},
    {"mounts", "--volume, --mount or --tmpfs"},
    {"limits.memory.max_bytes", "--memory"},
    {"limits.memory.swap_bytes", "--memory-swap or --swap"},
    {"limits.memory.reservation_bytes", "--memory-reservation"},
    {"limits.memory.high_bytes", "--memory-high"},
    {"limits.memory.oom_group", "--oom-group"},
    {"limits.cpu.shares", "--cpu-shares"},
    {"limits.cpu.quota_us", "--cpus or --cpu-quota"},
    {"limits.cpu.period_us", "--cpu-period"},
    {"limits.cpu.burst_us", "--cpu-burst"},
    {"limits.cpu.idle", "--cpu-idle"},
    {"limits.cpu.cpuset_cpus", "--cpuset-cpus"},
    {"limits.cpu.cpuset_mems", "--cpuset-mems"},
    {"limits.pids", "--pids-limit"},
    {"limits.block_io.weight", "--blkio-weight"},
    {"limits.block_io.devices", "--device-read-bps and its like"},
    {"limits.hugetlb", "--hugetlb"},
    {"devices", "--device"},
    {"sysctls", "--sysctl"},
    {"init", "--init"},
    {"stop_signal", "--stop-signal"},
    {"stop_grace", "--stop-timeout"},
    {"log.max_file_bytes", "--log-max-size"},
    {"log.max_files", "--log-max-files"},
    {"log.full_policy", "--log-full"},
    {"auto_remove", "--rm"},
    {"cgroup_parent", "--cgroup-parent"},
    {"security.add_capabilities", "--cap-add"},
    {"security.drop_capabilities", "--cap-drop"},
    {"security.allow_new_privileges", "--security-opt no-new-privileges"},
    {"security.seccomp_profile", "--security-opt seccomp"},
    {"security.unmask_system_paths", "--security-opt systempaths"},
    {"security.privileged", "--privileged"},
    {"security.oom_score_adj", "--oom-score-adj"},
    {"extra_hosts", "--add-host"},
    {"request_id", "--request-id"},
    {"image", "IMAGE"},
    {"images", "IMAGE"},
    {"reference", "NAME"},
    {"platform", "--platform"},
    {"changes", "--change"},
    {"path", "PATH"},
    {"container", "CONTAINER"},
    {"containers", "CONTAINER"},
    {"detach", "--detach"},
    {"time_limit", "--timeout"},
    {"clear", "--clear"},
    {"grace", "--time"},
    {"signal", "--signal"},
    {"interval", "--interval"},
    {"since", "--since"},
    {"until", "--until"},
    {"tail", "--tail"},
    {"stream", "--stream"},
    {"cursor", "--cursor"},
    {"from_revision", "--from-revision"},
    {"filter", "--filter"},
};

// "spec.mounts[2].target" to "mounts.target"; "spec.labels[\"a.b\"]" to "labels".
std::string PlainField(absl::string_view field) {
  absl::ConsumePrefix(&field, "spec.");
  absl::ConsumePrefix(&field, "start.");
  std::string plain;
  bool inside = false;
  bool quoted = false;  // a map's key may hold anything
  for (char c : field) {
    if (inside && c == '"') quoted = !quoted;
    if (c == '[') inside = true;
    if (!inside) plain += c;
    if (c == ']' && !quoted) inside = false;
  }
  return plain;
}

std::optional<google::rpc::Status> DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details())) {
    return std::nullopt;
  }
  return details;
}

std::vector<google::rpc::BadRequest::FieldViolation> ViolationsOf(const grpc::Status& status) {
  std::vector<google::rpc::BadRequest::FieldViolation> result;
  auto details = DetailsOf(status);
  if (!details) return result;
  for (const auto& detail : details->details()) {
    google::rpc::BadRequest bad;
    if (detail.Is<google::rpc::BadRequest>() && detail.UnpackTo(&bad)) {
      result.insert(result.end(), bad.field_violations().begin(), bad.field_violations().end());
    }
  }
  return result;
}

struct Hint {
  absl::string_view cause;  // part of gRPC's words, or an error's reason
  absl::string_view hint;
};

constexpr Hint kHints[] = {
    {"No such file", "Does noded run there? -a or NODECTL_ADDRESS name another address."},
    {"refused", "Does noded run there? -a or NODECTL_ADDRESS name another address."},
    {"Permission denied", "Its socket belongs to root: try sudo."},
    {"Socket closed", "The other side hung up: it may want TLS, or another certificate."},
    {"certificate verify failed", "Its certificate is not of the authority in --tls-ca."},
    {"Peer name", "Its certificate is for another name; --tls-server-name tells which to expect."},
    // What gRPC makes of credentials that OpenSSL refuses.
    {"empty address list",
     "The client's certificate and key do not belong together, or are no PEM files."},
};

// What to do about an error, by its reason.
constexpr Hint kAdvice[] = {
    {"IMAGE_NOT_FOUND", "nodectl images lists what is there; nodectl pull brings more."},
    {"IMAGE_IN_USE", "Remove its containers first, or give -f: they keep its files."},
    {"REGISTRY_DENIED",
     "nodectl login REGISTRY keeps credentials, which are sent with names that begin with that "
     "registry."},
    {"REGISTRY_UNREACHABLE", "The node asks the registry, not nodectl: is it reached from there?"},
    {"PLATFORM_NOT_FOUND", "--platform names another one."},
    {"CONTENT_DAMAGED", "nodectl image verify --repair sets it aside; then pull again."},
    {"NO_SPACE", "nodectl image prune and nodectl volume prune give space back."},
    {"VOLUME_NOT_FOUND", "nodectl volume ls lists what is there."},
    {"VOLUME_IN_USE", "Remove its containers first: nodectl volume inspect names them."},
};

std::string AdviceFor(absl::string_view reason) {
  for (const Hint& advice : kAdvice) {
    if (reason == advice.cause) return absl::StrCat("\n  ", advice.hint);
  }
  return "";
}

// Whether a connection that stood has broken, rather than never having been made.
bool WasConnected(absl::string_view message) {
  return !absl::StrContains(message, "last error: ") &&
         (absl::StrContains(message, "closed") || absl::StrContains(message, "reset") ||
          absl::StrContains(message, "GOAWAY") || absl::StrContains(message, "keepalive") ||
          absl::StrContains(message, "Broken pipe"));
}

// gRPC wraps the system's words: "failed to connect to all addresses; last error: UNKNOWN:
// unix:/run/x.sock: No such file or directory". The last part is what a person needs.
std::string DescribeUnreachable(absl::string_view message, absl::string_view address) {
  if (WasConnected(message)) {
    return absl::StrCat("lost the connection to noded at ", address, ": ", message);
  }
  absl::string_view cause = message;
  absl::ConsumeSuffix(&cause, ": ");
  const size_t last = cause.rfind(": ");
  if (last != absl::string_view::npos) cause.remove_prefix(last + 2);
  std::string text = absl::StrCat("cannot reach noded at ", address, ": ", cause);
  for (const Hint& hint : kHints) {
    if (absl::StrContains(message, hint.cause)) return absl::StrCat(text, "\n  ", hint.hint);
  }
  return text;
}

// What gRPC says by code alone, when the message is empty.
absl::string_view CodeText(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNIMPLEMENTED:
      return "noded does not serve this, or could not read the request (is an argument not UTF-8?)";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "no answer in time (--timeout)";
    case grpc::StatusCode::CANCELLED:
      return "cancelled";
    default:
      return "failed without a message";
  }
}

}  // namespace

std::string ReasonOf(const grpc::Status& status) {
  auto details = DetailsOf(status);
  if (!details) return "";
  for (const auto& detail : details->details()) {
    google::rpc::ErrorInfo info;
    if (detail.Is<google::rpc::ErrorInfo>() && detail.UnpackTo(&info)) return info.reason();
  }
  return "";
}

absl::string_view FlagOfField(absl::string_view field) {
  std::string plain = PlainField(field);
  const FieldFlag* best = nullptr;
  for (const FieldFlag& one : kFlags) {
    bool matches = plain == one.field || absl::StartsWith(plain, absl::StrCat(one.field, "."));
    if (matches && (best == nullptr || one.field.size() > best->field.size())) best = &one;
  }
  return best == nullptr ? "" : best->flag;
}

std::string DescribeError(absl::string_view what, const grpc::Status& status,
                          absl::string_view address) {
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && ReasonOf(status).empty()) {
    return absl::StrCat(what, ": ", DescribeUnreachable(status.error_message(), address));
  }
  std::string message = status.error_message();
  if (message.empty() || status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    message = std::string(CodeText(status.error_code()));
  }
  std::string lines;
  bool said = false;  // does the message list the violations already?
  for (const auto& violation : ViolationsOf(status)) {
    absl::string_view flag = FlagOfField(violation.field());
    absl::StrAppend(&lines, "\n  ", violation.field(),
                    flag.empty() ? "" : absl::StrCat(" (", flag, ")"), ": ",
                    violation.description());
    said = said || absl::StrContains(message, violation.description());
  }
  if (said) message = "the request breaks a rule:";
  return absl::StrCat(what, ": ", message, lines, AdviceFor(ReasonOf(status)));
}

int ExitCodeOfStart(const grpc::Status& status) {
  std::string reason = ReasonOf(status);
  if (reason == "COMMAND_NOT_FOUND") return kNotFound;
  if (reason == "COMMAND_NOT_EXECUTABLE") return kNotExecutable;
  return kAgentError;
}

}  // namespace noded::cli
