#include "node/launch/process.h"

#include <sys/resource.h>

#include <array>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/launch/capabilities.h"
#include "node/launch/paths.h"
#include "node/launch/seccomp.h"

namespace noded::launch {
namespace {

using node::shim::v1::ProcessPlan;
using node::v1::Process;

struct RlimitName {
  std::string_view name;
  int number;
};
constexpr std::array<RlimitName, 16> kRlimits = {{{"as", RLIMIT_AS},
                                                  {"core", RLIMIT_CORE},
                                                  {"cpu", RLIMIT_CPU},
                                                  {"data", RLIMIT_DATA},
                                                  {"fsize", RLIMIT_FSIZE},
                                                  {"locks", RLIMIT_LOCKS},
                                                  {"memlock", RLIMIT_MEMLOCK},
                                                  {"msgqueue", RLIMIT_MSGQUEUE},
                                                  {"nice", RLIMIT_NICE},
                                                  {"nofile", RLIMIT_NOFILE},
                                                  {"nproc", RLIMIT_NPROC},
                                                  {"rss", RLIMIT_RSS},
                                                  {"rtprio", RLIMIT_RTPRIO},
                                                  {"rttime", RLIMIT_RTTIME},
                                                  {"sigpending", RLIMIT_SIGPENDING},
                                                  {"stack", RLIMIT_STACK}}};

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Variables in the order of their first mention, each once: what getenv(3) finds of a name that is
// there twice differs from one libc to the next, so a later entry takes the place of an earlier
// one.
class Environment {
 public:
  void Set(const std::string& entry) {
    std::string name = entry.substr(0, entry.find('='));
    auto [found, added] = places_.emplace(name, entries_.size());
    if (added) {
      entries_.push_back(entry);
    } else {
      entries_[found->second] = entry;
    }
  }
  bool Has(const std::string& name) const { return places_.contains(name); }
  std::vector<std::string> entries() && { return std::move(entries_); }

 private:
  std::map<std::string, size_t> places_;
  std::vector<std::string> entries_;
};

void CompileEnvironment(const Process& process, const std::string& hostname, ProcessPlan& plan) {
  Environment environment;
  environment.Set(absl::StrCat("PATH=", kDefaultPath));
  if (!hostname.empty()) environment.Set(absl::StrCat("HOSTNAME=", hostname));
  if (process.tty()) environment.Set("TERM=xterm");
  for (const std::string& entry : process.env()) environment.Set(entry);
  // HOME stands in the container's own passwd file, which only the supervisor's child can read.
  plan.set_set_home(!environment.Has("HOME"));
  for (std::string& entry : std::move(environment).entries()) plan.add_env(std::move(entry));
}

void CompileUser(const node::v1::User& user, ProcessPlan& plan) {
  node::shim::v1::UserPlan* out = plan.mutable_user();
  out->set_name(user.name());
  if (user.name().empty()) {
    out->set_uid(user.uid());
    if (user.has_gid()) out->set_gid(user.gid());
  }
  for (const std::string& group : user.additional_groups()) out->add_additional_groups(group);
}

void CompileTerminal(const Process& process, ProcessPlan& plan) {
  if (!process.tty()) return;
  const bool sized = process.has_terminal_size();
  plan.set_tty(true);
  plan.set_terminal_width(sized ? process.terminal_size().width() : 80);
  plan.set_terminal_height(sized ? process.terminal_size().height() : 24);
}

absl::Status CompileSecurity(const node::v1::ContainerSpec& spec, const HostFacts& host,
                             ProcessPlan& plan) {
  ASSIGN_OR_RETURN(uint64_t capabilities, GrantedCapabilities(spec, host));
  // Inheritable and ambient stay empty: inheritable ones would reach a non-root process through any
  // file that has inheritable capabilities (CVE-2022-24769).
  plan.mutable_capabilities()->set_bounding(capabilities);
  plan.mutable_capabilities()->set_permitted(capabilities);
  const node::v1::Security& security = spec.security();
  plan.set_no_new_privileges(!security.allow_new_privileges());
  if (security.has_oom_score_adj()) plan.set_oom_score_adj(security.oom_score_adj());
  if (!security.seccomp_profile().empty()) {
    ASSIGN_OR_RETURN(SeccompFilter filter,
                     CompileSeccompFilter(security.seccomp_profile(), capabilities,
                                          "spec.security.seccomp_profile"));
    plan.set_seccomp_filter(std::move(filter.program));
    plan.set_seccomp_flags(filter.flags);
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<int> RlimitNumber(std::string_view name) {
  for (const RlimitName& one : kRlimits) {
    if (one.name == name) return one.number;
  }
  return std::nullopt;
}

std::string RlimitNames() {
  std::string names;
  for (const RlimitName& one : kRlimits) {
    if (!names.empty()) names += ", ";
    names += one.name;
  }
  return names;
}

void CompileRlimits(const Process& process, const HostFacts& host, ProcessPlan& plan) {
  auto add = [&plan](const std::string& name, uint64_t soft, uint64_t hard) {
    node::shim::v1::RlimitPlan* out = plan.add_rlimits();
    out->set_resource(*RlimitNumber(name));
    out->set_name(name);
    out->set_soft(soft);
    out->set_hard(hard);
  };
  bool open_files_given = false;
  for (const node::v1::Rlimit& limit : process.rlimits()) {
    add(limit.name(), limit.soft(), limit.hard());
    open_files_given = open_files_given || limit.name() == "nofile";
  }
  if (!open_files_given && host.open_files_hard > 0) {
    add("nofile", host.open_files_soft, host.open_files_hard);
  }
}

absl::StatusOr<ProcessPlan> CompileProcess(const node::v1::ContainerSpec& spec,
                                           const std::string& hostname, const HostFacts& host) {
  const Process& process = spec.process();
  ProcessPlan plan;
  *plan.mutable_argv() = process.argv();
  CompileEnvironment(process, hostname, plan);
  plan.set_working_directory(
      process.working_directory().empty() ? "/" : CleanPath(process.working_directory()));
  CompileUser(process.user(), plan);
  CompileRlimits(process, host, plan);
  RETURN_IF_ERROR(CompileSecurity(spec, host, plan));
  CompileTerminal(process, plan);
  plan.set_umask(0022);
  return plan;
}

Process OverlayProcess(const Process& container, const Process& exec) {
  Process result = exec;
  *result.mutable_env() = container.env();
  result.mutable_env()->MergeFrom(exec.env());
  if (!exec.has_user()) *result.mutable_user() = container.user();
  if (exec.working_directory().empty()) {
    result.set_working_directory(container.working_directory());
  }
  *result.mutable_rlimits() = container.rlimits();
  for (const node::v1::Rlimit& limit : exec.rlimits()) {
    bool replaced = false;
    for (node::v1::Rlimit& one : *result.mutable_rlimits()) {
      if (one.name() != limit.name()) continue;
      one = limit;
      replaced = true;
    }
    if (!replaced) *result.add_rlimits() = limit;
  }
  return result;
}

}  // namespace noded::launch
