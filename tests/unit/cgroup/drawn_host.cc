#include "tests/unit/cgroup/drawn_host.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace noded::cgroup {
namespace {

namespace fs = std::filesystem;

std::string Replace(std::string text, char from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, 1, to);
  }
  return text;
}

std::string ReadAll(const std::string& path) {
  std::stringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

}  // namespace

// The numbers in new groups are the same on every host, so that one test can expect one Stats of
// all.
const char kV1Host[] = R"(
mount systemd     cgroup rw,xattr,name=systemd
mount cpu,cpuacct cgroup rw,cpu,cpuacct
mount cpuset      cgroup rw,cpuset
mount memory      cgroup rw,memory
mount devices     cgroup rw,devices
mount freezer     cgroup rw,freezer
mount pids        cgroup rw,pids
mount blkio       cgroup rw,blkio
mount hugetlb     cgroup rw,hugetlb
file  sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages 0|
file  sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages 0|
file  cpuset/cpuset.cpus 0-3|
file  cpuset/cpuset.mems 0|
new   systemd     cgroup.procs
new   systemd     tasks
new   cpu,cpuacct cgroup.procs
new   cpu,cpuacct tasks
new   cpu,cpuacct cpu.shares 1024|
new   cpu,cpuacct cpu.idle 0|
new   cpu,cpuacct cpu.cfs_period_us 100000|
new   cpu,cpuacct cpu.cfs_quota_us -1|
new   cpu,cpuacct cpu.cfs_burst_us 0|
new   cpu,cpuacct cpu.stat nr_periods 10|nr_throttled 4|throttled_time 5000000|
new   cpu,cpuacct cpuacct.usage 3000000|
new   cpu,cpuacct cpuacct.usage_user 2000000|
new   cpu,cpuacct cpuacct.usage_sys 1000000|
new   cpuset      cgroup.procs
new   cpuset      tasks
new   cpuset      cgroup.clone_children
new   cpuset      cpuset.cpus
new   cpuset      cpuset.mems
new   memory      cgroup.procs
new   memory      tasks
new   memory      memory.limit_in_bytes 9223372036854771712|
new   memory      memory.memsw.limit_in_bytes 9223372036854771712|
new   memory      memory.soft_limit_in_bytes 9223372036854771712|
new   memory      memory.failcnt 7|
new   memory      memory.usage_in_bytes 10000|
new   memory      memory.max_usage_in_bytes 20000|
new   memory      memory.oom_control oom_kill_disable 0|under_oom 0|oom_kill 2|
new   memory      memory.stat rss 1|hierarchical_memory_limit 65536|total_cache 4000|total_rss 6000|total_swap 100|total_pgfault 50|total_pgmajfault 5|total_inactive_file 3000|
new   devices     cgroup.procs
new   devices     tasks
new   devices     devices.allow
new   devices     devices.deny
new   devices     devices.list a *:* rwm|
new   blkio       cgroup.procs
new   blkio       tasks
new   blkio       blkio.bfq.weight 100|
new   blkio       blkio.throttle.read_bps_device
new   blkio       blkio.throttle.write_bps_device
new   blkio       blkio.throttle.read_iops_device
new   blkio       blkio.throttle.write_iops_device
new   blkio       blkio.throttle.io_service_bytes_recursive 8:0 Read 512|8:0 Write 1024|Total 1536|
new   blkio       blkio.throttle.io_serviced_recursive 8:0 Read 1|8:0 Write 2|Total 3|
new   hugetlb     cgroup.procs
new   hugetlb     tasks
new   hugetlb     hugetlb.2MB.limit_in_bytes 9223372036854771712|
new   hugetlb     hugetlb.2MB.usage_in_bytes 2097152|
new   hugetlb     hugetlb.1GB.limit_in_bytes 9223372036854771712|
new   hugetlb     hugetlb.1GB.usage_in_bytes 0|
new   freezer     cgroup.procs
new   freezer     tasks
new   freezer     freezer.state THAWED
new   pids        cgroup.procs
new   pids        tasks
new   pids        pids.current 3|
new   pids        pids.max 64|
)";

