// Rules of a process: argv, environment, user, terminal, resource limits.
#include <algorithm>
#include <cctype>
#include <set>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "node/base/string_view.h"
#include "node/launch/process.h"
#include "node/launch/quote.h"
#include "node/launch/validation.h"

namespace noded::launch {
namespace {

using node::v1::Process;

constexpr size_t kMaxStringBytes = (128 << 10) - 1;  // MAX_ARG_STRLEN less the NUL
constexpr size_t kMaxTotalBytes = 6 << 20;  // what execve takes at most, whatever the stack limit
constexpr int64_t kMaxGroups = 65536;       // NGROUPS_MAX
constexpr uint32_t kNoId = UINT32_MAX;      // (uid_t)-1: "leave as it is"

bool AllDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

void CheckCommand(const Process& process, const std::string& field, Findings& findings) {
  if (!process.argv().empty() && process.argv(0).empty() && process.entrypoint().empty()) {
    findings.Add(field + ".argv", "the command must not be empty");
  }
  if (process.no_entrypoint() && !process.entrypoint().empty()) {
    findings.Add(field + ".no_entrypoint", "must not be set with entrypoint");
  }
  size_t total = 0;
  for (int i = 0; i < process.entrypoint_size(); ++i) {
    const std::string word_field = Indexed(field + ".entrypoint", i);
    findings.Text(word_field, process.entrypoint(i), kMaxStringBytes);
    if (i == 0 && process.entrypoint(0).empty()) {
      findings.Add(word_field, "the command must not be empty");
    }
    total += process.entrypoint(i).size() + 1;
  }
  for (int i = 0; i < process.argv_size(); ++i) {
    findings.Text(Indexed(field + ".argv", i), process.argv(i), kMaxStringBytes);
    total += process.argv(i).size() + 1;
  }
  for (int i = 0; i < process.env_size(); ++i) {
    const std::string& entry = process.env(i);
    const std::string entry_field = Indexed(field + ".env", i);
    total += entry.size() + 1;
    if (!findings.Text(entry_field, entry, kMaxStringBytes)) continue;
    size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) {
      findings.Add(entry_field, absl::StrCat(Quote(entry), " must have the form NAME=value"));
    }
  }
  if (total > kMaxTotalBytes) {
    findings.Add(field + ".argv",
                 absl::StrCat("must with env be at most ", kMaxTotalBytes, " bytes, is ", total));
  }
}

// One side of "user:group", or an entry of additional_groups.
void CheckPrincipal(std::string_view text, const std::string& field, Findings& findings) {
  if (text.empty() || text.find_first_of(":\n") != std::string_view::npos) {
    findings.Add(field, absl::StrCat(Quote(text), " must be a name or a number"));
    return;
  }
  if (!AllDigits(text)) return;
  uint32_t number = 0;
  if (!absl::SimpleAtoi(AsAbsl(text), &number) || number == kNoId) {
    findings.Add(field, absl::StrCat(Quote(text), " must be 0 to ", kNoId - 1));
  }
}

void CheckUser(const node::v1::User& user, const std::string& field, Findings& findings) {
  const std::string& name = user.name();
  if (!name.empty() && findings.Text(field + ".name", name, 1024)) {
    size_t colon = name.find(':');
    CheckPrincipal(AsStd(name).substr(0, colon), field + ".name", findings);
    if (colon != std::string::npos) {
      CheckPrincipal(AsStd(name).substr(colon + 1), field + ".name", findings);
    }
    if (user.has_uid()) findings.Add(field + ".uid", "must be absent when name is given");
    if (user.has_gid()) findings.Add(field + ".gid", "must be absent when name is given");
  }
  if (user.has_uid() && user.uid() == kNoId) {
    findings.Add(field + ".uid", absl::StrCat("must be 0 to ", kNoId - 1));
  }
  if (user.has_gid() && user.gid() == kNoId) {
    findings.Add(field + ".gid", absl::StrCat("must be 0 to ", kNoId - 1));
  }
  if (!findings.Count(field + ".additional_groups", user.additional_groups_size(), kMaxGroups)) {
    return;
  }
  for (int i = 0; i < user.additional_groups_size(); ++i) {
    const std::string group_field = Indexed(field + ".additional_groups", i);
    if (findings.Text(group_field, user.additional_groups(i), 1024)) {
      CheckPrincipal(user.additional_groups(i), group_field, findings);
    }
  }
}

void CheckRlimits(const Process& process, const std::string& field, Findings& findings) {
  std::set<std::string> seen;
  for (int i = 0; i < process.rlimits_size(); ++i) {
    const node::v1::Rlimit& limit = process.rlimits(i);
    const std::string limit_field = Indexed(field + ".rlimits", i);
    if (!RlimitNumber(limit.name())) {
      findings.Add(limit_field + ".name",
                   absl::StrCat(Quote(limit.name()), " must be one of ", RlimitNames()));
    } else if (!seen.insert(limit.name()).second) {
      findings.Add(limit_field + ".name", absl::StrCat(Quote(limit.name()), " is there twice"));
    }
    if (limit.soft() > limit.hard()) {
      findings.Add(limit_field + ".soft",
                   absl::StrCat(limit.soft(), " must be at most hard, ", limit.hard()));
    }
  }
}

}  // namespace

void CheckProcess(const Process& process, const std::string& field, Findings& findings) {
  CheckCommand(process, field, findings);
  if (!process.working_directory().empty()) {
    findings.AbsolutePath(field + ".working_directory", process.working_directory());
  }
  CheckUser(process.user(), field + ".user", findings);
  if (process.has_terminal_size()) {
    findings.Range(field + ".terminal_size.width", process.terminal_size().width(), 1, 65535);
    findings.Range(field + ".terminal_size.height", process.terminal_size().height(), 1, 65535);
  }
  if (process.stdin_once() && !process.stdin()) {
    findings.Add(field + ".stdin_once", "needs stdin");
  }
  CheckRlimits(process, field, findings);
}

}  // namespace noded::launch
