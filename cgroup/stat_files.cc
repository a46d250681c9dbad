#include "cgroup/stat_files.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "cgroup/values.h"

namespace noded::cgroup {
namespace {

constexpr uint64_t kNsPerUs = 1000;
constexpr size_t kUsualBytes = 16 << 10;
constexpr size_t kMostBytes = 1 << 20;

// Up to and without `end`, taken off the front of `rest`.
std::string_view Take(std::string_view& rest, char end) {
  size_t size = rest.find(end);
  std::string_view taken = rest.substr(0, size);
  rest.remove_prefix(size == std::string_view::npos ? rest.size() : size + 1);
  return taken;
}

template <typename Number>
bool Parse(std::string_view text, Number& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseDevice(std::string_view text, BlockStats& device) {
  std::string_view major = Take(text, ':');
  return Parse(major, device.major) && Parse(text, device.minor);
}

BlockStats& DeviceIn(std::vector<BlockStats>& devices, const BlockStats& wanted) {
  for (BlockStats& one : devices) {
    if (one.major == wanted.major && one.minor == wanted.minor) return one;
  }
  return devices.emplace_back(wanted);
}

std::optional<PressureLine> ParsePressureLine(std::string_view line) {
  PressureLine values;
  int found = 0;
  while (!line.empty()) {
    std::string_view word = Take(line, ' ');
    std::string_view key = Take(word, '=');
    found += (key == "avg10" && Parse(word, values.avg10)) ||
             (key == "avg60" && Parse(word, values.avg60)) ||
             (key == "avg300" && Parse(word, values.avg300)) ||
             (key == "total" && Parse(word, values.total_us));
  }
  if (found != 4) return std::nullopt;
  return values;
}

}  // namespace

std::optional<std::string_view> StatReader::Read(const UniqueFd& file) {
  thread_local std::string buffer(kUsualBytes, '\0');
  if (!file) return std::nullopt;
  while (true) {
    ssize_t got = pread(file.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      gone_ |= errno == ENODEV;
      return std::nullopt;
    }
    auto size = static_cast<size_t>(got);
    if (size < buffer.size()) return std::string_view(buffer).substr(0, size);
    if (buffer.size() >= kMostBytes) return std::nullopt;
    buffer.resize(buffer.size() * 4);
  }
}

std::optional<uint64_t> StatReader::ReadNumber(const UniqueFd& file) {
  auto content = Read(file);
  return content ? ParseNumber(*content) : std::nullopt;
}

void ForEachKeyed(std::string_view content,
                  absl::FunctionRef<void(std::string_view, uint64_t)> line) {
  while (!content.empty()) {
    std::string_view rest = Take(content, '\n');
    std::string_view key = Take(rest, ' ');
    uint64_t value = 0;
    if (Parse(rest, value)) line(key, value);
  }
}

void ParseMemoryStat(std::string_view content, bool v1, Stats& stats) {
  // What v1 shows for no limit is 2^63 less a page; nobody means more than 2^60.
  constexpr uint64_t kNoLimit = uint64_t{1} << 60;
  std::optional<uint64_t> inactive;
  // What is of the group alone comes first and is half of the file.
  if (size_t all = content.find("\nhierarchical_"); v1 && all != std::string_view::npos) {
    content.remove_prefix(all + 1);
  }
  ForEachKeyed(content, [&](std::string_view key, uint64_t value) {
    if (v1) {
      if (key == "hierarchical_memory_limit" && value < kNoLimit) stats.memory_limit_bytes = value;
      if (!key.starts_with("total_")) return;
      key.remove_prefix(6);
    }
    if (key == (v1 ? "rss" : "anon")) stats.memory_rss_bytes = value;
    if (key == (v1 ? "cache" : "file")) stats.memory_cache_bytes = value;
    if (v1 && key == "swap") stats.memory_swap_bytes = value;
    if (key == "pgfault") stats.page_faults = value;
    if (key == "pgmajfault") stats.major_page_faults = value;
    if (key == "inactive_file") inactive = value;
  });
  if (stats.memory_usage_bytes && inactive) {
    // Two files, read one after the other: the difference may come out below 0.
    stats.memory_working_set_bytes =
        *stats.memory_usage_bytes - std::min(*stats.memory_usage_bytes, *inactive);
  }
}

void ParseCpuStatV2(std::string_view content, Stats& stats) {
  ForEachKeyed(content, [&](std::string_view key, uint64_t value) {
    if (key == "usage_usec") stats.cpu_total_ns = value * kNsPerUs;
    if (key == "user_usec") stats.cpu_user_ns = value * kNsPerUs;
    if (key == "system_usec") stats.cpu_system_ns = value * kNsPerUs;
    if (key == "nr_periods") stats.cpu_periods = value;
    if (key == "nr_throttled") stats.cpu_throttled_periods = value;
    if (key == "throttled_usec") stats.cpu_throttled_ns = value * kNsPerUs;
  });
}

void ParseThrottlingV1(std::string_view content, Stats& stats) {
  ForEachKeyed(content, [&](std::string_view key, uint64_t value) {
    if (key == "nr_periods") stats.cpu_periods = value;
    if (key == "nr_throttled") stats.cpu_throttled_periods = value;
    if (key == "throttled_time") stats.cpu_throttled_ns = value;
  });
}

std::vector<BlockStats> ParseIoStat(std::string_view content) {
  std::vector<BlockStats> devices;
  while (!content.empty()) {
    std::string_view rest = Take(content, '\n');
    BlockStats device;
    if (!ParseDevice(Take(rest, ' '), device)) continue;
    while (!rest.empty()) {
      std::string_view word = Take(rest, ' ');
      std::string_view key = Take(word, '=');
      uint64_t value = 0;
      if (!Parse(word, value)) continue;
      if (key == "rbytes") device.read_bytes = value;
      if (key == "wbytes") device.written_bytes = value;
      if (key == "rios") device.read_operations = value;
      if (key == "wios") device.write_operations = value;
    }
    // A device of which nothing is told: the kernel lists it by its number alone.
    if (device.read_bytes || device.written_bytes) devices.push_back(device);
  }
  return devices;
}

void ParseBlkio(std::string_view content, BlkioFile file, std::vector<BlockStats>& devices) {
  while (!content.empty()) {
    std::string_view rest = Take(content, '\n');
    BlockStats device;
    uint64_t value = 0;
    if (!ParseDevice(Take(rest, ' '), device)) continue;  // "Total 8192"
    std::string_view direction = Take(rest, ' ');
    if ((direction != "Read" && direction != "Write") || !Parse(rest, value)) continue;
    BlockStats& found = DeviceIn(devices, device);
    bool bytes = file == BlkioFile::kBytes;
    if (direction == "Read") (bytes ? found.read_bytes : found.read_operations) = value;
    if (direction == "Write") (bytes ? found.written_bytes : found.write_operations) = value;
  }
}

std::optional<Pressure> ParsePressure(std::string_view content) {
  Pressure pressure;
  while (!content.empty()) {
    std::string_view rest = Take(content, '\n');
    std::string_view kind = Take(rest, ' ');
    if (kind == "some") pressure.some = ParsePressureLine(rest);
    if (kind == "full") pressure.full = ParsePressureLine(rest);
  }
  if (!pressure.some && !pressure.full) return std::nullopt;
  return pressure;
}

}  // namespace noded::cgroup