// Beside the v1 host.
const char kUnifiedBeside[] = R"(
mount unified     cgroup2 rw,nsdelegate
file  unified/cgroup.controllers hugetlb|
file  unified/cgroup.subtree_control
new   unified     cgroup.procs
new   unified     cgroup.kill
new   unified     cgroup.freeze
new   unified     cpu.stat usage_usec 3000|user_usec 2000|system_usec 1000|
new   unified     cpu.pressure some avg10=1.00 avg60=2.00 avg300=3.00 total=4|
new   unified     memory.pressure some avg10=1.00 avg60=2.00 avg300=3.00 total=4|
new   unified     io.pressure some avg10=1.00 avg60=2.00 avg300=3.00 total=4|
new   unified     cgroup.events populated 0|frozen 1|
)";

// /noded is there from an earlier start, because a file takes no "+memory" as the kernel's does.
const char kV2Host[] = R"(
mount .           cgroup2 rw,nsdelegate,memory_recursiveprot
file  cgroup.controllers cpuset cpu io memory hugetlb pids rdma|
file  cgroup.subtree_control memory pids|
file  noded/cgroup.controllers cpuset cpu hugetlb io memory pids|
file  noded/cgroup.subtree_control cpuset cpu hugetlb io memory pids|
file  sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages 0|
file  sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages 0|
new   .           cgroup.controllers cpuset cpu hugetlb io memory pids|
new   .           cgroup.subtree_control
new   .           cgroup.procs
new   .           cgroup.kill
new   .           cgroup.freeze
new   .           cgroup.events populated 0|frozen 1|
new   .           cpu.weight 100|
new   .           cpu.idle 0|
new   .           cpu.max max 100000|
new   .           cpu.max.burst 0|
new   .           cpu.pressure some avg10=1.00 avg60=2.00 avg300=3.00 total=4|
new   .           memory.pressure some avg10=1.00 avg60=2.00 avg300=3.00 total=4|
new   .           io.pressure some avg10=1.00 avg60=2.00 avg300=3.00 total=4|
new   .           io.stat 8:0 rbytes=512 wbytes=1024 rios=1 wios=2 dbytes=0 dios=0|
new   .           io.max
new   .           io.bfq.weight default 100|
new   .           hugetlb.2MB.max max|
new   .           hugetlb.2MB.current 2097152|
new   .           hugetlb.1GB.max max|
new   .           hugetlb.1GB.current 0|
new   .           cpu.stat usage_usec 3000|user_usec 2000|system_usec 1000|nr_periods 10|nr_throttled 4|throttled_usec 5000|
new   .           cpuset.cpus
new   .           cpuset.mems
new   .           memory.max 65536|
new   .           memory.low 0|
new   .           memory.high max|
new   .           memory.oom.group 0|
new   .           memory.reclaim
new   .           memory.swap.max max|
new   .           memory.current 10000|
new   .           memory.swap.current 100|
new   .           memory.peak 20000|
new   .           memory.events low 0|high 0|max 7|oom 3|oom_kill 2|
new   .           memory.stat anon 6000|file 4000|inactive_file 3000|pgfault 50|pgmajfault 5|
new   .           pids.current 3|
new   .           pids.max 64|
)";

class DrawnHost::Fs : public CgroupFs {
 public:
  struct NewFile {
    std::string below, name, content;
  };

  int MakeGroup(int parent, const char* name) override {
    if (fail_at_ > 0 && --fail_at_ == 0) {
      errno = fail_with_;
      return -1;
    }
    std::string path = PathOf(parent) + "/" + name;
    if (mkdir(path.c_str(), 0755) != 0) return -1;
    for (const NewFile& file : new_files_) {
      bool below = file.below == "." || path.starts_with(dir_ + "/" + file.below + "/");
      if (below) {
        std::ofstream(path + "/" + file.name) << file.content;
      }
    }
    CloneCpuset(PathOf(parent), path);
    return 0;
  }

  // As the kernel does: not with tasks in it or groups below it; its files go along.
  int RemoveGroup(int parent, const char* name) override {
    std::string path = PathOf(parent) + "/" + name;
    if (!fs::exists(path)) {
      errno = ENOENT;
      return -1;
    }
    bool busy = !ReadAll(path + "/cgroup.procs").empty();
    for (const auto& entry : fs::directory_iterator(path)) busy |= entry.is_directory();
    if (busy) {
      errno = EBUSY;
      return -1;
    }
    fs::remove_all(path);
    return 0;
  }

