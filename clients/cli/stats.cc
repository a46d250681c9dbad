// stats.
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"
#include "clients/cli/proto_time.h"
#include "clients/cli/terminal.h"

namespace noded::cli {
namespace {

using node::v1::ContainerStats;
using node::v1::StatsResponse;
using node::v1::StatsSample;

constexpr char kNotKnown[] = "--";

// Remembers each container's last sample, for rates.
class StatsTable {
 public:
  StatsTable(bool full_ids, bool pressure) : full_ids_(full_ids), pressure_(pressure) {}

  std::string Render(const StatsResponse& response) {
    std::vector<std::string> header = {"CONTAINER ID",         "NAME",  "CPU % LIMIT / HOST",
                                       "MEMORY / LIMIT",       "MEM %", "NET IN / OUT",
                                       "BLOCK READ / WRITTEN", "DISK",  "PIDS"};
    if (pressure_) header.push_back("PRESSURE CPU / MEMORY / IO");
    Table table(std::move(header));
    std::map<std::string, StatsSample> now;
    for (const StatsSample& sample : response.samples()) {
      const ContainerStats& stats = sample.stats();
      std::vector<std::string> row = {
          full_ids_ ? sample.container_id() : ShortId(sample.container_id()),
          sample.name(),
          Cpu(sample),
          Memory(stats),
          MemoryPercent(stats),
          Network(stats),
          BlockIo(stats),
          stats.has_writable_layer_bytes() ? HumanSize(stats.writable_layer_bytes()) : kNotKnown,
          stats.pids().has_current() ? absl::StrCat(stats.pids().current()) : kNotKnown};
      if (pressure_) row.push_back(PressureText(stats));
      table.Row(std::move(row));
      now[sample.container_id()] = sample;
    }
    last_ = std::move(now);
    return table.Text();
  }

 private:
  // Between the last sample and this one: of what the quota allows, and of all processors.
  std::string Cpu(const StatsSample& sample) const {
    const node::v1::CpuStats& cpu = sample.stats().cpu();
    std::optional<double> used = CpusUsed(sample);
    std::string of_limit =
        used && cpu.limit_cpus() > 0 ? Percent(*used / cpu.limit_cpus()) : kNotKnown;
    std::string of_host =
        used && cpu.online_cpus() > 0 ? Percent(*used / cpu.online_cpus()) : kNotKnown;
    return absl::StrCat(of_limit, " / ", of_host);
  }

  std::optional<double> CpusUsed(const StatsSample& sample) const {
    auto before = last_.find(sample.container_id());
    if (before == last_.end() || !sample.stats().cpu().has_total_ns()) return std::nullopt;
    absl::Duration elapsed = FromProto(sample.time()) - FromProto(before->second.time());
    uint64_t from = before->second.stats().cpu().total_ns();
    uint64_t to = sample.stats().cpu().total_ns();
    // Counters begin anew when a container is started again.
    if (to < from || elapsed <= absl::ZeroDuration()) return std::nullopt;
    return static_cast<double>(to - from) / absl::ToDoubleNanoseconds(elapsed);
  }

  static std::string Percent(double part) { return absl::StrFormat("%.2f%%", 100 * part); }

  // What cannot easily be reclaimed, as it is what the limit is about; all that is charged where
  // that is not told.
  static std::optional<uint64_t> Used(const ContainerStats& stats) {
    if (stats.memory().has_working_set_bytes()) return stats.memory().working_set_bytes();
    if (stats.memory().has_usage_bytes()) return stats.memory().usage_bytes();
    return std::nullopt;
  }

  static std::string Memory(const ContainerStats& stats) {
    std::optional<uint64_t> used = Used(stats);
    return absl::StrCat(
        used ? HumanSize(*used) : kNotKnown, " / ",
        stats.memory().has_limit_bytes() ? HumanSize(stats.memory().limit_bytes()) : "no limit");
  }

  static std::string MemoryPercent(const ContainerStats& stats) {
    std::optional<uint64_t> used = Used(stats);
    if (!used || stats.memory().limit_bytes() == 0) return kNotKnown;
    return absl::StrFormat("%.2f%%", 100.0 * static_cast<double>(*used) /
                                         static_cast<double>(stats.memory().limit_bytes()));
  }

