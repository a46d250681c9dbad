// What noded and its supervisors weigh: with many idle containers, and after many start–stop
// cycles.
//
// usage: bench_size ADDRESS ROOTFS NODED_PID [CONTAINERS] [CYCLES]
#include <dirent.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "node/v1/container_service.grpc.pb.h"
#include "tests/bench/line_server.h"

namespace noded::bench {
namespace {

using node::v1::ContainerService;

// A "Name:   123 kB" line of a /proc file, in kB; -1 when it is not there.
long ReadKb(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line))
    if (line.rfind(name + ":", 0) == 0) return atol(line.c_str() + name.size() + 1);
  return -1;
}

int CountEntries(const std::string& path) {
  int count = 0;
  if (DIR* dir = opendir(path.c_str())) {
    while (readdir(dir)) ++count;
    closedir(dir);
  }
  return count - 2;
}

long ParentOf(long pid) { return ReadKb("/proc/" + std::to_string(pid) + "/status", "PPid"); }

struct Bench {
  std::unique_ptr<ContainerService::Stub> stub;
  std::string rootfs;
  std::string noded;  // "/proc/<pid>"

  std::string Run(const std::vector<std::string>& command, int64_t* pid) {
    node::v1::RunContainerRequest request;
    request.mutable_spec()->mutable_root()->set_host_directory(rootfs);
    for (const std::string& arg : command) request.mutable_spec()->mutable_process()->add_argv(arg);
    node::v1::RunContainerResponse response;
    grpc::ClientContext context;
    grpc::Status status = stub->RunContainer(&context, request, &response);
    if (!status.ok()) {
      fprintf(stderr, "RunContainer: %s\n", status.error_message().c_str());
      exit(1);
    }
    if (pid) *pid = response.container().pid();
    return response.container().id();
  }

  void Remove(const std::string& id) {
    node::v1::RemoveRequest request;
    request.set_container(id);
    request.set_force(true);
    node::v1::RemoveResponse response;
    grpc::ClientContext context;
    grpc::Status status = stub->Remove(&context, request, &response);
    if (!status.ok()) {
      fprintf(stderr, "Remove: %s\n", status.error_message().c_str());
      exit(1);
    }
  }

  long NodedKb(const std::string& what) { return ReadKb(noded + "/status", what); }

  void Idle(int containers) {
    const int fds_before = CountEntries(noded + "/fd");
    const long rss_before = NodedKb("VmRSS");
    std::vector<std::string> ids;
    std::vector<long> pss;
    for (int i = 0; i < containers; ++i) {
      int64_t pid = 0;
      ids.push_back(Run({"/bin/sleep", "1000000"}, &pid));
      pss.push_back(ParentOf(pid));
    }
    long total = 0, largest = 0;
    for (long& shim : pss) {
      shim = ReadKb("/proc/" + std::to_string(shim) + "/smaps_rollup", "Pss");
      total += shim;
      largest = std::max(largest, shim);
    }
    printf("with %d idle containers\n", containers);
    printf("  %-46s %8.1f kB (largest %ld)\n", "a supervisor's proportional set size, mean",
           double(total) / containers, largest);
    printf("  %-46s %8.1f MB (%.1f MB with none)\n", "noded resident", NodedKb("VmRSS") / 1024.0,
           rss_before / 1024.0);
    printf("  %-46s %8.1f\n", "noded's descriptors a container",
           double(CountEntries(noded + "/fd") - fds_before) / containers);
    printf("  %-46s %8ld\n", "noded's threads", NodedKb("Threads"));
    for (const std::string& id : ids) Remove(id);
  }

  void Cycles(int cycles) {
    // Until the ring of the last 10,000 changes, for watchers, is full: a cycle makes some four.
    const int warm_up = std::min(cycles, 3000);
    for (int i = 0; i < warm_up; ++i) Remove(Run({"/bin/true"}, nullptr));
    const int fds_before = CountEntries(noded + "/fd");
    std::string resident = std::to_string(NodedKb("VmRSS"));
    int64_t begin = NowNs();
    constexpr int kParts = 4;
    for (int part = 1; part <= kParts; ++part) {
      for (int i = 0; i < cycles / kParts; ++i) Remove(Run({"/bin/true"}, nullptr));
      resident += " → " + std::to_string(NodedKb("VmRSS"));
    }
    printf("over %d start–stop cycles (%.1f s, after %d to warm up)\n", cycles,
           (NowNs() - begin) / 1e9, warm_up);
    printf("  %-46s %s kB\n", "noded resident, at each quarter", resident.c_str());
    printf("  %-46s %8d → %d\n", "noded's descriptors", fds_before, CountEntries(noded + "/fd"));
  }
};

}  // namespace
}  // namespace noded::bench

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: bench_size ADDRESS ROOTFS NODED_PID [CONTAINERS] [CYCLES]\n");
    return 2;
  }
  noded::bench::Bench bench{node::v1::ContainerService::NewStub(
                                grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials())),
                            argv[2], std::string("/proc/") + argv[3]};
  bench.Idle(argc > 4 ? atoi(argv[4]) : 100);
  bench.Cycles(argc > 5 ? atoi(argv[5]) : 10000);
}
