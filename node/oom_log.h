// Which task the kernel killed because memory ran out, by what it writes to its log. Pure but for
// what it remembers of the lines before.
//
//   oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=<group>,mems_allowed=0,
//     oom_memcg=/noded/<id>,task_memcg=/noded/<id>/payload,task=sh,pid=5294,uid=0
//   Memory cgroup out of memory: Killed process 5294 (sh) total-vm:22756kB, anon-rss:16132kB,
//     file-rss:1456kB, shmem-rss:0kB, UID:0 pgtables:80kB oom_score_adj:0
//   Tasks in /noded/<id> are going to be killed due to memory.oom.group set
//
// (mm/oom_kill.c, mm/memcontrol.c; of three lines, the first is left out when there are more than
// ten in 5 s.)
#ifndef NODE_OOM_LOG_H_
#define NODE_OOM_LOG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace noded {

struct LoggedOomKill {
  int64_t pid = 0;
  std::string process;  // as the log escapes it: ASCII
  std::optional<uint64_t> memory_bytes;
  std::string task_cgroup;
  // Whose limit was met; nullopt: the host's memory ran out.
  std::optional<std::string> limit_cgroup;
  bool operator==(const LoggedOomKill&) const = default;
};

// Single-threaded.
class OomLog {
 public:
  // One record of /dev/kmsg, as a read(2) gives it. A kill, once all is known of it; never one
  // whose group is not. What did not come from the kernel itself is passed over.
  std::optional<LoggedOomKill> Feed(std::string_view record);

 private:
  // What was said of a victim before it was killed.
  std::optional<LoggedOomKill> chosen_;
  std::optional<std::string> doomed_group_;
};

}  // namespace noded

#endif  // NODE_OOM_LOG_H_