  static std::string Network(const ContainerStats& stats) {
    if (stats.networks().empty()) return kNotKnown;
    uint64_t received = 0;
    uint64_t sent = 0;
    for (const auto& network : stats.networks()) {
      if (network.name() == "lo") continue;
      received += network.received_bytes();
      sent += network.sent_bytes();
    }
    return absl::StrCat(HumanSize(received), " / ", HumanSize(sent));
  }

  // All devices together; a half is not known when no device tells it.
  static std::string BlockIo(const ContainerStats& stats) {
    std::optional<uint64_t> read, written;
    for (const auto& device : stats.block_io()) {
      if (device.has_read_bytes()) read = read.value_or(0) + device.read_bytes();
      if (device.has_written_bytes()) written = written.value_or(0) + device.written_bytes();
    }
    if (!read && !written) return kNotKnown;
    return absl::StrCat(read ? HumanSize(*read) : kNotKnown, " / ",
                        written ? HumanSize(*written) : kNotKnown);
  }

  // Of the last ten seconds, the part in which a task waited.
  static std::string PressureText(const ContainerStats& stats) {
    if (!stats.has_pressure()) return kNotKnown;
    auto one = [](const node::v1::Pressure& pressure) {
      return pressure.has_some() ? Percent(pressure.some().avg10() / 100) : kNotKnown;
    };
    return absl::StrCat(one(stats.pressure().cpu()), " / ", one(stats.pressure().memory()), " / ",
                        one(stats.pressure().io()));
  }

  bool full_ids_;
  bool pressure_;
  std::map<std::string, StatsSample> last_;
};

// The characters of a line that have a place: a UTF-8 continuation byte takes none of its own.
absl::string_view FirstColumns(absl::string_view line, size_t columns) {
  size_t at = 0;
  for (size_t used = 0; at < line.size(); ++at) {
    if ((line[at] & 0xc0) != 0x80 && used++ == columns) break;
  }
  return line.substr(0, at);
}

// Repaints a terminal from its top, the header and every second row set apart; each line is cleared
// behind its text and not before, which would flicker. What does not fit stays away, because a
// terminal that scrolls cannot be repainted.
std::string Repaint(const std::string& text, const std::optional<node::v1::TerminalSize>& size) {
  constexpr absl::string_view kHeader = "\x1b[7m", kSecond = "\x1b[2m", kPlain = "\x1b[0m";
  std::string painted = "\x1b[H";
  size_t row = 0;
  for (absl::string_view line : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    if (size && row + 1 >= size->height()) break;
    absl::string_view look = row == 0 ? kHeader : row % 2 == 0 ? kSecond : "";
    absl::StrAppend(&painted, look, size ? FirstColumns(line, size->width()) : line,
                    look.empty() ? "" : kPlain, "\x1b[K\n");
    ++row;
  }
  return painted + "\x1b[J";
}

}  // namespace

int Run(const StatsOptions& options, Client& client, const Io& io) {
  const bool json = options.global.output == OutputFormat::kJson;
  node::v1::StatsRequest request;
  for (const std::string& container : options.containers) request.add_containers(container);
  // A single sample has no rates: the table takes two.
  if (!options.once || !json) *request.mutable_interval() = ToProto(options.interval);
  grpc::ClientContext context;
  client.SetDeadline(context);
  auto reader = client.containers().Stats(&context, request);
  StatsTable table(options.full, options.pressure);
  StatsResponse response;
  const bool live = io.out_is_tty && !options.once;
  for (int round = 1; reader->Read(&response); ++round) {
    std::string text = json ? ToJson(response, false) : table.Render(response);
    if (options.once && !json && round == 1 && !response.samples().empty()) continue;
    if (live && !json)
      text = absl::StrCat(round == 1 ? "\x1b[2J" : "", Repaint(text, TerminalSizeOf(io.out)));
    bool read_by_someone = io.Out(text);
    if (!read_by_someone || options.once) {
      context.TryCancel();
      return read_by_someone ? kOk : kOutputClosed;
    }
  }
  grpc::Status status = reader->Finish();
  return status.ok() ? kOk : Fail(client, io, "stats", status, kFailure);
}

}  // namespace noded::cli
