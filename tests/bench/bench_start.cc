// How long it takes to start a container: RunContainer over a Unix socket until its process has
// been exec'd, in turn with the floor program and with `crun run` and `runc run` of the same
// command where they are installed.
//
// usage: bench_start ADDRESS ROOTFS WORKDIR FLOOR [COUNT]
//        bench_start --pair COUNT 'COMMAND A' 'COMMAND B'   (whole commands in turn; words split at
//        spaces) bench_start --serve COMMAND…                       (a line server that runs
//        COMMAND; used for the peers)
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <utility>

#include "node/v1/container_service.grpc.pb.h"
#include "tests/bench/line_server.h"

namespace noded::bench {
namespace {

using node::v1::ContainerService;

struct Contender {
  std::string name;
  std::unique_ptr<LineServer> server;
  std::vector<int64_t> samples;
};

node::v1::RunContainerRequest TrueRequest(const std::string& rootfs) {
  node::v1::RunContainerRequest request;
  auto* spec = request.mutable_spec();
  spec->mutable_root()->set_host_directory(rootfs);
  spec->mutable_process()->add_argv("/bin/true");
  spec->mutable_limits()->mutable_memory()->set_max_bytes(64 << 20);
  spec->mutable_limits()->mutable_cpu()->set_quota_us(50000);
  spec->mutable_limits()->set_pids(100);
  return request;
}

// Until exec'd, and until its end; what is left is removed off the clock.
struct Times {
  int64_t execed_ns, ended_ns;
};
std::optional<Times> RunOnce(ContainerService::Stub* stub,
                             const node::v1::RunContainerRequest& request) {
  node::v1::RunContainerResponse response;
  grpc::ClientContext run_context;
  int64_t begin = NowNs();
  grpc::Status status = stub->RunContainer(&run_context, request, &response);
  int64_t execed = NowNs();
  if (!status.ok()) {
    fprintf(stderr, "RunContainer: %s\n", status.error_message().c_str());
    return std::nullopt;
  }
  node::v1::WaitRequest wait;
  wait.set_container(response.container().id());
  node::v1::WaitResponse waited;
  grpc::ClientContext wait_context;
  stub->Wait(&wait_context, wait, &waited);
  int64_t ended = NowNs();
  node::v1::RemoveRequest remove;
  remove.set_container(response.container().id());
  node::v1::RemoveResponse removed;
  grpc::ClientContext remove_context;
  status = stub->Remove(&remove_context, remove, &removed);
  if (!status.ok()) {
    fprintf(stderr, "Remove: %s\n", status.error_message().c_str());
    return std::nullopt;
  }
  return Times{execed - begin, ended - begin};
}

// The kernel takes a container's namespaces and cgroups down some milliseconds after its end, on
// whatever processor: one contender's must not fall into the next one's time.
void Settle() { usleep(20'000); }

void PrintRow(const std::string& name, const Series& series, double floor_ms) {
  printf("%-34s %8.2f %8.2f %8.2f %8.2f\n", name.c_str(), series.MinMs(), series.MedianMs(),
         series.P90Ms(), series.MedianMs() / floor_ms);
}

// crun refuses a host where cgroup2 is mounted beside v1, so it is hidden from it in a mount
// namespace of its own.
std::vector<std::string> PeerArgv(const std::string& self, const std::string& runtime,
                                  const std::string& workdir) {
  std::string command = "umount /sys/fs/cgroup/unified 2>/dev/null; exec '" + self + "' --serve " +
                        runtime + " run --bundle '" + workdir + "/bundle' bench-" + runtime;
  return {"unshare", "-m", "--propagation", "private", "sh", "-c", command};
}

std::vector<std::string> ServeArgv(const std::string& self, const std::string& command) {
  std::vector<std::string> argv = {self, "--serve"};
  std::istringstream words(command);
  for (std::string word; words >> word;) argv.push_back(word);
  return argv;
}

int Pair(const std::string& self, int count, const std::string& a, const std::string& b) {
  auto server_a = LineServer::Start(ServeArgv(self, a));
  auto server_b = LineServer::Start(ServeArgv(self, b));
  std::vector<int64_t> samples_a, samples_b;
  for (int round = -3; round < count; ++round) {
    auto ns_a = server_a->Round();
    auto ns_b = server_b->Round();
    if (!ns_a || !ns_b) return 1;
    if (round < 0) continue;
    samples_a.push_back(*ns_a);
    samples_b.push_back(*ns_b);
  }
  const Series series_a(samples_a), series_b(samples_b);
  printf("%-34s %8s %8s %8s\n", "whole commands, ms", "min", "median", "p90");
  for (const auto& [name, series] : {std::pair(&a, &series_a), std::pair(&b, &series_b)})
    printf("%-34.34s %8.2f %8.2f %8.2f\n",
           name->substr(name->find_last_of('/', name->find(' ')) + 1).c_str(), series->MinMs(),
           series->MedianMs(), series->P90Ms());
  printf("ratio of medians %32.2f\n", series_a.MedianMs() / series_b.MedianMs());
  return 0;
}

int Compare(const std::string& self, int argc, char** argv) {
  const std::string address = argv[1], rootfs = argv[2], workdir = argv[3], floor = argv[4];
  const int count = argc > 5 ? atoi(argv[5]) : 100;
  auto stub =
      ContainerService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  std::vector<Contender> others;
  others.push_back({"floor: bare system calls", LineServer::Start({floor, rootfs, workdir})});
  for (const std::string runtime : {"crun", "runc"})
    if (system(("command -v " + runtime + " >/dev/null").c_str()) == 0)
      others.push_back(
          {runtime + " run, to its end", LineServer::Start(PeerArgv(self, runtime, workdir))});

  const auto request = TrueRequest(rootfs);
  std::vector<int64_t> execed, ended;
  for (int round = -3; round < count; ++round) {  // three to warm up
    Settle();
    std::optional<Times> times = RunOnce(stub.get(), request);
    if (!times) return 1;
    if (round >= 0) {
      execed.push_back(times->execed_ns);
      ended.push_back(times->ended_ns);
    }
    for (Contender& other : others) {
      Settle();
      std::optional<int64_t> ns = other.server ? other.server->Round() : std::nullopt;
      if (!ns) {
        other.server.reset();
      } else if (round >= 0) {
        other.samples.push_back(*ns);
      }
    }
  }
  if (others[0].samples.empty()) return 1;
  const double floor_ms = Series(others[0].samples).MedianMs();
  printf("%-34s %8s %8s %8s %8s\n", "start of /bin/true, ms", "min", "median", "p90", "x floor");
  PrintRow("RunContainer, until exec'd", Series(execed), floor_ms);
  PrintRow("RunContainer and Wait, to its end", Series(ended), floor_ms);
  for (const Contender& other : others) {
    if (other.samples.empty()) {
      printf("%-34s not measured: it failed\n", other.name.c_str());
      continue;
    }
    PrintRow(other.name, Series(other.samples), floor_ms);
  }
  for (const Contender& other : others)
    if (!other.samples.empty())
      printf("RunContainer / %-19s %8.2f\n", other.name.substr(0, other.name.find(' ')).c_str(),
             Series(execed).MedianMs() / Series(other.samples).MedianMs());
  return 0;
}

}  // namespace
}  // namespace noded::bench

int main(int argc, char** argv) {
  if (argc > 2 && std::string(argv[1]) == "--serve")
    return noded::bench::ServeRuns({argv + 2, argv + argc});
  char self[4096] = {};
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) return 1;
  if (argc == 5 && std::string(argv[1]) == "--pair")
    return noded::bench::Pair(self, atoi(argv[2]), argv[3], argv[4]);
  if (argc < 5) {
    fprintf(stderr, "usage: bench_start ADDRESS ROOTFS WORKDIR FLOOR [COUNT]\n");
    return 2;
  }
  return noded::bench::Compare(self, argc, argv);
}
