// What noded and its layer child tell each other: one line a message, of keys and values escaped as
// in C, because paths and names of files are bytes and not text. Pure; values.
#ifndef ROOTFS_LAYER_MESSAGE_H_
#define ROOTFS_LAYER_MESSAGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace noded::layer {

class Message {
 public:
  // A line without its newline. INVALID_ARGUMENT when it is none.
  static absl::StatusOr<Message> Parse(std::string_view line);
  // With its newline.
  std::string ToLine() const;

  // A key may be added more than once.
  void Add(std::string_view key, std::string_view value);
  void Add(std::string_view key, int64_t value);
  bool Has(std::string_view key) const;
  // The first one; "" or 0 when there is none.
  std::string Text(std::string_view key) const;
  int64_t Number(std::string_view key) const;
  std::vector<std::string> All(std::string_view key) const;

  // A status that is not OK, with its code, text and reason.
  static Message OfError(const absl::Status& status);
  // OK when the message tells no error.
  absl::Status Error() const;

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace noded::layer

#endif  // ROOTFS_LAYER_MESSAGE_H_
