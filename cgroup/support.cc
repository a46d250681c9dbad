#include "cgroup/support.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "node/base/file.h"
#include "node/base/string_view.h"

namespace noded::cgroup {
namespace {

constexpr char kUseV2[] = "a host with cgroup v2 (systemd.unified_cgroup_hierarchy=1)";

// What a field needs besides its controller and file.
enum class Need { kNothing, kSwap, kBlockWeight, kDirectWritesOnV1, kDevices, kHugePages };

struct Row {
  const char* field;
  const char *v1_controller, *v1_file;  // no file: the version has no such limit
  const char *v2_controller, *v2_file;
  Need need = Need::kNothing;
};

constexpr std::array kRows = {
    Row{"limits.memory.max_bytes", "memory", "memory.limit_in_bytes", "memory", "memory.max"},
    Row{"limits.memory.swap_bytes", "memory", "memory.memsw.limit_in_bytes", "memory",
        "memory.swap.max", Need::kSwap},
    Row{"limits.memory.reservation_bytes", "memory", "memory.soft_limit_in_bytes", "memory",
        "memory.low"},
    Row{"limits.memory.high_bytes", "memory", nullptr, "memory", "memory.high"},
    Row{"limits.memory.oom_group", "memory", nullptr, "memory", "memory.oom.group"},
    Row{"limits.cpu.shares", "cpu", "cpu.shares", "cpu", "cpu.weight"},
    Row{"limits.cpu.quota_us", "cpu", "cpu.cfs_quota_us", "cpu", "cpu.max"},
    Row{"limits.cpu.period_us", "cpu", "cpu.cfs_period_us", "cpu", "cpu.max"},
    Row{"limits.cpu.burst_us", "cpu", "cpu.cfs_burst_us", "cpu", "cpu.max.burst"},
    Row{"limits.cpu.idle", "cpu", "cpu.idle", "cpu", "cpu.idle"},
    Row{"limits.cpu.cpuset_cpus", "cpuset", "cpuset.cpus", "cpuset", "cpuset.cpus"},
    Row{"limits.cpu.cpuset_mems", "cpuset", "cpuset.mems", "cpuset", "cpuset.mems"},
    Row{"limits.pids", "pids", "pids.max", "pids", "pids.max"},
    Row{"limits.block_io.weight", "blkio", "blkio.bfq.weight", "io", "io.weight",
        Need::kBlockWeight},
    Row{"limits.block_io.devices.read_bytes_per_second", "blkio", "blkio.throttle.read_bps_device",
        "io", "io.max"},
    Row{"limits.block_io.devices.write_bytes_per_second", "blkio",
        "blkio.throttle.write_bps_device", "io", "io.max", Need::kDirectWritesOnV1},
    Row{"limits.block_io.devices.read_operations_per_second", "blkio",
        "blkio.throttle.read_iops_device", "io", "io.max"},
    Row{"limits.block_io.devices.write_operations_per_second", "blkio",
        "blkio.throttle.write_iops_device", "io", "io.max", Need::kDirectWritesOnV1},
    Row{"limits.hugetlb", "hugetlb", "", "hugetlb", "", Need::kHugePages},
    Row{"limits.rdma", "rdma", "rdma.max", "rdma", "rdma.max"},
    Row{"limits.misc", "misc", "misc.max", "misc", "misc.max"},
    Row{"limits.net_class_id", "net_cls", "net_cls.classid", "net_cls", nullptr},
    Row{"limits.net_priorities", "net_prio", "net_prio.ifpriomap", "net_prio", nullptr},
    Row{"limits.devices", "devices", "devices.allow", "devices", "", Need::kDevices},
};

bool HasSwap(const CgroupFs& fs) {
  auto swaps = ReadFileAt(AT_FDCWD, fs.HostPath("/proc/swaps"), 1 << 20);
  // A headline, and a line for each.
  return swaps.ok() && std::count(swaps->begin(), swaps->end(), '\n') > 1;
}

bool HasIoCost(const CgroupFs& fs) {
  // Only the root group has the file, and io.weight is without effect where no disk is enabled.
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    auto qos = ReadFileAt(AT_FDCWD, fs.HostPath(absl::StrCat(root, "/io.cost.qos")), 1 << 20);
    if (qos.ok() && qos->find("enable=1") != std::string::npos) return true;
  }
  return false;
}

bool HasCapability(int capability) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

Support No(std::string_view field, std::string reason, std::string remedy) {
  return {std::string(field), false, std::move(reason), std::move(remedy)};
}

Support CheckNeed(const Probe& probe, const Row& row) {
  switch (row.need) {
    case Need::kSwap:
      if (!HasSwap(*probe.fs)) {
        return No(row.field, "the host has no swap", "add swap with swapon(8)");
      }
      break;
    case Need::kBlockWeight:
      if (!HasBfqDisk(*probe.fs) && (probe.v1 || !HasIoCost(*probe.fs))) {
        return No(row.field, "the kernel takes a weight, but no disk has a scheduler that heeds it",
                  probe.v1 ? "echo bfq >/sys/block/DISK/queue/scheduler"
                           : "echo bfq >/sys/block/DISK/queue/scheduler, or enable io.cost.qos");
      }
      break;
    case Need::kDirectWritesOnV1:
      if (probe.v1) {
        Support part = No(row.field,
                          "cgroup v1 throttles direct writes only: buffered ones are written back "
                          "by the kernel, outside of the group",
                          kUseV2);
        part.in_part = true;
        return part;
      }
      break;
    case Need::kDevices:
      if (!(probe.v1 ? HasCapability(CAP_SYS_ADMIN) : probe.device_programs)) {
        return No(row.field,
                  probe.v1 ? "noded lacks CAP_SYS_ADMIN"
                           : "the kernel takes no cgroup device programs from noded",
                  probe.v1 ? "run noded with CAP_SYS_ADMIN"
                           : "a kernel with CONFIG_CGROUP_BPF, and CAP_BPF and CAP_NET_ADMIN or "
                             "CAP_SYS_ADMIN for noded");
      }
      break;
    case Need::kHugePages:
      if (HugePageSizes(*probe.fs).empty()) {
        return No(row.field, "the host has no huge pages", "a kernel with CONFIG_HUGETLBFS");
      }
      break;
    case Need::kNothing:
      break;
  }
  return {row.field, true, "", "", false};
}

Support Check(const Probe& probe, const Row& row) {
  const char* controller = probe.v1 ? row.v1_controller : row.v2_controller;
  const char* file = probe.v1 ? row.v1_file : row.v2_file;
  if (file == nullptr) {
    return No(row.field, absl::StrCat("cgroup ", probe.v1 ? "v1" : "v2", " has no such limit"),
              probe.v1 ? std::string(kUseV2)
                       : absl::StrCat("a host whose ", controller, " controller is on cgroup v1"));
  }
  bool program = row.need == Need::kDevices && !probe.v1;
  if (!program && !probe.has_controller(controller)) {
    return No(row.field,
              absl::StrCat("the ", controller, " controller is not available on this host"),
              probe.v1 ? absl::StrCat("mount -t cgroup -o ", controller, " ", controller,
                                      " /sys/fs/cgroup/", controller)
                       : absl::StrCat("enable it in cgroup.subtree_control from the root down to "
                                      "the parent group, in a kernel that has it"));
  }
  // io.bfq.weight may be there without io.weight.
  bool probed = *file != '\0' && row.need != Need::kBlockWeight;
  if (probed && !probe.has_file(controller, file)) {
    bool swap = row.need == Need::kSwap;
    return No(row.field, absl::StrCat("this kernel has no \"", file, "\""),
              swap ? "boot with swapaccount=1" : "a newer kernel");
  }
  return CheckNeed(probe, row);
}

const Row* Find(std::string_view field) {
  for (const Row& row : kRows) {
    if (row.field == field) return &row;
  }
  return nullptr;
}

Support CheckPause(const Probe& probe) {
  if (probe.unified_freezer || probe.has_controller("freezer"))
    return {"pause", true, "", "", false};
  return No("pause", "the freezer controller is not available on this host",
            "mount -t cgroup -o freezer freezer /sys/fs/cgroup/freezer");
}

Support CheckPressure(const Probe& probe) {
  if (probe.pressure) return {"stats.pressure", true, "", "", false};
  bool kernel = access(probe.fs->HostPath("/proc/pressure/cpu").c_str(), F_OK) == 0;
  return No("stats.pressure",
            kernel ? "there is no cgroup2 mount to read it from" : "the kernel tells no pressure",
            kernel ? "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"
                   : "boot with psi=1, in a kernel with CONFIG_PSI");
}

class UnkeptFinder {
 public:
  explicit UnkeptFinder(const Probe& probe) : probe_(probe) {}

