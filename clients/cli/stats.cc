// stats.
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"
#include "clients/cli/proto_time.h"

namespace noded::cli {
namespace {

using node::v1::ContainerStats;
using node::v1::StatsResponse;
using node::v1::StatsSample;

constexpr char kNotKnown[] = "--";

// Remembers each container's last sample, for rates.
class StatsTable {
 public:
  explicit StatsTable(bool full_ids) : full_ids_(full_ids) {}

  std::string Render(const StatsResponse& response) {
    Table table({"CONTAINER ID", "NAME", "CPU %", "MEMORY / LIMIT", "MEM %", "NET IN / OUT", "DISK",
                 "PIDS"});
    std::map<std::string, StatsSample> now;
    for (const StatsSample& sample : response.samples()) {
      const ContainerStats& stats = sample.stats();
      table.Row(
          {full_ids_ ? sample.container_id() : ShortId(sample.container_id()), sample.name(),
           Cpu(sample), Memory(stats), MemoryPercent(stats), Network(stats),
           stats.has_writable_layer_bytes() ? HumanSize(stats.writable_layer_bytes()) : kNotKnown,
           stats.pids().has_current() ? absl::StrCat(stats.pids().current()) : kNotKnown});
      now[sample.container_id()] = sample;
    }
    last_ = std::move(now);
    return table.Text();
  }

 private:
  // Of one processor, between the last sample and this one.
  std::string Cpu(const StatsSample& sample) const {
    auto before = last_.find(sample.container_id());
    if (before == last_.end() || !sample.stats().cpu().has_total_ns()) return kNotKnown;
    absl::Duration elapsed = FromProto(sample.time()) - FromProto(before->second.time());
    uint64_t from = before->second.stats().cpu().total_ns();
    uint64_t to = sample.stats().cpu().total_ns();
    // Counters begin anew when a container is started again.
    if (to < from || elapsed <= absl::ZeroDuration()) return kNotKnown;
    return absl::StrFormat(
        "%.2f%%", 100.0 * static_cast<double>(to - from) / absl::ToDoubleNanoseconds(elapsed));
  }

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

  bool full_ids_;
  std::map<std::string, StatsSample> last_;
};

// Repaints a terminal from its top; each line is cleared behind its text and not before, which
// would flicker.
std::string Repaint(const std::string& text) {
  return absl::StrCat("\x1b[H", absl::StrReplaceAll(text, {{"\n", "\x1b[K\n"}}), "\x1b[J");
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
  StatsTable table(options.full);
  StatsResponse response;
  const bool live = io.out_is_tty && !options.once;
  for (int round = 1; reader->Read(&response); ++round) {
    std::string text = json ? ToJson(response, false) : table.Render(response);
    if (options.once && !json && round == 1 && !response.samples().empty()) continue;
    if (live && !json) text = absl::StrCat(round == 1 ? "\x1b[2J" : "", Repaint(text));
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