  std::string HostPath(const std::string& path) const override { return dir_ + path; }

  bool DeviceProgramsWork() override { return device_programs_work_; }
  absl::Status AttachDevices(int group, const std::vector<DeviceRule>& rules) override {
    attached_[PathOf(group).substr(dir_.size() + 1)] = rules;
    return absl::OkStatus();
  }

  // cgroup.clone_children of the parent.
  static void CloneCpuset(const std::string& parent, const std::string& path) {
    if (ReadAll(parent + "/cgroup.clone_children") != "1") return;
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      std::ofstream(path + file) << ReadAll(parent + file);
    }
  }

  static std::string PathOf(int fd) {
    return fs::read_symlink("/proc/self/fd/" + std::to_string(fd)).string();
  }

  std::string dir_;
  std::vector<NewFile> new_files_;
  int fail_at_ = 0, fail_with_ = 0;
  bool device_programs_work_ = true;
  std::map<std::string, std::vector<DeviceRule>> attached_;
};

DrawnHost::DrawnHost(const std::string& picture) : fs_(std::make_shared<Fs>()) {
  std::string pattern = testing::TempDir() + "noded_cgroup_XXXXXX";
  dir_ = fs::canonical(mkdtemp(pattern.data())).string();
  fs_->dir_ = dir_;
  std::string mountinfo = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n";
  std::istringstream lines(picture);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind, path, name, rest;
    words >> kind >> path;
    if (kind == "mount") {
      std::string type, options;
      words >> type >> options;
      MakeDir(path);
      mountinfo += "31 23 0:28 / " + fs::path(dir_ + "/" + path).lexically_normal().string() +
                   " rw,nosuid - " + type + " " + type + " " + options + "\n";
    } else if (kind == "new") {
      words >> name >> std::ws;
      std::getline(words, rest);
      fs_->new_files_.push_back({path, name, Replace(rest, '|', "\n")});
    } else if (kind == "file") {
      words >> std::ws;
      std::getline(words, rest);
      Write(path, Replace(rest, '|', "\n"));
    }
  }
  Write("mountinfo", mountinfo);
}

DrawnHost::~DrawnHost() {
  std::error_code ignored;
  fs::remove_all(dir_, ignored);
}

bool DrawnHost::Exists(const std::string& path) const { return fs::exists(dir_ + "/" + path); }
std::string DrawnHost::Read(const std::string& path) const { return ReadAll(dir_ + "/" + path); }

void DrawnHost::Write(const std::string& path, const std::string& content) const {
  fs::create_directories(fs::path(dir_ + "/" + path).parent_path());
  std::ofstream(dir_ + "/" + path) << content;
}

void DrawnHost::MakeDir(const std::string& path) const {
  fs::create_directories(dir_ + "/" + path);
}

void DrawnHost::RemoveDir(const std::string& path) const { fs::remove_all(dir_ + "/" + path); }

std::vector<std::string> DrawnHost::Directories(const std::string& name) const {
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(dir_)) {
    if (entry.is_directory() && entry.path().filename() == name) {
      found.push_back(entry.path().lexically_relative(dir_).string());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

absl::StatusOr<std::unique_ptr<Driver>> DrawnHost::Open(const std::string& driver,
                                                        const std::string& parent,
                                                        bool make_parent) const {
  return OpenDriverOn({.parent = parent,
                       .make_parent = make_parent,
                       .driver = driver,
                       .mounts_path = dir_ + "/mountinfo"},
                      fs_);
}

void DrawnHost::FailMakeGroup(int nth, int error) {
  fs_->fail_at_ = nth;
  fs_->fail_with_ = error;
}

void DrawnHost::SetDeviceProgramsWork(bool work) { fs_->device_programs_work_ = work; }

const std::map<std::string, std::vector<DeviceRule>>& DrawnHost::attached() const {
  return fs_->attached_;
}

}  // namespace noded::cgroup