  // `field` of the table, `name` of it in this list of limits.
  void Look(bool set, std::string_view field, std::string_view name = {}) {
    if (!set) return;
    Support support = Check(probe_, *Find(field));
    if (support.enforceable) return;
    found_.push_back({std::string(name.empty() ? field : name), std::move(support.reason),
                      std::move(support.remedy), support.in_part});
  }
  void Add(Unkept one) { found_.push_back(std::move(one)); }
  std::vector<Unkept> Take() && { return std::move(found_); }

 private:
  const Probe& probe_;
  std::vector<Unkept> found_;
};

void LookAtBlockDevices(const Limits& limits, UnkeptFinder& finder) {
  for (size_t i = 0; i < limits.block_devices.size(); ++i) {
    const BlockDeviceLimit& one = limits.block_devices[i];
    auto look = [&](const std::optional<uint64_t>& rate, std::string_view name) {
      finder.Look(rate.has_value(), absl::StrCat("limits.block_io.devices.", AsAbsl(name)),
                  absl::StrCat("limits.block_io.devices[", i, "].", AsAbsl(name)));
    };
    look(one.read_bytes, "read_bytes_per_second");
    look(one.write_bytes, "write_bytes_per_second");
    look(one.read_operations, "read_operations_per_second");
    look(one.write_operations, "write_operations_per_second");
  }
}

void LookAtHugetlb(const Probe& probe, const Limits& limits, UnkeptFinder& finder) {
  if (limits.hugetlb.empty()) return;
  std::vector<std::string> sizes = HugePageSizes(*probe.fs);
  bool works = Check(probe, *Find("limits.hugetlb")).enforceable;
  for (size_t i = 0; i < limits.hugetlb.size(); ++i) {
    std::string name = absl::StrCat("limits.hugetlb[", i, "]");
    const std::string& size = limits.hugetlb[i].page_size;
    if (!works) {
      finder.Look(true, "limits.hugetlb", name);
    } else if (std::find(sizes.begin(), sizes.end(), size) == sizes.end()) {
      finder.Add({name,
                  absl::StrCat("the host has no huge pages of \"", size, "\", but of ",
                               absl::StrJoin(sizes, ", ")),
                  "one of these sizes, or hugepagesz= at boot", false});
    }
  }
}

}  // namespace

