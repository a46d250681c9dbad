// Ids of containers and execs: 64 random hexadecimal digits. Thread-safe.
#ifndef NODE_RANDOM_ID_H_
#define NODE_RANDOM_ID_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace noded {

absl::StatusOr<std::string> RandomId();
// Whether it may have come from there.
bool IsId(absl::string_view text);
// As short as a person likes to read it: the first 12 digits.
std::string ShortId(const std::string& id);

}  // namespace noded

#endif  // NODE_RANDOM_ID_H_
