// Frames of an attachment socket, one a packet: a type byte, then the payload. Described in
// proto/node/shim/v1/shim.proto. Pure; thread-safe.
#ifndef NODE_ATTACH_FRAME_H_
#define NODE_ATTACH_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace noded {

inline constexpr size_t kMaxFramePayload = 65'536;

enum class FrameType : uint8_t {
  kStdout = 1,
  kStderr = 2,
  kMissed = 3,
  kEnd = 4,
  kStdin = 5,
  kCloseStdin = 6,
};

struct Frame {
  FrameType type = FrameType::kEnd;
  std::string_view payload;  // into the packet; of kStdout and kStderr
  uint64_t missed_bytes = 0;
};

// What a supervisor may send. nullopt: not a frame of this version.
std::optional<Frame> ParseFrame(std::string_view packet);
// What noded sends. `payload` is at most kMaxFramePayload.
std::string MakeFrame(FrameType type, std::string_view payload = {});

}  // namespace noded

#endif  // NODE_ATTACH_FRAME_H_
