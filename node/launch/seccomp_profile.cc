#include "node/launch/seccomp_profile.h"

#include <linux/seccomp.h>
#include <seccomp.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "node/base/status.h"
#include "node/launch/quote.h"

namespace noded::launch {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxProfileBytes = 1 << 20;
// Names in all rules together: Docker's own profile has some 450.
constexpr size_t kMaxNames = 8192;
constexpr uint64_t kMaxErrno = 4095;
constexpr uint64_t kMaxArgumentIndex = 5;

struct NamedNumber {
  std::string_view name;
  uint32_t number;
};

constexpr std::array<NamedNumber, 7> kOperators = {{{"SCMP_CMP_NE", SCMP_CMP_NE},
                                                    {"SCMP_CMP_LT", SCMP_CMP_LT},
                                                    {"SCMP_CMP_LE", SCMP_CMP_LE},
                                                    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                                    {"SCMP_CMP_GE", SCMP_CMP_GE},
                                                    {"SCMP_CMP_GT", SCMP_CMP_GT},
                                                    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}}};
constexpr std::array<NamedNumber, 6> kPlainActions = {
    {{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
     {"SCMP_ACT_LOG", SCMP_ACT_LOG},
     {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
     {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
     {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
     {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS}}};
constexpr std::array<NamedNumber, 3> kFlags = {
    {// Of threads, and the process that takes the filter has one.
     {"SECCOMP_FILTER_FLAG_TSYNC", 0},
     {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
     {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW}}};
// Libseccomp resolves names of architectures too, but by others: "x86_64".
constexpr std::array<NamedNumber, 18> kArchitectures = {
    {{"SCMP_ARCH_NATIVE", SCMP_ARCH_NATIVE},
     {"SCMP_ARCH_X86", SCMP_ARCH_X86},
     {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
     {"SCMP_ARCH_X32", SCMP_ARCH_X32},
     {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
     {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
     {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
     {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
     {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
     {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
     {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
     {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
     {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
     {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
     {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
     {"SCMP_ARCH_S390", SCMP_ARCH_S390},
     {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
     {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64}}};

template <size_t kSize>
std::optional<uint32_t> Find(const std::array<NamedNumber, kSize>& table, std::string_view name) {
  for (const NamedNumber& one : table) {
    if (one.name == name) return one.number;
  }
  return std::nullopt;
}

// Reads one profile. `place` is a path in the JSON; the first thing that is wrong ends the reading.
class Reader {
 public:
  explicit Reader(const std::string& field) : field_(field) {}

  absl::StatusOr<SeccompProfile> Read(const Json& root);

 private:
  absl::Status Wrong(const std::string& place, const std::string& what) const {
    return InvalidField(field_, absl::StrCat(place, place.empty() ? "" : ": ", what));
  }
  // A member that is absent or null, as Go leaves it out, is nullptr.
  static const Json* Member(const Json& object, const char* name) {
    auto found = object.find(name);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }
  static std::string Below(const std::string& place, const char* name) {
    return place.empty() ? name : absl::StrCat(place, ".", name);
  }

  // Each of these leaves the value alone when the member is absent.
  absl::Status ReadString(const Json& object, const std::string& place, const char* name,
                          std::string* value) const;
  absl::Status ReadNumber(const Json& object, const std::string& place, const char* name,
                          uint64_t most, std::optional<uint64_t>* value) const;
  absl::Status ReadStrings(const Json& object, const std::string& place, const char* name,
                           std::vector<std::string>* value) const;
  // Calls `read_entry` for each object of an array.
  template <typename ReadEntry>
  absl::Status ReadObjects(const Json& object, const std::string& place, const char* name,
                           ReadEntry read_entry) const;

  absl::Status ReadAction(const Json& object, const std::string& place, const char* name,
                          const char* errno_name, uint32_t* action) const;
  absl::Status ReadArchitectures(const Json& object, const std::string& place, const char* name,
                                 std::vector<uint32_t>* value) const;
  absl::Status ReadArchMap(const Json& entry, const std::string& place);
  absl::Status ReadFlags(const Json& root);
  absl::Status ReadRule(const Json& entry, const std::string& place);
  absl::Status ReadArgument(const Json& entry, const std::string& place, SeccompRule* rule) const;
  absl::Status ReadCondition(const Json& object, const std::string& place, const char* name,
                             SeccompCondition* condition) const;

  const std::string& field_;
  SeccompProfile profile_;
  size_t names_ = 0;
};

absl::Status Reader::ReadString(const Json& object, const std::string& place, const char* name,
                                std::string* value) const {
  const Json* member = Member(object, name);
  if (member == nullptr) return absl::OkStatus();
  if (!member->is_string()) return Wrong(Below(place, name), "must be a string");
  *value = member->get<std::string>();
  return absl::OkStatus();
}

absl::Status Reader::ReadNumber(const Json& object, const std::string& place, const char* name,
                                uint64_t most, std::optional<uint64_t>* value) const {
  const Json* member = Member(object, name);
  if (member == nullptr) return absl::OkStatus();
  if (!member->is_number_unsigned() || member->get<uint64_t>() > most) {
    return Wrong(Below(place, name), absl::StrCat("must be a whole number of 0 to ", most));
  }
  *value = member->get<uint64_t>();
  return absl::OkStatus();
}

absl::Status Reader::ReadStrings(const Json& object, const std::string& place, const char* name,
                                 std::vector<std::string>* value) const {
  const Json* member = Member(object, name);
  if (member == nullptr) return absl::OkStatus();
  if (!member->is_array()) return Wrong(Below(place, name), "must be a list of strings");
  for (const Json& one : *member) {
    if (!one.is_string()) return Wrong(Below(place, name), "must be a list of strings");
    value->push_back(one.get<std::string>());
  }
  return absl::OkStatus();
}

template <typename ReadEntry>
absl::Status Reader::ReadObjects(const Json& object, const std::string& place, const char* name,
                                 ReadEntry read_entry) const {
  const Json* member = Member(object, name);
  if (member == nullptr) return absl::OkStatus();
  if (!member->is_array()) return Wrong(Below(place, name), "must be a list of objects");
  for (size_t i = 0; i < member->size(); ++i) {
    std::string entry_place = absl::StrCat(Below(place, name), "[", i, "]");
    if (!(*member)[i].is_object()) return Wrong(entry_place, "must be an object");
    RETURN_IF_ERROR(read_entry((*member)[i], entry_place));
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadAction(const Json& object, const std::string& place, const char* name,
                                const char* errno_name, uint32_t* action) const {
  std::string text;
  RETURN_IF_ERROR(ReadString(object, place, name, &text));
  std::optional<uint64_t> value;
  RETURN_IF_ERROR(ReadNumber(object, place, errno_name, kMaxErrno, &value));
  if (text.empty()) return Wrong(Below(place, name), "is required");
  if (std::optional<uint32_t> plain = Find(kPlainActions, text)) {
    *action = *plain;
  } else if (text == "SCMP_ACT_ERRNO") {
    *action = SCMP_ACT_ERRNO(value.value_or(EPERM));
  } else if (text == "SCMP_ACT_TRACE") {
    *action = SCMP_ACT_TRACE(value.value_or(EPERM));
  } else if (text == "SCMP_ACT_NOTIFY") {
    return Wrong(Below(place, name), "SCMP_ACT_NOTIFY is not supported yet by this version");
  } else {
    return Wrong(Below(place, name), absl::StrCat("unknown action ", Quote(text)));
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadArchitectures(const Json& object, const std::string& place,
                                       const char* name, std::vector<uint32_t>* value) const {
  std::vector<std::string> names;
  RETURN_IF_ERROR(ReadStrings(object, place, name, &names));
  for (const std::string& one : names) {
    // One that this libseccomp does not know is no machine that this program runs on.
    if (std::optional<uint32_t> number = Find(kArchitectures, one)) value->push_back(*number);
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadArchMap(const Json& entry, const std::string& place) {
  std::string name;
  RETURN_IF_ERROR(ReadString(entry, place, "architecture", &name));
  SeccompProfile::ArchMap map;
  RETURN_IF_ERROR(ReadArchitectures(entry, place, "subArchitectures", &map.sub_architectures));
  std::optional<uint32_t> number = Find(kArchitectures, name);
  if (!number) return absl::OkStatus();
  map.architecture = *number;
  profile_.arch_map.push_back(std::move(map));
  return absl::OkStatus();
}

absl::Status Reader::ReadFlags(const Json& root) {
  std::vector<std::string> names;
  RETURN_IF_ERROR(ReadStrings(root, "", "flags", &names));
  for (const std::string& name : names) {
    std::optional<uint32_t> flag = Find(kFlags, name);
    if (!flag) return Wrong("flags", absl::StrCat("unknown flag ", Quote(name)));
    profile_.flags |= *flag;
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadCondition(const Json& object, const std::string& place, const char* name,
                                   SeccompCondition* condition) const {
  const Json* member = Member(object, name);
  if (member == nullptr) return absl::OkStatus();
  const std::string here = Below(place, name);
  if (!member->is_object()) return Wrong(here, "must be an object");
  RETURN_IF_ERROR(ReadStrings(*member, here, "caps", &condition->capabilities));
  RETURN_IF_ERROR(ReadStrings(*member, here, "arches", &condition->arches));
  std::string kernel;
  RETURN_IF_ERROR(ReadString(*member, here, "minKernel", &kernel));
  if (kernel.empty()) return absl::OkStatus();
  std::vector<std::string> parts = absl::StrSplit(kernel, '.');
  uint32_t major = 0, minor = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &major) ||
      !absl::SimpleAtoi(parts[1], &minor) || major > 255 || minor > 255) {
    return Wrong(Below(here, "minKernel"),
                 absl::StrCat(Quote(kernel), " must be a version like \"4.8\""));
  }
  condition->min_kernel = {major, minor};
  return absl::OkStatus();
}

absl::Status Reader::ReadArgument(const Json& entry, const std::string& place,
                                  SeccompRule* rule) const {
  std::optional<uint64_t> index, value, value_two;
  std::string op;
  RETURN_IF_ERROR(ReadNumber(entry, place, "index", kMaxArgumentIndex, &index));
  RETURN_IF_ERROR(ReadNumber(entry, place, "value", UINT64_MAX, &value));
  RETURN_IF_ERROR(ReadNumber(entry, place, "valueTwo", UINT64_MAX, &value_two));
  RETURN_IF_ERROR(ReadString(entry, place, "op", &op));
  std::optional<uint32_t> number = Find(kOperators, op);
  if (!number) return Wrong(Below(place, "op"), absl::StrCat("unknown operator ", Quote(op)));
  rule->arguments.push_back({.index = static_cast<uint32_t>(index.value_or(0)),
                             .op = static_cast<int>(*number),
                             .value = value.value_or(0),
                             .value_two = value_two.value_or(0)});
  return absl::OkStatus();
}

absl::Status Reader::ReadRule(const Json& entry, const std::string& place) {
  SeccompRule rule;
  std::string name;
  RETURN_IF_ERROR(ReadString(entry, place, "name", &name));
  RETURN_IF_ERROR(ReadStrings(entry, place, "names", &rule.names));
  if (!name.empty() && !rule.names.empty())
    return Wrong(place, "must not have both name and names");
  if (!name.empty()) rule.names.push_back(name);
  names_ += rule.names.size();
  if (names_ > kMaxNames) {
    return Wrong("syscalls", absl::StrCat("must have at most ", kMaxNames, " names"));
  }
  RETURN_IF_ERROR(ReadAction(entry, place, "action", "errnoRet", &rule.action));
  RETURN_IF_ERROR(ReadObjects(entry, place, "args", [&](const Json& argument, const auto& where) {
    return ReadArgument(argument, where, &rule);
  }));
  RETURN_IF_ERROR(ReadCondition(entry, place, "includes", &rule.includes));
  RETURN_IF_ERROR(ReadCondition(entry, place, "excludes", &rule.excludes));
  profile_.rules.push_back(std::move(rule));
  return absl::OkStatus();
}

absl::StatusOr<SeccompProfile> Reader::Read(const Json& root) {
  if (!root.is_object()) return Wrong("", "must be a JSON object");
  RETURN_IF_ERROR(
      ReadAction(root, "", "defaultAction", "defaultErrnoRet", &profile_.default_action));
  RETURN_IF_ERROR(ReadObjects(root, "", "archMap", [this](const Json& entry, const auto& place) {
    return ReadArchMap(entry, place);
  }));
  RETURN_IF_ERROR(ReadArchitectures(root, "", "architectures", &profile_.architectures));
  if (!profile_.arch_map.empty() && !profile_.architectures.empty()) {
    return Wrong("architectures", "must not be given beside archMap");
  }
  RETURN_IF_ERROR(ReadFlags(root));
  if (Member(root, "listenerPath") != nullptr) {
    return Wrong("listenerPath", "not supported yet by this version");
  }
  RETURN_IF_ERROR(ReadObjects(root, "", "syscalls", [this](const Json& entry, const auto& place) {
    return ReadRule(entry, place);
  }));
  return std::move(profile_);
}

}  // namespace

absl::StatusOr<SeccompProfile> ParseSeccompProfile(const std::string& json,
                                                   const std::string& field) {
  if (json.size() > kMaxProfileBytes) {
    return InvalidField(
        field, absl::StrCat("must be at most ", kMaxProfileBytes, " bytes, is ", json.size()));
  }
  Json root;
  // The library tells of a mistake and its place by an exception only.
  try {
    root = Json::parse(json);
  } catch (const Json::parse_error& error) {
    return InvalidField(field, absl::StrCat("not JSON: mistake at byte ", error.byte));
  } catch (const Json::out_of_range&) {
    return InvalidField(field, "a number is out of range");
  }
  return Reader(field).Read(root);
}

}  // namespace noded::launch
