#include "node/attach_frame.h"

namespace noded {
namespace {

constexpr size_t kCountBytes = 8;

uint64_t LittleEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

std::optional<Frame> ParseFrame(std::string_view packet) {
  if (packet.empty()) return std::nullopt;
  Frame frame;
  frame.type = static_cast<FrameType>(packet[0]);
  frame.payload = packet.substr(1);
  switch (frame.type) {
    case FrameType::kStdout:
    case FrameType::kStderr:
    case FrameType::kEnd:
      return frame;
    case FrameType::kMissed:
      if (frame.payload.size() != kCountBytes) return std::nullopt;
      frame.missed_bytes = LittleEndian(frame.payload);
      return frame;
    case FrameType::kStdin:
    case FrameType::kCloseStdin:
      return std::nullopt;
  }
  return std::nullopt;
}

std::string MakeFrame(FrameType type, std::string_view payload) {
  std::string frame;
  frame.reserve(1 + payload.size());
  frame.push_back(static_cast<char>(type));
  frame.append(payload);
  return frame;
}

}  // namespace noded
