// Top: the processes of a container, as the host sees them.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/protobuf/util/time_util.h"
#include "node/answer.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/container_state.h"
#include "node/engine_impl.h"
#include "node/process_table.h"
#include "node/record_changes.h"

namespace noded {

using google::protobuf::util::TimeUtil;
using node::v1::ProcessInfo;

namespace {

constexpr size_t kMaxCommand = 4096;
constexpr size_t kMaxProcesses = 10'000;

// Unix time of the boot, which start times are counted from.
int64_t BootNanos() {
  timespec wall, boot;
  clock_gettime(CLOCK_REALTIME, &wall);
  clock_gettime(CLOCK_BOOTTIME, &boot);
  return (wall.tv_sec - boot.tv_sec) * 1'000'000'000 + (wall.tv_nsec - boot.tv_nsec);
}

int64_t TicksToNanos(uint64_t ticks) {
  static const int64_t kNanosPerTick = 1'000'000'000 / sysconf(_SC_CLK_TCK);
  return static_cast<int64_t>(ticks) * kNanosPerTick;
}

// The effective user, and the pid in the innermost pid namespace.
void AddStatusFields(const std::string& status, ProcessInfo& info) {
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    std::vector<absl::string_view> fields =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (fields.size() < 2) continue;
    if (fields[0] == "Uid:" && fields.size() >= 3) {
      uint32_t uid;
      if (absl::SimpleAtoi(fields[2], &uid)) info.set_uid(uid);
    } else if (fields[0] == "NSpid:") {
      int64_t pid;
      if (absl::SimpleAtoi(fields.back(), &pid)) info.set_container_pid(pid);
    }
  }
}

// A kernel thread or a zombie has no arguments: its name in brackets, as ps does.
std::string CommandOf(pid_t pid, const std::string& name) {
  // Its memory may be on a page that never comes; only what is asked for is read.
  absl::StatusOr<UniqueFd> fd = OpenAt(AT_FDCWD, absl::StrCat("/proc/", pid, "/cmdline"), O_RDONLY);
  std::string command(kMaxCommand, '\0');
  ssize_t size = fd.ok() ? read(fd->get(), command.data(), command.size()) : 0;
  command.resize(size > 0 ? static_cast<size_t>(size) : 0);
  while (!command.empty() && command.back() == '\0') command.pop_back();
  if (command.empty()) return absl::StrCat("[", name, "]");
  std::replace(command.begin(), command.end(), '\0', ' ');
  // The API's strings are UTF-8, arguments are any bytes.
  for (char& c : command) {
    if (static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return command;
}

absl::StatusOr<ProcessInfo> Describe(pid_t pid) {
  ASSIGN_OR_RETURN(ProcessStat stat, ReadProcessStat(pid));
  ASSIGN_OR_RETURN(std::string status,
                   ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", pid, "/status")));
  ProcessInfo info;
  info.set_pid(pid);
  info.set_parent_pid(stat.parent);
  info.set_state(std::string(1, stat.state));
  *info.mutable_cpu_time() =
      TimeUtil::NanosecondsToDuration(TicksToNanos(stat.user_ticks + stat.system_ticks));
  info.set_rss_bytes(stat.rss_pages * sysconf(_SC_PAGESIZE));
  *info.mutable_start_time() =
      TimeUtil::NanosecondsToTimestamp(BootNanos() + TicksToNanos(stat.start_ticks));
  AddStatusFields(status, info);
  info.set_command(CommandOf(pid, stat.command));
  return info;
}

absl::StatusOr<node::v1::TopResponse> ListProcesses(SharedGroup& group) {
  ASSIGN_OR_RETURN(std::vector<pid_t> pids, group.Pids());
  std::sort(pids.begin(), pids.end());
  if (pids.size() > kMaxProcesses) pids.resize(kMaxProcesses);
  node::v1::TopResponse response;
  for (pid_t pid : pids) {
    absl::StatusOr<ProcessInfo> info = Describe(pid);
    // It has ended meanwhile.
    if (info.ok()) *response.add_processes() = *std::move(info);
  }
  return response;
}

}  // namespace

void EngineImpl::Top(node::v1::TopRequest request, Done<node::v1::TopResponse> done) {
  auto answer = AnswerOnce<node::v1::TopResponse>(std::move(done));
  absl::StatusOr<Snapshot> found = registry_->Find(request.container());
  if (!found.ok()) return answer(found.status());
  const node::v1::Container& container = (*found)->container();
  std::shared_ptr<SharedGroup> group = RuntimeOf(container.id())->Group();
  if (!HasProcess(container.state()) || group == nullptr) return answer(WrongState(container));
  absl::Status submitted = Submit([group, answer] {
    absl::StatusOr<node::v1::TopResponse> response = ListProcesses(*group);
    if (!response.ok()) return answer(Annotate(response.status(), "list processes"));
    answer(*std::move(response));
  });
  if (!submitted.ok()) answer(submitted);
}

}  // namespace noded
