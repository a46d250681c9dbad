// What an Update makes of a spec.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "node/launch/plan.h"
#include "node/launch/quote.h"
#include "node/launch/validation.h"

namespace noded::launch {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using node::v1::Limits;

constexpr int kMostCleared = 64;

// Clears "limits.memory.max_bytes"; false when there is no such limit.
bool ClearLimit(std::string_view path, Limits& limits) {
  absl::string_view rest(path.data(), path.size());
  if (rest == "limits") {
    bool best_effort = limits.best_effort();
    limits.Clear();
    limits.set_best_effort(best_effort);
    return true;
  }
  if (!absl::ConsumePrefix(&rest, "limits.")) return false;
  Message* message = &limits;
  const FieldDescriptor* field = nullptr;
  for (absl::string_view name : absl::StrSplit(rest, '.')) {
    if (field != nullptr) {
      if (field->message_type() == nullptr || field->is_repeated()) return false;
      message = message->GetReflection()->MutableMessage(message, field);
    }
    field = message->GetDescriptor()->FindFieldByName(std::string(name));
    if (field == nullptr) return false;
  }
  message->GetReflection()->ClearField(message, field);
  return true;
}

// Entries of `from` over those of the same name in `to`. `merge`: what an entry leaves out stays.
template <typename List, typename Name>
void MergeList(const std::string& field, const List& from, Name name, bool merge, List& to,
               Findings& findings) {
  std::set<std::string> seen;
  for (int i = 0; i < from.size(); ++i) {
    const auto& entry = from.Get(i);
    if (!seen.insert(name(entry)).second) {
      // The later one would win without a word.
      findings.Add(Indexed(field, i), absl::StrCat(Quote(name(entry)), " is there already"));
    }
    auto present = to.begin();
    while (present != to.end() && name(*present) != name(entry)) ++present;
    auto* target = present == to.end() ? to.Add() : &*present;
    merge ? target->MergeFrom(entry) : target->CopyFrom(entry);
  }
}

void MergeLimits(const Limits& given, Limits& limits, Findings& findings) {
  Limits scalars = given;
  scalars.mutable_block_io()->clear_devices();
  if (!given.has_block_io()) scalars.clear_block_io();
  scalars.clear_hugetlb();
  scalars.clear_rdma();
  scalars.clear_misc();
  scalars.clear_net_priorities();
  limits.MergeFrom(scalars);
  if (given.block_io().devices_size() > 0) {
    MergeList(
        "spec.limits.block_io.devices", given.block_io().devices(),
        [](const node::v1::BlockIoDeviceLimit& one) { return one.device(); }, true,
        *limits.mutable_block_io()->mutable_devices(), findings);
  }
  MergeList(
      "spec.limits.hugetlb", given.hugetlb(),
      [](const node::v1::HugetlbLimit& one) { return one.page_size(); }, false,
      *limits.mutable_hugetlb(), findings);
  MergeList(
      "spec.limits.rdma", given.rdma(), [](const node::v1::RdmaLimit& one) { return one.device(); },
      true, *limits.mutable_rdma(), findings);
  MergeList(
      "spec.limits.misc", given.misc(),
      [](const node::v1::MiscLimit& one) { return one.resource(); }, false, *limits.mutable_misc(),
      findings);
  MergeList(
      "spec.limits.net_priorities", given.net_priorities(),
      [](const node::v1::InterfacePriority& one) { return one.interface(); }, false,
      *limits.mutable_net_priorities(), findings);
}

void ClearLimits(const node::v1::UpdateRequest& request, Limits& limits, Findings& findings) {
  if (!findings.Count("clear", request.clear_size(), kMostCleared)) return;
  for (int i = 0; i < request.clear_size(); ++i) {
    if (ClearLimit(request.clear(i), limits)) continue;
    findings.Add(Indexed("clear", i),
                 absl::StrCat(Quote(request.clear(i)),
                              " is not the name of a limit, such as \"limits.memory.max_bytes\""));
  }
}

// "spec.limits.pids" is "limits.pids" of the request, "spec.devices[0].host_path" its
// "devices.devices[0].host_path".
std::string FieldOfRequest(absl::string_view field) {
  if (absl::ConsumePrefix(&field, "spec.limits")) return absl::StrCat("limits", field);
  if (absl::ConsumePrefix(&field, "spec.devices")) return absl::StrCat("devices.devices", field);
  return std::string(field);
}

}  // namespace

absl::StatusOr<node::v1::ContainerSpec> ApplyUpdate(const node::v1::ContainerSpec& spec,
                                                    const node::v1::UpdateRequest& request) {
  Findings findings;
  if (!request.has_limits() && !request.has_devices() && request.clear().empty()) {
    findings.Add("limits", "nothing is to be changed: limits, clear or devices is needed");
  }
  node::v1::ContainerSpec next = spec;
  ClearLimits(request, *next.mutable_limits(), findings);
  MergeLimits(request.limits(), *next.mutable_limits(), findings);
  if (request.has_devices()) *next.mutable_devices() = request.devices().devices();
  // Together with what stays, since that is what will hold.
  CheckLimits(next.limits(), findings);
  if (request.has_devices()) CheckDevices(next, findings);
  if (findings.empty()) return next;
  return InUpdateRequest(findings.ToStatus());
}

absl::Status InUpdateRequest(const absl::Status& status) {
  const std::vector<FieldViolation> found = FieldViolationsOf(status);
  if (found.empty()) return status;
  Violations violations;
  for (const FieldViolation& one : found) {
    violations.Add(FieldOfRequest(one.field), one.description);
  }
  return violations.ToStatus();
}

}  // namespace noded::launch
