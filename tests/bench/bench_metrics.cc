// What a scrape costs: samples as a busy host has them through the collector, the text and the HTTP
// server that noded uses, in processor time. Needs no root and no container.
//
// usage: bench_metrics [CONTAINERS [SCRAPES]]
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "node/base/unique_fd.h"
#include "server/api_server.h"
#include "server/metrics_collector.h"
#include "server/metrics_server.h"
#include "server/metrics_text.h"
#include "tests/unit/server/fake_engine.h"

namespace {

using noded::server::MetricsCollector;
using noded::server::RenderMetrics;

double CpuMillis() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

[[noreturn]] void Die(const std::string& what) {
  fprintf(stderr, "bench_metrics: %s\n", what.c_str());
  exit(1);
}

void FillCgroup(uint64_t seed, node::v1::ContainerStats* stats) {
  node::v1::CpuStats& cpu = *stats->mutable_cpu();
  cpu.set_total_ns(seed * 1'234'567'891);
  cpu.set_user_ns(seed * 1'000'000'007);
  cpu.set_system_ns(seed * 234'567'884);
  cpu.set_periods(seed * 1000);
  cpu.set_throttled_periods(seed * 10);
  cpu.set_throttled_ns(seed * 12'345'678);
  cpu.set_limit_cpus(0.5);
  node::v1::MemoryStats& memory = *stats->mutable_memory();
  memory.set_usage_bytes(seed << 20);
  memory.set_working_set_bytes(seed << 19);
  memory.set_rss_bytes(seed << 18);
  memory.set_cache_bytes(seed << 17);
  memory.set_swap_bytes(0);
  memory.set_limit_bytes(256 << 20);
  memory.set_peak_bytes(seed << 20);
  memory.set_page_faults(seed * 12345);
  memory.set_major_page_faults(seed);
  memory.set_oom_kills(0);
  memory.set_oom_events(0);
  memory.set_max_events(seed);
  stats->mutable_pids()->set_current(seed % 50);
  stats->mutable_pids()->set_limit(100);
  for (node::v1::Pressure* pressure :
       {stats->mutable_pressure()->mutable_cpu(), stats->mutable_pressure()->mutable_memory(),
        stats->mutable_pressure()->mutable_io()}) {
    pressure->mutable_some()->set_total_us(seed * 123'457);
    pressure->mutable_full()->set_total_us(seed * 12'347);
  }
}

// All that a sample holds, with two block devices, loopback and one interface more.
noded::LastSample Sample(uint64_t seed) {
  auto sample = std::make_shared<node::v1::StatsSample>();
  sample->mutable_time()->set_seconds(1'700'000'000);
  sample->mutable_time()->set_nanos(static_cast<int32_t>(seed * 1'000'003 % 1'000'000'000));
  node::v1::ContainerStats& stats = *sample->mutable_stats();
  FillCgroup(seed, &stats);
  stats.set_writable_layer_bytes(seed << 12);
  for (uint32_t minor : {0u, 16u}) {
    node::v1::BlockIoStats& block = *stats.add_block_io();
    block.set_major(8);
    block.set_minor(minor);
    block.set_read_bytes(seed << 12);
    block.set_written_bytes(seed << 13);
    block.set_read_operations(seed);
    block.set_write_operations(seed * 2);
  }
  for (const char* name : {"lo", "eth0"}) {
    node::v1::NetworkInterfaceStats& network = *stats.add_networks();
    network.set_name(name);
    network.set_received_bytes(seed * 1500);
    network.set_received_packets(seed);
    network.set_sent_bytes(seed * 3000);
    network.set_sent_packets(seed * 2);
  }
  // Ids are 64 hexadecimal digits.
  return {absl::StrFormat("%064x", seed * 0x9e3779b97f4a7c15), absl::StrCat("container-", seed),
          std::move(sample)};
}

// One scrape as Prometheus makes it. Its reading is part of what is measured.
size_t Scrape(const std::string& path) {
  const noded::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {.sun_family = AF_UNIX};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    Die("cannot connect to the server");
  }
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
  send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  std::vector<char> bytes(1 << 18);
  size_t all = 0;
  ssize_t count;
  while ((count = recv(fd.get(), bytes.data(), bytes.size(), 0)) > 0) {
    all += static_cast<size_t>(count);
  }
  return all;
}

template <typename Function>
void Measure(const char* what, int scrapes, Function scrape) {
  std::vector<double> millis;
  for (int i = 0; i < scrapes; ++i) {
    const double begin = CpuMillis();
    scrape();
    millis.push_back(CpuMillis() - begin);
  }
  std::sort(millis.begin(), millis.end());
  printf("%-44s %8.2f %8.2f ms of cpu\n", what, millis[millis.size() / 2], millis.back());
}

}  // namespace

int main(int argc, char** argv) {
  const int containers = argc > 1 ? atoi(argv[1]) : 500;
  const int scrapes = argc > 2 ? atoi(argv[2]) : 50;
  if (containers < 1 || scrapes < 1) Die("usage: bench_metrics [CONTAINERS [SCRAPES]]");
  noded::server::FakeEngine engine;
  for (int i = 1; i <= containers; ++i) engine.samples.push_back(Sample(static_cast<uint64_t>(i)));
  engine.states[node::v1::CONTAINER_STATE_RUNNING] = containers;
  std::string directory = "/tmp/noded-bench-metrics-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) Die("cannot make a directory in /tmp");
  auto api = noded::server::ApiServer::Start({{.path = directory + "/noded.sock"}}, {}, &engine);
  if (!api.ok()) Die(api.status().ToString());
  const MetricsCollector collector(&engine, &(*api)->requests(), "bench");
  const std::string path = directory + "/metrics.sock";
  auto socket = noded::server::OpenMetricsSocket({.path = path});
  if (!socket.ok()) Die(socket.status().ToString());
  auto server = noded::server::MetricsServer::Start(
      *std::move(socket), [&] { return RenderMetrics(collector.Collect()); });
  if (!server.ok()) Die(server.status().ToString());

  const std::string text = RenderMetrics(collector.Collect());
  printf("a scrape of %d containers: %zu lines, %zu bytes%18s %8s\n", containers,
         static_cast<size_t>(std::count(text.begin(), text.end(), '\n')), text.size(), "median",
         "most");
  Measure("collect", scrapes, [&] { collector.Collect(); });
  Measure("collect and write the text", scrapes, [&] { RenderMetrics(collector.Collect()); });
  Measure("a scrape by HTTP, with the client's reading", scrapes, [&] {
    if (Scrape(path) < text.size() / 2) Die("a scrape was cut off");
  });
  server->reset();
  api->reset();
  rmdir(directory.c_str());
}
