// The floor: what the kernel alone costs to start a container like noded's. One process makes the
// same namespaces, cgroups, overlay, mounts, device nodes, masks and credentials by bare system
// calls, with no daemon, no supervisor, no plan, no log and no error text, and stops the clock when
// the program has been exec'd. bench_start compares RunContainer with it, pair by pair in one run.
//
// usage: floor ROOTFS WORKDIR      For each line on standard input one start; prints its
// nanoseconds.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>

namespace {

constexpr int kMaxHierarchies = 16;
struct Hierarchy {
  char mount_point[256];
  char options[128];  // the controllers, as mount(2) takes them; empty: cgroup2
};
Hierarchy hierarchies[kMaxHierarchies];
int hierarchy_count = 0;
bool unified = false;  // pure v2
const char* rootfs;
const char* workdir;

void Die(const char* what) {
  perror(what);
  _exit(99);
}

int64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

void FindHierarchies() {
  FILE* file = fopen("/proc/self/mountinfo", "re");
  char line[4096];
  while (fgets(line, sizeof line, file) && hierarchy_count < kMaxHierarchies) {
    char mount_point[256], type[64], source[256], super_options[512];
    char* dash = strstr(line, " - ");
    if (!dash || sscanf(line, "%*d %*d %*s %*s %255s", mount_point) != 1 ||
        sscanf(dash, " - %63s %255s %511s", type, source, super_options) != 3)
      continue;
    Hierarchy& h = hierarchies[hierarchy_count];
    if (strcmp(type, "cgroup2") == 0) {
      h.options[0] = 0;
    } else if (strcmp(type, "cgroup") == 0) {
      const char* controllers = super_options + strcspn(super_options, ",");
      if (*controllers == ',') controllers++;
      snprintf(h.options, sizeof h.options, strncmp(controllers, "name=", 5) ? "%s" : "none,%s",
               controllers);
      size_t length = strcspn(h.options, "\n");
      h.options[length] = 0;
    } else {
      continue;
    }
    snprintf(h.mount_point, sizeof h.mount_point, "%s", mount_point);
    hierarchy_count++;
  }
  fclose(file);
  unified = hierarchy_count == 1 && !hierarchies[0].options[0];
}

void Write(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, text, strlen(text)) < 0 && getenv("FLOOR_DEBUG")) perror(path);
  close(fd);
}

void WriteIn(const char* dir, const char* name, const char* text) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  Write(path, text);
}

bool Controls(const Hierarchy& h, const char* controller) {
  char wrapped[160], wanted[64];
  snprintf(wrapped, sizeof wrapped, ",%s,", h.options);
  snprintf(wanted, sizeof wanted, ",%s,", controller);
  return strstr(wrapped, wanted) != nullptr;
}

const char* const kDevices[] = {"c *:* m",   "b *:* m",   "c 1:3 rwm",  "c 1:5 rwm",
                                "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",  "c 5:0 rwm",
                                "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"};

void MakeCgroups(const char* id, char dirs[][512]) {
  for (int i = 0; i < hierarchy_count; i++) {
    const Hierarchy& h = hierarchies[i];
    char* dir = dirs[i];
    snprintf(dir, 512, "%s/noded-floor/%s", h.mount_point, id);
    if (mkdir(dir, 0755) < 0) Die(dir);
    if (unified || Controls(h, "memory")) {
      WriteIn(dir, unified ? "memory.max" : "memory.limit_in_bytes", "67108864");
    }
    if (unified) WriteIn(dir, "cpu.max", "50000 100000");
    if (Controls(h, "cpu")) {
      WriteIn(dir, "cpu.cfs_period_us", "100000");
      WriteIn(dir, "cpu.cfs_quota_us", "50000");
    }
    if (unified || Controls(h, "pids")) WriteIn(dir, "pids.max", "100");
    if (Controls(h, "devices")) {
      WriteIn(dir, "devices.deny", "a");
      for (const char* rule : kDevices) WriteIn(dir, "devices.allow", rule);
    }
  }
}

