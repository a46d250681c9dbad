#include "node/container_filter.h"

#include <openssl/sha.h>

#include <algorithm>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace noded {
namespace {

using node::v1::Container;
using node::v1::ContainerFilter;

constexpr int kMaxLabels = 256;
constexpr size_t kMaxLabelBytes = 4096;
constexpr size_t kMaxNameBytes = 128;
constexpr size_t kDigestDigits = 16;

// Covers the filter and the id, in an order that does not depend on the map's.
std::string Digest(const std::string& last_id, const ContainerFilter& filter) {
  std::string text = absl::StrCat(last_id, "\n", filter.name().size(), ":", filter.name());
  for (int state : filter.states()) absl::StrAppend(&text, " ", state);
  for (const auto& [key, value] :
       std::map<std::string, std::string>(filter.labels().begin(), filter.labels().end())) {
    absl::StrAppend(&text, "\n", key.size(), ":", key, value.size(), ":", value);
  }
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), kDigestDigits / 2));
}

}  // namespace

void CheckFilter(const ContainerFilter& filter, Violations& violations) {
  if (filter.labels_size() > kMaxLabels) {
    violations.Add("filter.labels", absl::StrCat("must have at most ", kMaxLabels, " entries"));
  }
  for (const auto& [key, value] : filter.labels()) {
    if (key.empty() || key.size() > kMaxLabelBytes || value.size() > kMaxLabelBytes) {
      violations.Add("filter.labels", absl::StrCat("keys must have 1 to ", kMaxLabelBytes,
                                                   " bytes, values at most ", kMaxLabelBytes));
      break;
    }
  }
  if (filter.name().size() > kMaxNameBytes) {
    violations.Add("filter.name", absl::StrCat("must have at most ", kMaxNameBytes, " bytes"));
  }
  for (int i = 0; i < filter.states_size(); ++i) {
    if (filter.states(i) == node::v1::CONTAINER_STATE_UNSPECIFIED ||
        !node::v1::ContainerState_IsValid(filter.states(i))) {
      violations.Add(absl::StrCat("filter.states[", i, "]"), "must be a state of a container");
      break;
    }
  }
}

bool Matches(const ContainerFilter& filter, const Container& container) {
  if (!filter.name().empty() && filter.name() != container.name()) return false;
  const auto& states = filter.states();
  if (!states.empty() && std::find(states.begin(), states.end(), container.state()) == states.end())
    return false;
  const auto& labels = container.spec().labels();
  return std::all_of(filter.labels().begin(), filter.labels().end(), [&](const auto& wanted) {
    auto found = labels.find(wanted.first);
    return found != labels.end() && (wanted.second.empty() || wanted.second == found->second);
  });
}

std::string EncodePageToken(const std::string& last_id, const ContainerFilter& filter) {
  return absl::StrCat(Digest(last_id, filter), last_id);
}

std::optional<std::string> DecodePageToken(const std::string& token,
                                           const ContainerFilter& filter) {
  if (token.size() <= kDigestDigits) return std::nullopt;
  std::string last_id = token.substr(kDigestDigits);
  if (token != EncodePageToken(last_id, filter)) return std::nullopt;
  return last_id;
}

}  // namespace noded
