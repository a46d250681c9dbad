// noded: reads its options, opens the engine, serves it, and leaves in order when told to.
// Containers stay when it goes.
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "node/base/status.h"
#include "node/engine.h"
#include "node/systemd_scope.h"
#include "rootfs/layer/child.h"
#include "server/api_server.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/metrics_collector.h"
#include "server/metrics_server.h"
#include "server/metrics_text.h"
#include "server/notify.h"
#include "server/options.h"

namespace noded::server {
namespace {

constexpr absl::Duration kDrain = absl::Seconds(10);
// Beyond the drain, for the engine to come to rest.
constexpr absl::Duration kLeave = absl::Seconds(20);
constexpr absl::Duration kTrimInterval = absl::Minutes(1);

enum ExitCode { kExitOk = 0, kExitFailed = 1, kExitUsage = 2 };

// Blocked in every thread, because they are made after this; main alone takes them.
sigset_t BlockSignals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  // Log rotation and terminals send it; there is nothing to reload.
  ::signal(SIGHUP, SIG_IGN);
  return signals;
}

// Returns the soft limit of open files as it was.
uint64_t SetProcessLimits() {
  // Containers inherit what the supervisors inherit; and group and others could not enter a
  // container's files with a stricter one. The socket is safe with it (RestrictUnixSocket).
  ::umask(022);
  // glibc makes up to eight arenas a processor, each with free memory of its own.
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 256 << 10);
  // Some descriptors a container, whose number must not end at the customary 1024.
  rlimit files;
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return 0;
  const uint64_t before = files.rlim_cur;
  if (files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  return before;
}

// The manager's socket, taken out of the environment so that supervisors do not inherit it.
std::string TakeNotifySocket() {
  const char* value = ::getenv("NOTIFY_SOCKET");
  std::string socket = value == nullptr ? "" : value;
  ::unsetenv("NOTIFY_SOCKET");
  return socket;
}

void Notify(const std::string& socket, std::string_view state) {
  if (const absl::Status told = NotifyServiceManager(socket, state); !told.ok()) {
    Log(LogLevel::kWarning, told.ToString());
  }
}

// Meanwhile gives memory that a burst of calls left free back to the host: glibc keeps what lies
// below the last live block, which was measured at half of the resident size.
int AwaitSignal(const sigset_t& signals) {
  const timespec interval = absl::ToTimespec(kTrimInterval);
  int signal = -1;
  while ((signal = ::sigtimedwait(&signals, nullptr, &interval)) < 0) {
    if (errno == EAGAIN) ::malloc_trim(0);
  }
  return signal;
}

// Leaves at once on a second signal, or when leaving in order takes too long.
void GuardExit(sigset_t signals) {
  std::thread([signals] {
    const timespec most = absl::ToTimespec(kDrain + kLeave);
    const int signal = ::sigtimedwait(&signals, nullptr, &most);
    ::_exit(signal > 0 ? kExitFailed : kExitOk);
  }).detach();
}

int Fail(const absl::Status& status) {
  Log(LogLevel::kError, std::string(status.message()));
  StopLog();
  return kExitFailed;
}

// Decided once: containers stay where they were started.
absl::Status UseSystemdScope(EngineOptions* options) {
  absl::StatusOr<std::shared_ptr<SystemdScope>> scope = SystemdScope::Make({});
  if (!scope.ok()) {
    return Annotate(scope.status(), "containers need a scope under systemd, or --cgroup-parent");
  }
  options->cgroup_parent = (*scope)->path();
  options->place_supervisor = [scope = *scope](pid_t pid) { return scope->Enter(pid); };
  return absl::OkStatus();
}

// Open before the engine, so that a mistaken address is told at once; served after it.
absl::StatusOr<std::optional<MetricsSocket>> OpenMetrics(const Options& options) {
  if (!options.metrics_listen) return std::nullopt;
  ASSIGN_OR_RETURN(MetricsSocket socket, OpenMetricsSocket(*options.metrics_listen));
  return socket;
}

absl::StatusOr<std::unique_ptr<MetricsServer>> ServeMetrics(MetricsSocket socket, Engine* engine,
                                                            const ApiServer& server,
                                                            const std::string& version) {
  const std::string address = socket.listener.Address();
  auto collector = std::make_shared<MetricsCollector>(engine, &server.requests(), version);
  ASSIGN_OR_RETURN(std::unique_ptr<MetricsServer> metrics,
                   MetricsServer::Start(std::move(socket), [collector] {
                     return RenderMetrics(collector->Collect());
                   }));
  Log(LogLevel::kInfo, "serving metrics", {{"address", address}});
  return metrics;
}

int Serve(const Options& options, const std::string& notify_socket, const sigset_t& signals) {
  for (const Listener& listener : options.listen) {
    if (!listener.is_unix()) continue;
    if (const absl::Status made = MakeSocketDirectory(listener.path); !made.ok()) return Fail(made);
  }
  absl::StatusOr<std::optional<MetricsSocket>> metrics_socket = OpenMetrics(options);
  if (!metrics_socket.ok()) return Fail(metrics_socket.status());
  EngineOptions engine_options = options.engine;
  engine_options.report = [](const std::string& line) { Log(LogLevel::kWarning, line); };
  if (!options.cgroup_parent_given && StartedBySystemd()) {
    if (const absl::Status moved = UseSystemdScope(&engine_options); !moved.ok()) {
      return Fail(moved);
    }
  }
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(engine_options);
  if (!engine.ok()) return Fail(engine.status());
  absl::StatusOr<std::unique_ptr<ApiServer>> server =
      ApiServer::Start(options.listen, options.tls, engine->get());
  if (!server.ok()) return Fail(server.status());
  std::unique_ptr<MetricsServer> metrics;
  if (metrics_socket->has_value()) {
    absl::StatusOr<std::unique_ptr<MetricsServer>> served =
        ServeMetrics(*std::move(*metrics_socket), engine->get(), **server, options.engine.version);
    if (!served.ok()) return Fail(served.status());
    metrics = *std::move(served);
  }
  Log(LogLevel::kInfo, "listening",
      {{"addresses", absl::StrJoin((*server)->addresses(), ",")},
       {"version", options.engine.version},
       {"root", options.engine.root},
       {"pid", absl::StrCat(::getpid())}});
  Notify(notify_socket, "READY=1");

  const int signal = AwaitSignal(signals);
  Log(LogLevel::kInfo, "draining", {{"signal", ::sigabbrev_np(signal)}});
  Notify(notify_socket, "STOPPING=1");
  GuardExit(signals);
  (*server)->Drain(kDrain);
  metrics.reset();
  server->reset();
  engine->reset();
  Log(LogLevel::kInfo, "stopped; containers go on");
  StopLog();
  return kExitOk;
}

int Main(int argc, char** argv) {
#ifdef NDEBUG
  // Debian's abseil looks for lock cycles in every program, and aborts at one that is only
  // possible. With 10,000 containers, each with its lock, it makes an insert 14 times as slow.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  absl::StatusOr<Options> options = ParseOptions(std::vector<std::string>(argv + 1, argv + argc));
  if (!options.ok()) {
    std::cerr << "noded: " << options.status().message() << "\nnoded --help tells the options\n";
    return kExitUsage;
  }
  if (!options->answer.empty()) {
    std::cout << options->answer << std::flush;
    return kExitOk;
  }
  const sigset_t signals = BlockSignals();
  options->engine.open_files = SetProcessLimits();
  const std::string notify_socket = TakeNotifySocket();
  StartLog(options->log_level, options->log_format);
  return Serve(*options, notify_socket, signals);
}

}  // namespace
}  // namespace noded::server

int main(int argc, char** argv) {
  // Before anything else: as the child that unpacks layers it must start nothing.
  if (argc > 0 && noded::layer::IsLayerChild(argv[0])) return noded::layer::LayerMain();
  return noded::server::Main(argc, argv);
}
