#include "node/network_counters.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string>

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

// All columns, or false.
bool ParseColumns(std::string_view text, std::array<uint64_t, kColumns>& values) {
  const char* at = text.data();
  const char* const end = at + text.size();
  for (uint64_t& value : values) {
    while (at != end && *at == ' ') ++at;
    auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc() || (next != end && *next != ' ')) return false;
    at = next;
  }
  return true;
}

}  // namespace

std::vector<node::v1::NetworkInterfaceStats> ParseNetworkCounters(std::string_view content) {
  std::vector<node::v1::NetworkInterfaceStats> interfaces;
  while (!content.empty()) {
    std::string_view line = content.substr(0, content.find('\n'));
    content.remove_prefix(std::min(line.size() + 1, content.size()));
    // An alias holds a colon too ("eth0:1"), the counters do not.
    size_t colon = line.rfind(':');
    std::array<uint64_t, kColumns> values;
    if (colon == std::string_view::npos || !ParseColumns(line.substr(colon + 1), values)) continue;
    node::v1::NetworkInterfaceStats& stats = interfaces.emplace_back();
    std::string_view name = line.substr(0, colon);
    name.remove_prefix(std::min(name.find_first_not_of(' '), name.size()));
    stats.set_name(std::string(name));
    stats.set_received_bytes(values[kReceivedBytes]);
    stats.set_received_packets(values[kReceivedPackets]);
    stats.set_receive_errors(values[kReceiveErrors]);
    stats.set_receive_dropped(values[kReceiveDropped]);
    stats.set_sent_bytes(values[kSentBytes]);
    stats.set_sent_packets(values[kSentPackets]);
    stats.set_send_errors(values[kSendErrors]);
    stats.set_send_dropped(values[kSendDropped]);
  }
  return interfaces;
}

}  // namespace noded
