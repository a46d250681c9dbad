#include "server/daemon_metrics.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "node/base/file.h"
#include "server/metric_families.h"
#include "server/status.h"

namespace noded::server {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

void AddOne(const char* name, const char* help, MetricType type, std::optional<double> value,
            std::vector<MetricFamily>* families) {
  if (!value) return;
  FamilyBuilder family(name, help, type);
  family.Add({}, *value);
  family.MoveTo(families);
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::optional<double> CpuSeconds() {
  rusage usage;
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return std::nullopt;
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

// The count-th number of /proc/self/statm, which is in pages.
std::optional<double> MemoryBytes(size_t count) {
  const absl::StatusOr<std::string> text = ReadFileAt(AT_FDCWD, "/proc/self/statm");
  if (!text.ok()) return std::nullopt;
  const std::vector<std::string> fields = absl::StrSplit(*text, ' ');
  uint64_t pages;
  if (fields.size() <= count || !absl::SimpleAtoi(fields[count], &pages)) return std::nullopt;
  return static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

std::optional<double> OpenFiles() {
  // Since Linux 6.2 the directory's size is the number of descriptors; before, it is 0 and they
  // must be counted, some 20 a container.
  struct stat info;
  if (::stat("/proc/self/fd", &info) == 0 && info.st_size > 0) {
    return static_cast<double>(info.st_size);
  }
  const absl::StatusOr<std::vector<std::string>> names = ListDirAt(AT_FDCWD, "/proc/self/fd");
  if (!names.ok()) return std::nullopt;
  return static_cast<double>(names->size());
}

std::optional<double> MostFiles() {
  rlimit files;
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return std::nullopt;
  return static_cast<double>(files.rlim_cur);
}

std::optional<double> Threads() {
  const absl::StatusOr<std::string> text = ReadFileAt(AT_FDCWD, "/proc/self/status");
  if (!text.ok()) return std::nullopt;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    int count;
    if (absl::ConsumePrefix(&line, "Threads:") && absl::SimpleAtoi(line, &count)) return count;
  }
  return std::nullopt;
}

}  // namespace

std::vector<MetricFamily> RequestFamilies(const RequestMetrics& requests) {
  FamilyBuilder total("noded_requests_total", "Requests that were answered, by gRPC status code.",
                      MetricType::Counter);
  FamilyBuilder durations(
      "noded_request_duration_seconds",
      "Time from a request to the end of its answer; of a stream, as long as it was open.",
      MetricType::Histogram);
  for (const RequestMetrics::Method& method : requests.Read()) {
    const std::string name(method.name);
    for (int code = 0; code < kStatusCodes; ++code) {
      if (method.by_code[code] == 0) continue;
      total.Add(
          {{"method", name}, {"code", std::string(CodeName(static_cast<grpc::StatusCode>(code)))}},
          static_cast<double>(method.by_code[code]));
    }
    durations.AddHistogram({{"method", name}}, method.durations);
  }
  std::vector<MetricFamily> families;
  total.MoveTo(&families);
  durations.MoveTo(&families);
  AddOne("noded_requests_in_flight", "Requests that are not answered yet, streams included.",
         MetricType::Gauge, static_cast<double>(requests.in_flight()), &families);
  return families;
}

std::vector<MetricFamily> StateFamilies(const Engine::StateCounts& counts) {
  FamilyBuilder family("noded_containers", "Containers, by state.", MetricType::Gauge);
  const auto* states = node::v1::ContainerState_descriptor();
  for (int i = 0; i < states->value_count(); ++i) {
    const int number = states->value(i)->number();
    if (number == node::v1::CONTAINER_STATE_UNSPECIFIED) continue;
    const std::string name =
        absl::AsciiStrToLower(absl::StripPrefix(states->value(i)->name(), "CONTAINER_STATE_"));
    const auto found = counts.find(static_cast<node::v1::ContainerState>(number));
    family.Add({{"state", name}}, found == counts.end() ? 0 : static_cast<double>(found->second));
  }
  std::vector<MetricFamily> families;
  family.MoveTo(&families);
  return families;
}

std::vector<MetricFamily> StartFamilies(const StartPhases& phases) {
  FamilyBuilder family("noded_start_phase_duration_seconds",
                       "Time that starts of containers spent in each phase.",
                       MetricType::Histogram);
  const auto values = phases.Read();
  for (size_t i = 0; i < values.size(); ++i) {
    family.AddHistogram({{"phase", std::string(kStartPhaseNames[i])}}, values[i]);
  }
  std::vector<MetricFamily> families;
  family.MoveTo(&families);
  return families;
}

std::vector<MetricFamily> ProcessFamilies(absl::Time start, const std::string& version) {
  std::vector<MetricFamily> families;
  FamilyBuilder build("noded_build_info", "Always 1; the label says which noded this is.",
                      MetricType::Gauge);
  build.Add({{"version", version}}, 1);
  build.MoveTo(&families);
  AddOne("process_cpu_seconds_total", "Processor time used by noded.", MetricType::Counter,
         CpuSeconds(), &families);
  AddOne("process_virtual_memory_bytes", "Virtual memory of noded.", MetricType::Gauge,
         MemoryBytes(0), &families);
  AddOne("process_resident_memory_bytes", "Resident memory of noded.", MetricType::Gauge,
         MemoryBytes(1), &families);
  AddOne("process_open_fds", "File descriptors that noded has open.", MetricType::Gauge,
         OpenFiles(), &families);
  AddOne("process_max_fds", "Most file descriptors that noded may have open.", MetricType::Gauge,
         MostFiles(), &families);
  AddOne("process_threads", "Threads of noded.", MetricType::Gauge, Threads(), &families);
  AddOne("process_start_time_seconds", "When noded was started, in seconds since 1970.",
         MetricType::Gauge, static_cast<double>(absl::ToUnixMillis(start)) / 1e3, &families);
  return families;
}

}  // namespace noded::server