std::vector<std::string> HugePageSizes(const CgroupFs& fs) {
  auto names = ListDirAt(AT_FDCWD, fs.HostPath("/sys/kernel/mm/hugepages"));
  if (!names.ok()) return {};
  std::vector<std::string> sizes;
  std::sort(names->begin(), names->end());
  for (const std::string& name : *names) {
    absl::string_view text = name;
    uint64_t kilobytes = 0;
    if (!absl::ConsumePrefix(&text, "hugepages-") || !absl::ConsumeSuffix(&text, "kB") ||
        !absl::SimpleAtoi(text, &kilobytes) || kilobytes == 0) {
      continue;
    }
    // As mm/hugetlb_cgroup.c names its files.
    constexpr uint64_t kMega = 1 << 10, kGiga = 1 << 20;
    sizes.push_back(kilobytes >= kGiga   ? absl::StrCat(kilobytes / kGiga, "GB")
                    : kilobytes >= kMega ? absl::StrCat(kilobytes / kMega, "MB")
                                         : absl::StrCat(kilobytes, "KB"));
  }
  return sizes;
}

bool HasBfqDisk(const CgroupFs& fs) {
  const std::string block = fs.HostPath("/sys/block");
  auto disks = ListDirAt(AT_FDCWD, block);
  if (!disks.ok()) return false;
  return std::any_of(disks->begin(), disks->end(), [&](const std::string& disk) {
    auto text = ReadFileAt(AT_FDCWD, absl::StrCat(block, "/", disk, "/queue/scheduler"));
    return text.ok() && text->find("[bfq]") != std::string::npos;
  });
}

std::vector<Support> ListSupport(const Probe& probe) {
  std::vector<Support> all;
  for (const Row& row : kRows) all.push_back(Check(probe, row));
  all.push_back(CheckPause(probe));
  all.push_back(CheckPressure(probe));
  return all;
}

std::vector<Unkept> FindUnkept(const Probe& probe, const Limits& limits) {
  UnkeptFinder finder(probe);
  finder.Look(limits.memory_bytes.has_value(), "limits.memory.max_bytes");
  // None at all is kept where there is none.
  bool no_swap_wanted = limits.swap_bytes == 0 && !HasSwap(*probe.fs);
  finder.Look(limits.swap_bytes && !no_swap_wanted, "limits.memory.swap_bytes");
  finder.Look(limits.memory_low_bytes.has_value(), "limits.memory.reservation_bytes");
  finder.Look(limits.memory_high_bytes.has_value(), "limits.memory.high_bytes");
  finder.Look(limits.oom_group, "limits.memory.oom_group");
  finder.Look(limits.cpu_shares.has_value(), "limits.cpu.shares");
  finder.Look(limits.cpu_quota_us.has_value(), "limits.cpu.quota_us");
  finder.Look(limits.cpu_period_us.has_value(), "limits.cpu.period_us");
  finder.Look(limits.cpu_burst_us.value_or(0) > 0, "limits.cpu.burst_us");
  finder.Look(limits.cpu_idle, "limits.cpu.idle");
  finder.Look(limits.cpuset_cpus.has_value(), "limits.cpu.cpuset_cpus");
  finder.Look(limits.cpuset_mems.has_value(), "limits.cpu.cpuset_mems");
  finder.Look(limits.pids_max.has_value(), "limits.pids");
  finder.Look(limits.block_weight.has_value(), "limits.block_io.weight");
  LookAtBlockDevices(limits, finder);
  LookAtHugetlb(probe, limits, finder);
  for (size_t i = 0; i < limits.rdma.size(); ++i) {
    finder.Look(true, "limits.rdma", absl::StrCat("limits.rdma[", i, "]"));
  }
  for (size_t i = 0; i < limits.scalars.size(); ++i) {
    finder.Look(true, "limits.misc", absl::StrCat("limits.misc[", i, "]"));
  }
  finder.Look(limits.net_class_id.has_value(), "limits.net_class_id");
  for (size_t i = 0; i < limits.net_priorities.size(); ++i) {
    finder.Look(true, "limits.net_priorities", absl::StrCat("limits.net_priorities[", i, "]"));
  }
  finder.Look(!limits.devices.empty(), "limits.devices");
  return std::move(finder).Take();
}

}  // namespace noded::cgroup
