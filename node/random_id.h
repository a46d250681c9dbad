// Ids of containers and execs: 64 random hexadecimal digits. Thread-safe.
#ifndef NODE_RANDOM_ID_H_
#define NODE_RANDOM_ID_H_

#include <string>

#include "absl/status/statusor.h"

namespace noded {

absl::StatusOr<std::string> RandomId();
// As short as a person likes to read it: the first 12 digits.
std::string ShortId(const std::string& id);

}  // namespace noded

#endif  // NODE_RANDOM_ID_H_
