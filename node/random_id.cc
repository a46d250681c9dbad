#include "node/random_id.h"

#include <sys/random.h>

#include <cerrno>

#include "absl/strings/escaping.h"
#include "node/base/status.h"

namespace noded {

absl::StatusOr<std::string> RandomId() {
  char bytes[32];
  // Up to 256 bytes come whole and uninterrupted (getrandom(2)).
  if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
    return ErrnoStatus(errno, "get random bytes");
  }
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

std::string ShortId(const std::string& id) { return id.substr(0, 12); }

}  // namespace noded
