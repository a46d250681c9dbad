#include "clients/cli/names.h"

#include <google/protobuf/descriptor.h>
#include <string.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace noded::cli {
namespace {

constexpr char kStatePrefix[] = "CONTAINER_STATE_";
constexpr char kEventPrefix[] = "CONTAINER_EVENT_TYPE_";

std::string Shorten(absl::string_view name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

// "snapshot, created, …" without the unspecified value 0.
std::string AllNames(const google::protobuf::EnumDescriptor* type, absl::string_view prefix) {
  std::string names;
  for (int i = 1; i < type->value_count(); ++i) {
    absl::StrAppend(&names, i > 1 ? ", " : "", Shorten(type->value(i)->name(), prefix));
  }
  return names;
}

}  // namespace

std::string NameOf(node::v1::ContainerState state) {
  return Shorten(node::v1::ContainerState_Name(state), kStatePrefix);
}

std::string NameOf(node::v1::ContainerEventType type) {
  return Shorten(node::v1::ContainerEventType_Name(type), kEventPrefix);
}

std::optional<node::v1::ContainerState> StateNamed(absl::string_view name) {
  node::v1::ContainerState state;
  std::string full = absl::StrCat(kStatePrefix, absl::AsciiStrToUpper(name));
  if (!node::v1::ContainerState_Parse(full, &state)) return std::nullopt;
  return state;
}

std::optional<node::v1::ContainerEventType> EventTypeNamed(absl::string_view name) {
  node::v1::ContainerEventType type;
  std::string full = absl::StrCat(kEventPrefix, absl::AsciiStrToUpper(name));
  if (!node::v1::ContainerEventType_Parse(full, &type)) return std::nullopt;
  return type;
}

std::string StateNames() { return AllNames(node::v1::ContainerState_descriptor(), kStatePrefix); }

std::string EventTypeNames() {
  return AllNames(node::v1::ContainerEventType_descriptor(), kEventPrefix);
}

std::string SignalName(int number) {
  const char* name = sigabbrev_np(number);
  return name != nullptr ? absl::StrCat("SIG", name) : absl::StrCat("signal ", number);
}

}  // namespace noded::cli
