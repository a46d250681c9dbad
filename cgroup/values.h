// Values read from and written to cgroup files. Pure and thread-safe.
#ifndef CGROUP_VALUES_H_
#define CGROUP_VALUES_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace noded::cgroup {

// A file with one number; nullopt for "max" and for what is no number.
std::optional<uint64_t> ParseNumber(std::string_view content);
// The number after `key` in lines of "key number" (flat keyed files: memory.stat, cpu.stat, …).
std::optional<uint64_t> ParseKeyed(std::string_view content, std::string_view key);
// cgroup.procs. 0, which stands for a process outside of our pid namespace, is left out.
std::vector<pid_t> ParsePids(std::string_view content);
// Words between white space: cgroup.controllers, cgroup.subtree_control.
std::vector<std::string> ParseWords(std::string_view content);
std::string_view TrimEnd(std::string_view content);
// Whether every number of the cpuset(7) list is in the other: "1,3" in "0-3". False for what is no
// list.
bool ListIsWithin(std::string_view list, std::string_view allowed);

// cpu.weight (1..10000, default 100) for cpu.shares (2..262144, default 1024):
//   weight = 10^((log2(s)^2 + 125 log2(s)) / 612 - 7/34)
// This curve goes through (2, 1), (1024, 100) and (262144, 10000), so both ends and, unlike with a
// straight line, the default map to each other: a container with default shares keeps the weight of
// a group that was never touched. Current runc and crun use the same one.
uint64_t CpuWeight(uint64_t shares);

}  // namespace noded::cgroup

#endif  // CGROUP_VALUES_H_
