#include "node/meter.h"

#include <google/protobuf/util/time_util.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/network_counters.h"
#include "node/runtime.h"
#include "node/stats_message.h"

namespace noded {

using google::protobuf::util::TimeUtil;
using node::v1::Container;
using node::v1::ContainerStats;
using node::v1::StatsSample;

namespace {

constexpr size_t kPageBytes = 4096;
constexpr double kDefaultPeriodUs = 100'000;

bool HasOwnNetwork(const Container& container) {
  return container.spec().namespaces().network().mode() != node::v1::NAMESPACE_MODE_HOST;
}

void SetCpuLimit(const node::v1::CpuLimits& limits, node::v1::CpuStats& cpu) {
  if (!limits.has_quota_us() || limits.quota_us() <= 0) return;
  double period =
      limits.has_period_us() ? static_cast<double>(limits.period_us()) : kDefaultPeriodUs;
  cpu.set_limit_cpus(static_cast<double>(limits.quota_us()) / period);
}

}  // namespace

Meter::Meter(std::shared_ptr<SharedGroup> group, std::shared_ptr<const Pidfd> init,
             std::shared_ptr<LayerUse::Layer> layer)
    : group_(std::move(group)), init_(std::move(init)), layer_(std::move(layer)) {}

absl::StatusOr<StatsSample> Meter::Sample(const Container& container,
                                          const cgroup::SampleOptions& options,
                                          uint32_t online_cpus) {
  if (sampler_ == nullptr) {
    ASSIGN_OR_RETURN(sampler_, group_->TryOpenSampler(options));
  }
  ASSIGN_OR_RETURN(cgroup::Stats measured, sampler_->Sample());
  StatsSample sample;
  sample.set_container_id(container.id());
  sample.set_name(container.name());
  // Not TimeUtil::GetCurrentTime, which tells whole seconds.
  *sample.mutable_time() = TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(absl::Now()));
  ContainerStats& stats = *sample.mutable_stats();
  CopyStats(measured, stats);
  stats.mutable_cpu()->set_online_cpus(online_cpus);
  SetCpuLimit(container.spec().limits().cpu(), *stats.mutable_cpu());
  if (HasOwnNetwork(container)) AddNetwork(container, stats);
  if (layer_ != nullptr) {
    if (auto bytes = LayerUse::BytesOf(*layer_)) stats.set_writable_layer_bytes(*bytes);
  }
  return sample;
}

void Meter::AddNetwork(const Container& container, ContainerStats& stats) {
  if (!network_) {
    absl::StatusOr<UniqueFd> fd =
        OpenAt(AT_FDCWD, absl::StrCat("/proc/", container.pid(), "/net/dev"), O_RDONLY);
    // Looked at after the open, so that it is not another process that got the number.
    if (!fd.ok() || init_ == nullptr || init_->Ended()) return;
    network_ = *std::move(fd);
  }
  // One read, when what came is so much less than a page, which is what the kernel gives at most,
  // that another line would have had its place.
  char page[kPageBytes];
  ssize_t got = pread(network_.get(), page, sizeof(page), 0);
  if (got < 0) return;
  std::string_view content(page, static_cast<size_t>(got));
  absl::StatusOr<std::string> all;
  if (content.size() > kPageBytes / 2) {
    all = ReadHeld(network_.get());
    if (!all.ok()) return;
    content = *all;
  }
  for (node::v1::NetworkInterfaceStats& one : ParseNetworkCounters(content)) {
    *stats.add_networks() = std::move(one);
  }
}

}  // namespace noded