void Mount(const char* source, const char* target, const char* type, unsigned long flags,
           const char* options) {
  if (mount(source, target, type, flags, options) < 0) Die(target);
}

void MaskAndProtect() {
  const char* const files[] = {"/proc/kcore",         "/proc/keys",        "/proc/timer_list",
                               "/proc/latency_stats", "/proc/timer_stats", "/proc/sched_debug"};
  for (const char* path : files) mount("/dev/null", path, nullptr, MS_BIND, nullptr);
  const char* const directories[] = {"/proc/asound", "/proc/acpi", "/proc/scsi", "/sys/firmware",
                                     "/sys/devices/virtual/powercap"};
  for (const char* path : directories) mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0k");
  const char* const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                   "/proc/sysrq-trigger"};
  for (const char* path : read_only) {
    if (mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) == 0)
      mount(nullptr, path, nullptr,
            MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  }
}

void MakeDevices() {
  const struct {
    const char* path;
    int major, minor;
  } nodes[] = {{"dev/null", 1, 3},   {"dev/zero", 1, 5},    {"dev/full", 1, 7},
               {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
  for (const auto& node : nodes)
    if (mknod(node.path, S_IFCHR | 0666, makedev(node.major, node.minor)) < 0) Die(node.path);
  symlink("/proc/self/fd", "dev/fd");
  symlink("/proc/self/fd/0", "dev/stdin");
  symlink("/proc/self/fd/1", "dev/stdout");
  symlink("/proc/self/fd/2", "dev/stderr");
  symlink("pts/ptmx", "dev/ptmx");
}

void MountCgroupView() {
  if (unified) {
    Mount("cgroup", "sys/fs/cgroup", "cgroup2", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
          nullptr);
    return;
  }
  Mount("tmpfs", "sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755");
  for (int i = 0; i < hierarchy_count; i++) {
    char target[512];
    snprintf(target, sizeof target, "sys/fs/cgroup/%s",
             strrchr(hierarchies[i].mount_point, '/') + 1);
    mkdir(target, 0755);
    bool v2 = !hierarchies[i].options[0];
    Mount("cgroup", target, v2 ? "cgroup2" : "cgroup", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
          v2 ? nullptr : hierarchies[i].options);
  }
}

void LoopbackUp() {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request = {};
  strcpy(request.ifr_name, "lo");
  ioctl(fd, SIOCGIFFLAGS, &request);
  request.ifr_flags |= IFF_UP;
  ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
}

void DropCapabilities() {
  constexpr uint64_t kKept = 0xa80425fb;  // Docker's 14
  for (int capability = 0; capability <= 40; capability++)
    if (!(kKept >> capability & 1)) prctl(PR_CAPBSET_DROP, capability);
  struct {
    uint32_t version;
    int pid;
  } header = {0x20080522, 0};
  struct {
    uint32_t effective, permitted, inheritable;
  } data[2] = {{uint32_t(kKept), uint32_t(kKept), 0}, {0, 0, 0}};
  if (syscall(SYS_capset, &header, data) < 0) Die("capset");
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

// The cheapest way in: it is born in its cgroup2, and moves itself elsewhere.
void EnterCgroups(char dirs[][512]) {
  for (int i = 0; i < hierarchy_count; i++)
    if (hierarchies[i].options[0]) WriteIn(dirs[i], "tasks", "0");
}

[[noreturn]] void Child(const char* dir, char cgroups[][512]) {
  EnterCgroups(cgroups);
  if (unshare(CLONE_NEWCGROUP) < 0) Die("cgroup namespace");
  Mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  char options[2048], merged[512], source[512];
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work", rootfs, dir,
           dir);
  snprintf(merged, sizeof merged, "%s/merged", dir);
  Mount("overlay", merged, "overlay", 0, options);
  if (chdir(merged) < 0) Die("chdir");
  Mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  Mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
  mkdir("dev/pts", 0755);
  Mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=0620,gid=5");
  mkdir("dev/shm", 0755);
  Mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k");
  mkdir("dev/mqueue", 0755);
  Mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  Mount("sysfs", "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  MountCgroupView();
  for (const char* name : {"hosts", "resolv.conf", "hostname"}) {
    char target[64];
    snprintf(source, sizeof source, "%s/%s", dir, name);
    snprintf(target, sizeof target, "etc/%s", name);
    close(open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    Mount(source, target, nullptr, MS_BIND, nullptr);
  }
  MakeDevices();
  if (syscall(SYS_pivot_root, ".", ".") < 0) Die("pivot_root");
  if (umount2(".", MNT_DETACH) < 0) Die("umount");
  MaskAndProtect();
  sethostname("floor", 5);
  LoopbackUp();
  setsid();
  DropCapabilities();
  syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
  char* argv[] = {const_cast<char*>("/bin/true"), nullptr};
  char* env[] = {const_cast<char*>("PATH=/bin"), nullptr};
  execve(argv[0], argv, env);
  Die("execve");
  _exit(97);
}

void PrepareDirectory(const char* dir) {
  char path[512];
  mkdir(dir, 0700);
  for (const char* name : {"upper", "work", "merged"}) {
    snprintf(path, sizeof path, "%s/%s", dir, name);
    mkdir(path, 0755);
  }
  for (const char* name : {"hosts", "resolv.conf", "hostname"}) {
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (write(fd, "127.0.0.1 localhost\n", 20) != 20) Die(path);
    close(fd);
  }
}

int64_t StartOnce(int number) {
  char id[64], dir[400];
  static char cgroups[kMaxHierarchies][512];
  snprintf(id, sizeof id, "%d-%d", getpid(), number);
  snprintf(dir, sizeof dir, "%s/%s", workdir, id);

  int64_t begin = NowNs();
  PrepareDirectory(dir);
  MakeCgroups(id, cgroups);
  int done[2];
  if (pipe2(done, O_CLOEXEC) < 0) Die("pipe");
  int pidfd = -1;
  clone_args args = {};
  args.flags =
      CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  int group = -1;
  for (int i = 0; i < hierarchy_count; i++) {
    if (hierarchies[i].options[0]) continue;
    group = open(cgroups[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(group);
  }
  pid_t pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
  if (pid < 0) Die("clone3");
  if (pid == 0) {
    close(done[0]);
    Child(dir, cgroups);
  }
  close(done[1]);
  char byte;
  if (read(done[0], &byte, 1) != 0) Die("exec");
  int64_t end = NowNs();

  close(done[0]);
  if (group >= 0) close(group);
  int status = 0;
  waitpid(pid, &status, 0);
  close(pidfd);
  if (status != 0) {
    fprintf(stderr, "floor: child ended with status %d\n", status);
    exit(1);
  }
  for (int i = 0; i < hierarchy_count; i++)
    while (rmdir(cgroups[i]) < 0) usleep(1000);
  return end - begin;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: floor ROOTFS WORKDIR\n");
    return 2;
  }
  rootfs = argv[1];
  workdir = argv[2];
  FindHierarchies();
  char dir[512];
  for (int i = 0; i < hierarchy_count; i++) {
    snprintf(dir, sizeof dir, "%s/noded-floor", hierarchies[i].mount_point);
    mkdir(dir, 0755);
    if (Controls(hierarchies[i], "cpuset")) {
      WriteIn(dir, "cpuset.cpus", "0");
      WriteIn(dir, "cpuset.mems", "0");
      WriteIn(dir, "cgroup.clone_children", "1");
    }
    if (unified) WriteIn(dir, "cgroup.subtree_control", "+memory +cpu +pids");
  }
  char line[16];
  for (int number = 0; fgets(line, sizeof line, stdin); number++) {
    printf("%lld\n", static_cast<long long>(StartOnce(number)));
    fflush(stdout);
  }
  for (int i = 0; i < hierarchy_count; i++) {
    snprintf(dir, sizeof dir, "%s/noded-floor", hierarchies[i].mount_point);
    rmdir(dir);
  }
}
