// What the cgroup room costs beside the kernel: the same groups made, attached to, measured and
// removed by a floor that does the bare system calls on the same files, round about in one process.
// Needs root.
//
// usage: bench_cgroup [ROUNDS [GROUPS]]
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "cgroup/device_program.h"
#include "cgroup/driver.h"
#include "cgroup/mounts.h"
#include "cgroup/values.h"
#include "node/base/file.h"

namespace {

using noded::UniqueFd;
using noded::cgroup::Driver;
using noded::cgroup::Group;
using noded::cgroup::Limits;
using noded::cgroup::Sampler;

constexpr char kParent[] = "/noded-bench-cgroup";

double Now(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

// Of the middle half: the ends are what else this machine did, and a median would show the steps of
// a coarse clock.
double Middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  auto begin = values.begin() + static_cast<ptrdiff_t>(values.size() / 4);
  auto end = values.end() - static_cast<ptrdiff_t>(values.size() / 4);
  return std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin);
}

[[noreturn]] void Die(const std::string& what) {
  perror(what.c_str());
  exit(1);
}

Limits ContainerLimits() {
  Limits limits;
  limits.memory_bytes = 64 << 20;
  limits.cpu_quota_us = 50000;
  limits.pids_max = 100;
  limits.devices = {{.type = 'c', .access = "m"},
                    {.type = 'b', .access = "m"},
                    {.type = 'c', .major = 1, .minor = 3},
                    {.type = 'c', .major = 1, .minor = 5},
                    {.type = 'c', .major = 1, .minor = 7},
                    {.type = 'c', .major = 1, .minor = 8},
                    {.type = 'c', .major = 1, .minor = 9},
                    {.type = 'c', .major = 5, .minor = 0},
                    {.type = 'c', .major = 5, .minor = 1},
                    {.type = 'c', .major = 5, .minor = 2},
                    {.type = 'c', .major = 136}};
  return limits;
}

// The parent group of one hierarchy, and what is written into a group there.
struct FloorHierarchy {
  UniqueFd parent;
  std::vector<std::pair<const char*, std::string>> writes;
  bool unified = false;
  bool alone = false;  // v2 without v1: device program, and a group below for the payload
};

bool Has(const noded::cgroup::V1Mount& mount, const char* controller) {
  return std::find(mount.controllers.begin(), mount.controllers.end(), controller) !=
         mount.controllers.end();
}

std::vector<FloorHierarchy> FloorHierarchies() {
  auto mounts = noded::cgroup::ParseMounts(*noded::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo"));
  std::vector<FloorHierarchy> all;
  auto add = [&](const std::string& mount) -> FloorHierarchy& {
    FloorHierarchy one;
    one.parent = UniqueFd(open((mount + kParent).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!one.parent) Die(mount + kParent);
    return all.emplace_back(std::move(one));
  };
  for (const auto& mount : mounts.v1) {
    FloorHierarchy& one = add(mount.path);
    if (Has(mount, "memory")) one.writes.push_back({"memory.limit_in_bytes", "67108864"});
    if (Has(mount, "cpu")) one.writes.push_back({"cpu.cfs_quota_us", "50000"});
    if (Has(mount, "pids")) one.writes.push_back({"pids.max", "100"});
    if (!Has(mount, "devices")) continue;
    one.writes.push_back({"devices.deny", "a"});
    for (const char* rule :
         {"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",
          "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"}) {
      one.writes.push_back({"devices.allow", rule});
    }
  }
  if (!mounts.v2_path) return all;
  bool alone = mounts.v1.empty();
  FloorHierarchy& unified = add(*mounts.v2_path);
  unified.unified = true;
  unified.alone = alone;
  if (!alone) return all;
  std::string enabled = *noded::ReadFileAt(unified.parent.get(), "cgroup.subtree_control"), line;
  for (const std::string& name : noded::cgroup::ParseWords(enabled)) line += "+" + name + " ";
  unified.writes = {{"cgroup.subtree_control", line},
                    {"memory.max", "67108864"},
                    {"cpu.max", "50000 100000"},
                    {"pids.max", "100"}};
  return all;
}

// Two bpf(2) calls for a program that is there already.
void AttachProgram(int parent, const char* name) {
  static const std::vector<bpf_insn> program =
      noded::cgroup::DeviceProgram(ContainerLimits().devices);
  auto loaded = noded::cgroup::LoadDeviceProgram(program);
  UniqueFd group(openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.target_fd = static_cast<__u32>(group.get());
  attributes.attach_bpf_fd = static_cast<__u32>(loaded.ok() ? loaded->get() : -1);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof(attributes)) != 0) Die("attach");
}

// Files that take several lines are opened once, as a careful program would.
double FloorOnce(const std::vector<FloorHierarchy>& hierarchies, const char* name) {
  double begin = Now(CLOCK_MONOTONIC);
  for (const FloorHierarchy& one : hierarchies) {
    if (mkdirat(one.parent.get(), name, 0755) != 0) Die("mkdir");
    const char* open_file = "";
    UniqueFd fd;
    for (const auto& [file, text] : one.writes) {
      if (std::string_view(file) != open_file) {
        std::string path = std::string(name) + "/" + file;
        fd = UniqueFd(openat(one.parent.get(), path.c_str(), O_WRONLY | O_CLOEXEC));
        open_file = file;
      }
      if (write(fd.get(), text.data(), text.size()) < 0) Die(file);
    }
  }
  std::vector<UniqueFd> attach;
  std::string tasks = std::string(name) + "/tasks", leaf = std::string(name) + "/payload";
  for (const FloorHierarchy& one : hierarchies) {
    if (one.alone) AttachProgram(one.parent.get(), name);
    if (one.alone && mkdirat(one.parent.get(), leaf.c_str(), 0755) != 0) Die("mkdir payload");
    const char* into = one.alone ? leaf.c_str() : one.unified ? name : tasks.c_str();
    attach.emplace_back(openat(one.parent.get(), into,
                               (one.unified ? O_RDONLY | O_DIRECTORY : O_WRONLY) | O_CLOEXEC));
    if (!attach.back()) Die("open to attach");
  }
  attach.clear();
  for (const FloorHierarchy& one : hierarchies) {
    if (one.alone && unlinkat(one.parent.get(), leaf.c_str(), AT_REMOVEDIR) != 0) Die("rmdir");
    if (unlinkat(one.parent.get(), name, AT_REMOVEDIR) != 0) Die("rmdir");
  }
  return Now(CLOCK_MONOTONIC) - begin;
}

double RoomOnce(Driver& driver, const Limits& limits) {
  double begin = Now(CLOCK_MONOTONIC);
  auto group = driver.Create("room", limits);
  if (!group.ok()) Die(group.status().ToString());
  {
    auto attach = (*group)->OpenAttach();
    if (!attach.ok()) Die(attach.status().ToString());
  }
  if (auto removed = (*group)->Remove(absl::Seconds(5)); !removed.ok()) Die(removed.ToString());
  return Now(CLOCK_MONOTONIC) - begin;
}

void BenchLife(Driver& driver, int rounds) {
  std::vector<FloorHierarchy> hierarchies = FloorHierarchies();
  Limits limits = ContainerLimits();
  std::vector<double> floor, room;
  for (int i = 0; i < rounds; ++i) {
    floor.push_back(FloorOnce(hierarchies, "floor"));
    room.push_back(RoomOnce(driver, limits));
  }
  printf("create, attach, remove: floor %7.1f us  room %7.1f us  ratio %.2f (at most 1.2)\n",
         Middle(floor), Middle(room), Middle(room) / Middle(floor));
}

// Descriptors of our process that are not in `before`, which the samplers opened.
std::vector<int> OpenDescriptors() {
  std::vector<int> fds;
  DIR* dir = opendir("/proc/self/fd");
  while (dirent* entry = readdir(dir)) {
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != dirfd(dir)) fds.push_back(fd);
  }
  closedir(dir);
  std::sort(fds.begin(), fds.end());
  return fds;
}

