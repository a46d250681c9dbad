#include "node/process_table.h"

#include <fcntl.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "node/base/file.h"
#include "node/base/status.h"

namespace noded {
namespace {

// Numbers of proc(5), less the two fields up to the command.
enum Field {
  kState = 0,
  kParent = 1,
  kUserTicks = 11,
  kSystemTicks = 12,
  kStartTicks = 19,
  kRssPages = 21,
  kFieldsNeeded = 22
};

}  // namespace

absl::StatusOr<ProcessStat> ParseProcessStat(const std::string& stat) {
  // The command may itself hold parentheses and spaces, so it ends at the last one.
  size_t begin = stat.find('(');
  size_t end = stat.rfind(") ");
  ProcessStat parsed;
  if (begin != std::string::npos && end != std::string::npos && begin < end) {
    parsed.command = stat.substr(begin + 1, end - begin - 1);
    std::vector<absl::string_view> fields =
        absl::StrSplit(absl::string_view(stat).substr(end + 2), ' ');
    if (fields.size() >= kFieldsNeeded && fields[kState].size() == 1 &&
        absl::SimpleAtoi(fields[kParent], &parsed.parent) &&
        absl::SimpleAtoi(fields[kUserTicks], &parsed.user_ticks) &&
        absl::SimpleAtoi(fields[kSystemTicks], &parsed.system_ticks) &&
        absl::SimpleAtoi(fields[kStartTicks], &parsed.start_ticks) &&
        absl::SimpleAtoi(fields[kRssPages], &parsed.rss_pages)) {
      parsed.state = fields[kState][0];
      return parsed;
    }
  }
  return absl::InternalError("read process status: not in the form of proc(5)");
}

absl::StatusOr<ProcessStat> ReadProcessStat(pid_t pid) {
  ASSIGN_OR_RETURN(std::string stat, ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", pid, "/stat")));
  return ParseProcessStat(stat);
}

}  // namespace noded
