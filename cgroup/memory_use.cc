#include "cgroup/memory_use.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "node/base/string_view.h"

namespace noded::cgroup {

absl::Status MemoryInUse(std::string_view field, std::optional<int64_t> limit,
                         std::optional<uint64_t> use, bool forced) {
  std::string in_use = use ? absl::StrCat(*use, " bytes in use") : "memory in use";
  return absl::FailedPreconditionError(absl::StrCat(
      AsAbsl(field), ": ", limit ? absl::StrCat(*limit, " bytes") : "the limit",
      " is less than the ", in_use,
      forced ? ", which could not be reclaimed" : "; force reclaims what can be reclaimed"));
}

}  // namespace noded::cgroup
