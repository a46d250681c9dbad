// The key sequence that ends an attachment and leaves the container running. Pure.
#ifndef CLIENTS_CLI_DETACH_KEYS_H_
#define CLIENTS_CLI_DETACH_KEYS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace noded::cli {

// "ctrl-p,ctrl-q" or "a,b" to the bytes that a terminal sends. Empty: no sequence.
absl::StatusOr<std::string> ParseDetachKeys(absl::string_view text);

// Watches what is typed for the sequence. The beginning of a possible sequence is held back until
// it is decided, so that it never reaches the container. Single-threaded.
class DetachFilter {
 public:
  // Empty `keys` let everything through.
  explicit DetachFilter(std::string keys) : keys_(std::move(keys)) {}
  // Replaces `typed` by what may be sent. True: the sequence is complete; what followed it is
  // dropped.
  bool Feed(std::string& typed);

 private:
  std::string keys_;
  size_t matched_ = 0;  // how many of keys_ were typed and are held back
};

}  // namespace noded::cli

#endif  // CLIENTS_CLI_DETACH_KEYS_H_
