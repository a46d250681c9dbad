// What sampling costs: an engine with many idle containers, sampled once a second, beside a floor
// that does the same preads on held descriptors and nothing with them, in turns in one process, so
// that both have the same caches and the same clock. Without gRPC.
//
// usage: bench_stats <directory> <rootfs> <node-shim> [<containers>]
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "node/engine.h"

namespace {

using node::v1::StatsResponse;
using noded::Engine;

constexpr char kCgroupParent[] = "/noded-bench-stats";
constexpr int kRounds = 8;
constexpr int kSingles = 300;

double Seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "bench_stats: %s\n", why.c_str());
  std::exit(1);
}

size_t Descriptors() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                           std::filesystem::directory_iterator()));
}

// What a descriptor was opened by.
std::string Target(const std::string& fd) {
  std::error_code gone;
  return std::filesystem::read_symlink("/proc/self/fd/" + fd, gone).string();
}

// The files that the engine holds to sample with, opened once more each.
std::vector<int> OpenFloor() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::string path = Target(entry.path().filename());
    bool in_group =
        path.find(kCgroupParent) != std::string::npos && !std::filesystem::is_directory(path);
    if (in_group || path.ends_with("/net/dev")) paths.push_back(path);
  }
  std::sort(paths.begin(), paths.end());
  std::vector<int> floor;
  for (const std::string& path : paths) {
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) floor.push_back(fd);
  }
  return floor;
}

StatsResponse Next(noded::ResponseStream<StatsResponse>& stream) {
  absl::Notification told;
  StatsResponse response;
  stream.Next([&](absl::StatusOr<std::optional<StatsResponse>> message) {
    if (message.ok() && message->has_value()) response = **std::move(message);
    told.Notify();
  });
  told.WaitForNotification();
  return response;
}

std::string Start(Engine& engine, const std::string& rootfs, int count) {
  std::string first;
  for (int i = 0; i < count; ++i) {
    node::v1::RunContainerRequest request;
    request.mutable_spec()->mutable_root()->set_host_directory(rootfs);
    request.mutable_spec()->mutable_process()->add_argv("/bin/sleep");
    request.mutable_spec()->mutable_process()->add_argv("100000");
    absl::Notification told;
    engine.RunContainer(request, [&](absl::StatusOr<node::v1::RunContainerResponse> response) {
      if (!response.ok()) Fail(std::string(response.status().message()));
      if (first.empty()) first = response->container().id();
      told.Notify();
    });
    told.WaitForNotification();
  }
  return first;
}

void RemoveAll(Engine& engine) {
  node::v1::ListRequest page;
  while (true) {
    auto listed = engine.List(page);
    if (!listed.ok() || listed->containers().empty()) return;
    absl::BlockingCounter left(listed->containers_size());
    for (const node::v1::Container& container : listed->containers()) {
      node::v1::RemoveRequest request;
      request.set_container(container.id());
      request.set_force(true);
      engine.Remove(
          request, [&](const absl::StatusOr<node::v1::RemoveResponse>&) { left.DecrementCount(); });
    }
    left.Wait();
  }
}

double FloorRound(const std::vector<int>& floor) {
  static char buffer[16 << 10];
  double begin = Seconds(CLOCK_THREAD_CPUTIME_ID);
  for (int fd : floor) {
    if (pread(fd, buffer, sizeof(buffer), 0) < 0) Fail("the floor's read failed");
  }
  return Seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
}

void MeasureRounds(Engine& engine, int containers, size_t without) {
  node::v1::StatsRequest request;
  request.mutable_interval()->set_seconds(1);
  auto stream = engine.Stats(request);
  if (!stream.ok()) Fail("no stream");
  for (int i = 0; i < 2; ++i) Next(**stream);  // opens, and measures layers for the first time
  size_t descriptors = Descriptors() - without;
  std::vector<int> floor = OpenFloor();
  std::vector<double> of_engine, of_floor;
  for (int round = 0; round < kRounds; ++round) {
    // Of all threads, for the whole second.
    double begin = Seconds(CLOCK_PROCESS_CPUTIME_ID);
    StatsResponse response = Next(**stream);
    of_engine.push_back(Seconds(CLOCK_PROCESS_CPUTIME_ID) - begin);
    if (response.samples_size() != containers) Fail("a round is not complete");
    of_floor.push_back(FloorRound(floor));
  }
  (*stream)->Cancel();
  for (int fd : floor) close(fd);
  double ours = Median(of_engine), bare = Median(of_floor);
  std::printf("%d containers sampled once a second: %.2f%% of a core, floor %.2f%%, ratio %.2f\n",
              containers, 100 * ours, 100 * bare, ours / bare);
  std::printf("  a container: %.1f us, floor %.1f us with %.1f preads\n", 1e6 * ours / containers,
              1e6 * bare / containers, static_cast<double>(floor.size()) / containers);
  std::printf("  descriptors a container, all that the engine holds: %.1f\n",
              static_cast<double>(descriptors) / containers);
}

void MeasureSingles(Engine& engine, const std::string& id) {
  node::v1::StatsRequest request;
  request.add_containers(id);
  std::vector<double> times;
  for (int i = 0; i < kSingles; ++i) {
    double begin = Seconds(CLOCK_MONOTONIC);
    auto stream = engine.Stats(request);
    if (!stream.ok() || Next(**stream).samples_size() != 1) Fail("no sample");
    times.push_back(Seconds(CLOCK_MONOTONIC) - begin);
  }
  std::printf("one sample of one container: %.0f us (median of %d)\n", 1e6 * Median(times),
              kSingles);
}

}  // namespace

int main(int argc, char** argv) {
#ifdef NDEBUG
  // As noded does: Debian's abseil looks for lock cycles in every program.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  if (argc < 4) Fail("usage: bench_stats <directory> <rootfs> <node-shim> [<containers>]");
  int containers = argc > 4 ? std::atoi(argv[4]) : 500;
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  noded::EngineOptions options;
  options.root = absl::StrCat(argv[1], "/stats-root");
  options.state_dir = absl::StrCat(argv[1], "/stats-state");
  options.shim_path = argv[3];
  options.cgroup_parent = kCgroupParent;
  options.version = "bench";
  auto engine = Engine::Open(options);
  if (!engine.ok()) Fail(std::string(engine.status().message()));
  size_t without = Descriptors();
  std::string id = Start(**engine, argv[2], containers);
  MeasureRounds(**engine, containers, without);
  MeasureSingles(**engine, id);
  RemoveAll(**engine);
  return 0;
}