void BenchSamples(Driver& driver, int count, bool pressure) {
  std::vector<std::unique_ptr<Group>> groups;
  std::vector<std::unique_ptr<Sampler>> samplers;
  std::vector<int> before = OpenDescriptors(), held;
  for (int i = 0; i < count; ++i) {
    auto group = driver.Create("sampled-" + std::to_string(i), ContainerLimits());
    if (!group.ok()) Die(group.status().ToString());
    groups.push_back(*std::move(group));
  }
  std::vector<int> with_groups = OpenDescriptors();
  for (const auto& group : groups) {
    auto sampler = group->OpenSampler({.pressure = pressure});
    if (!sampler.ok()) Die(sampler.status().ToString());
    samplers.push_back(*std::move(sampler));
  }
  std::vector<int> after = OpenDescriptors();
  std::set_difference(after.begin(), after.end(), with_groups.begin(), with_groups.end(),
                      std::back_inserter(held));

  static char buffer[16 << 10];
  std::vector<double> floor, room;
  for (int round = 0; round < 15; ++round) {
    double begin = Now(CLOCK_PROCESS_CPUTIME_ID);
    for (int fd : held) {
      if (pread(fd, buffer, sizeof(buffer), 0) < 0) Die("pread");
    }
    floor.push_back(Now(CLOCK_PROCESS_CPUTIME_ID) - begin);
    begin = Now(CLOCK_PROCESS_CPUTIME_ID);
    for (const auto& sampler : samplers) {
      if (auto stats = sampler->Sample(); !stats.ok()) Die(stats.status().ToString());
    }
    room.push_back(Now(CLOCK_PROCESS_CPUTIME_ID) - begin);
  }
  double floor_us = Middle(floor), room_us = Middle(room);
  printf(
      "%d groups %s pressure: floor %6.1f us each  room %6.1f us each (at most 200)  ratio %.2f "
      "(at "
      "most 1.5)  %.2f %% of a core at 1/s  %.1f descriptors each\n",
      count, pressure ? "with   " : "without", floor_us / count, room_us / count,
      room_us / floor_us, room_us / 1e4, static_cast<double>(after.size() - before.size()) / count);
  samplers.clear();
  for (const auto& group : groups) {
    if (auto removed = group->Remove(absl::Seconds(5)); !removed.ok()) Die(removed.ToString());
  }
}

void RemoveParents() {
  auto mounts = noded::cgroup::ParseMounts(*noded::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo"));
  if (mounts.v2_path) rmdir((*mounts.v2_path + kParent).c_str());
  for (const auto& mount : mounts.v1) rmdir((mount.path + kParent).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 200;
  int groups = argc > 2 ? atoi(argv[2]) : 500;
  if (rounds < 1 || groups < 1 || groups > 5000) {
    fprintf(stderr, "usage: bench_cgroup [ROUNDS [GROUPS]]\n");
    return 2;
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  auto driver = noded::cgroup::OpenDriver({.parent = kParent});
  if (!driver.ok()) Die(driver.status().ToString());
  BenchLife(**driver, rounds);
  BenchSamples(**driver, groups, true);
  BenchSamples(**driver, groups, false);
  driver->reset();
  RemoveParents();
  return 0;
}
