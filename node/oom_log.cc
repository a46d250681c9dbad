#include "node/oom_log.h"

#include <charconv>

namespace noded {
namespace {

constexpr std::string_view kChosen = "oom-kill:constraint=";
constexpr std::string_view kKilled = "Killed process ";
constexpr std::string_view kGroupBegin = "Tasks in ";
constexpr std::string_view kGroupEnd = " are going to be killed due to memory.oom.group set";
constexpr uint64_t kKiB = 1024;
// The facility of a message is above these bits; 0 is the kernel's, which nobody else can use.
constexpr uint32_t kPriorities = 8;

// The number that `text` begins with.
template <typename Number>
std::optional<Number> Leading(std::string_view text) {
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

// What stands between; nullopt unless both are there.
std::optional<std::string_view> Between(std::string_view text, std::string_view before,
                                        std::string_view after) {
  size_t begin = text.find(before);
  if (begin == std::string_view::npos) return std::nullopt;
  text.remove_prefix(begin + before.size());
  size_t end = text.find(after);
  if (end == std::string_view::npos) return std::nullopt;
  return text.substr(0, end);
}

// "6,1234,5678,-;text\n KEY=value\n": the text.
std::optional<std::string_view> KernelText(std::string_view record) {
  std::optional<uint32_t> priority = Leading<uint32_t>(record);
  size_t begin = record.find(';');
  if (!priority || *priority >= kPriorities || begin == std::string_view::npos) return std::nullopt;
  record.remove_prefix(begin + 1);
  return record.substr(0, record.find('\n'));
}

// The names of groups below the container's own and of tasks are the payload's choice, and may
// imitate what comes next. So groups are looked for from the left: a payload's group begins with
// its container's path, and the one before them (cpuset) is a name without slashes. The pid is
// looked for from the right, where no name follows.
std::optional<LoggedOomKill> ParseChosen(std::string_view text) {
  LoggedOomKill kill;
  size_t pid = text.rfind(",pid=");
  size_t task = text.find(",task_memcg=/");
  if (pid == std::string_view::npos || task == std::string_view::npos || task > pid) {
    return std::nullopt;
  }
  std::optional<int64_t> number = Leading<int64_t>(text.substr(pid + 5));
  if (!number) return std::nullopt;
  kill.pid = *number;
  if (auto limit = Between(text, ",oom_memcg=/", ",task_memcg="))
    kill.limit_cgroup = "/" + std::string(*limit);
  std::string_view rest = text.substr(task + 12, pid - task - 12);
  kill.task_cgroup = rest.substr(0, rest.rfind(",task="));
  return kill;
}

// A process's name stands in parentheses and may hold some itself; figures follow the last.
std::optional<LoggedOomKill> ParseKilled(std::string_view text) {
  text.remove_prefix(text.find(kKilled) + kKilled.size());
  std::optional<int64_t> pid = Leading<int64_t>(text);
  size_t begin = text.find(" (");
  size_t end = text.rfind(") total-vm:");
  if (end == std::string_view::npos) end = text.rfind("), UID ");  // before Linux 4.19 none
  if (!pid || begin == std::string_view::npos || end == std::string_view::npos || end < begin + 2) {
    return std::nullopt;
  }
  LoggedOomKill kill;
  kill.pid = *pid;
  kill.process = text.substr(begin + 2, end - begin - 2);
  std::string_view figures = text.substr(end);
  uint64_t kib = 0;
  for (const char* name : {" anon-rss:", " file-rss:", " shmem-rss:"}) {
    auto value = Between(figures, name, "kB");
    auto number = value ? Leading<uint32_t>(*value) : std::nullopt;
    if (!number) return kill;
    kib += *number;
  }
  kill.memory_bytes = kib * kKiB;
  return kill;
}

}  // namespace

std::optional<LoggedOomKill> OomLog::Feed(std::string_view record) {
  std::optional<std::string_view> text = KernelText(record);
  if (!text) return std::nullopt;
  if (text->starts_with(kChosen)) {
    chosen_ = ParseChosen(*text);
    doomed_group_.reset();
    return std::nullopt;
  }
  if (text->size() > kGroupBegin.size() + kGroupEnd.size() && text->starts_with(kGroupBegin) &&
      text->ends_with(kGroupEnd)) {
    text->remove_suffix(kGroupEnd.size());
    doomed_group_ = text->substr(kGroupBegin.size());
    return std::nullopt;
  }
  if (!text->starts_with("Memory cgroup out of memory: Killed process ") &&
      !text->starts_with("Out of memory: Killed process ")) {
    return std::nullopt;
  }
  std::optional<LoggedOomKill> kill = ParseKilled(*text);
  if (!kill) return std::nullopt;
  if (chosen_ && chosen_->pid == kill->pid) {
    kill->task_cgroup = chosen_->task_cgroup;
    kill->limit_cgroup = chosen_->limit_cgroup;
    return kill;
  }
  // The victim's companions, of the same group or below it.
  if (!doomed_group_) return std::nullopt;
  kill->task_cgroup = *doomed_group_;
  if (chosen_) kill->limit_cgroup = chosen_->limit_cgroup;
  return kill;
}

}  // namespace noded
