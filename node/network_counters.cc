#include "node/network_counters.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace noded {
namespace {

// Columns after "name:": eight of receiving, eight of sending.
enum Column {
  kReceivedBytes = 0,
  kReceivedPackets = 1,
  kReceiveErrors = 2,
  kReceiveDropped = 3,
  kSentBytes = 8,
  kSentPackets = 9,
  kSendErrors = 10,
  kSendDropped = 11,
  kColumns = 16
};

}  // namespace

std::vector<node::v1::NetworkInterfaceStats> ParseNetworkCounters(const std::string& content) {
  std::vector<node::v1::NetworkInterfaceStats> interfaces;
  for (absl::string_view line : absl::StrSplit(content, '\n')) {
    // An alias holds a colon too ("eth0:1"), the counters do not.
    size_t colon = line.rfind(':');
    if (colon == absl::string_view::npos) continue;
    std::vector<absl::string_view> columns =
        absl::StrSplit(line.substr(colon + 1), ' ', absl::SkipEmpty());
    if (columns.size() < kColumns) continue;
    node::v1::NetworkInterfaceStats stats;
    stats.set_name(std::string(absl::StripAsciiWhitespace(line.substr(0, colon))));
    auto number = [&columns](Column column) {
      uint64_t value = 0;
      return absl::SimpleAtoi(columns[column], &value) ? value : 0;
    };
    stats.set_received_bytes(number(kReceivedBytes));
    stats.set_received_packets(number(kReceivedPackets));
    stats.set_receive_errors(number(kReceiveErrors));
    stats.set_receive_dropped(number(kReceiveDropped));
    stats.set_sent_bytes(number(kSentBytes));
    stats.set_sent_packets(number(kSentPackets));
    stats.set_send_errors(number(kSendErrors));
    stats.set_send_dropped(number(kSendDropped));
    interfaces.push_back(std::move(stats));
  }
  return interfaces;
}

}  // namespace noded
