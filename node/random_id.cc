#include "node/random_id.h"

#include <sys/random.h>

#include <cerrno>

#include "absl/strings/escaping.h"
#include "node/base/status.h"

namespace noded {

namespace {

constexpr size_t kBytes = 32;

}  // namespace

absl::StatusOr<std::string> RandomId() {
  char bytes[kBytes];
  // Up to 256 bytes come whole and uninterrupted (getrandom(2)).
  if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
    return ErrnoStatus(errno, "get random bytes");
  }
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

bool IsId(absl::string_view text) {
  return text.size() == 2 * kBytes &&
         text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

std::string ShortId(const std::string& id) { return id.substr(0, 12); }

}  // namespace noded
