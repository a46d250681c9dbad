#include "clients/cli/limit_flags.h"

#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clients/cli/quantity.h"

namespace noded::cli {
namespace {

using node::v1::BlockIoDeviceLimit;

constexpr int64_t kMostOperations = std::numeric_limits<uint32_t>::max();
constexpr int64_t kMostInteger = std::numeric_limits<int64_t>::max();

FlagSet::OnValue SizeInto(std::function<void(int64_t)> set) {
  return [set = std::move(set)](const std::string& text) {
    absl::StatusOr<int64_t> size = ParseSize(text);
    if (size.ok()) set(*size);
    return size.status();
  };
}

FlagSet::OnValue IntegerInto(int64_t lowest, int64_t highest, std::function<void(int64_t)> set) {
  return [lowest, highest, set = std::move(set)](const std::string& text) {
    absl::StatusOr<int64_t> number = ParseInteger(text, lowest, highest);
    if (number.ok()) set(*number);
    return number.status();
  };
}

// "DEVICE:RATE", one entry a device.
absl::Status AddRate(absl::string_view text, bool bytes, void (BlockIoDeviceLimit::*set)(uint64_t),
                     node::v1::BlockIoLimits& limits) {
  size_t colon = text.rfind(':');  // the device may be "8:0"
  if (colon == absl::string_view::npos || colon == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the form is DEVICE:RATE, such as /dev/vda:10m"));
  }
  absl::string_view rate_text = text.substr(colon + 1);
  absl::StatusOr<int64_t> rate =
      bytes ? ParseSize(rate_text) : ParseInteger(rate_text, 1, kMostOperations);
  if (!rate.ok()) return rate.status();
  const std::string device(text.substr(0, colon));
  BlockIoDeviceLimit* entry = nullptr;
  for (BlockIoDeviceLimit& one : *limits.mutable_devices()) {
    if (one.device() == device) entry = &one;
  }
  if (entry == nullptr) {
    entry = limits.add_devices();
    entry->set_device(device);
  }
  (entry->*set)(static_cast<uint64_t>(*rate));
  return absl::OkStatus();
}

absl::Status AddHugetlb(absl::string_view text, node::v1::Limits& limits) {
  std::pair<std::string, absl::string_view> pair =
      absl::StrSplit(text, absl::MaxSplits(absl::ByAnyChar("=:"), 1));
  absl::StatusOr<int64_t> size = ParseSize(pair.second);
  if (pair.first.empty() || !size.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the form is PAGE:SIZE, such as 2MB:64m"));
  }
  node::v1::HugetlbLimit& limit = *limits.add_hugetlb();
  limit.set_page_size(pair.first);
  limit.set_max_bytes(static_cast<uint64_t>(*size));
  return absl::OkStatus();
}

}  // namespace

void LimitFlags::Declare(FlagSet& flags) {
  DeclareMemory(flags);
  DeclareCpu(flags);
  flags.Value("--pids-limit", "NUMBER", "most processes and threads; -1: no limit",
              NumberOrNone("limits.pids", "1 to 4194304",
                           [this](int64_t number) { limits_.set_pids(number); }));
  DeclareBlockIo(flags);
  flags.Value("--hugetlb", "PAGE:SIZE", "huge pages of one size, such as 2MB:64m; 0 forbids them",
              [this](const std::string& text) { return AddHugetlb(text, limits_); });
  flags.Switch("--best-effort,--limits-best-effort", &best_effort_,
               "accept and record limits that the node cannot enforce");
}

FlagSet::OnValue LimitFlags::NumberOrNone(const char* field, const char* range,
                                          std::function<void(int64_t)> set) {
  return [this, field, range, set = std::move(set)](const std::string& text) -> absl::Status {
    absl::StatusOr<int64_t> number = ParseInteger(text, -1, kMostInteger);
    if (!number.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is not a whole number: ", range, ", or -1"));
    }
    if (*number == -1) {
      unlimited_.emplace_back(field);
    } else {
      set(*number);
    }
    return absl::OkStatus();
  };
}

void LimitFlags::DeclareMemory(FlagSet& flags) {
  flags.Value("-m,--memory", "SIZE", "memory, such as 64m or 1.5g; at least 6m",
              SizeInto([this](int64_t size) { limits_.mutable_memory()->set_max_bytes(size); }));
  flags.Value("--memory-swap", "SIZE",
              "memory and swap together, as Docker counts it; -1: no limit on swap",
              [this](const std::string& text) {
                if (text == "-1") {
                  memory_and_swap_ = -1;
                  unlimited_.emplace_back("limits.memory.swap_bytes");
                  return absl::OkStatus();
                }
                absl::StatusOr<int64_t> size = ParseSize(text);
                if (size.ok()) memory_and_swap_ = *size;
                return size.status();
              });
  flags.Value("--swap", "SIZE", "swap alone, beside --memory; 0 forbids it",
              SizeInto([this](int64_t size) { swap_ = size; }));
  flags.Value(
      "--memory-reservation", "SIZE", "memory protected from reclaim",
      SizeInto([this](int64_t size) { limits_.mutable_memory()->set_reservation_bytes(size); }));
  flags.Value("--memory-high", "SIZE", "throttle and reclaim above this (cgroup v2)",
              SizeInto([this](int64_t size) { limits_.mutable_memory()->set_high_bytes(size); }));
  flags.Switch("--oom-group", &oom_group_,
               "out of memory ends the whole container, not one process of it (cgroup v2)");
}

void LimitFlags::DeclareCpu(FlagSet& flags) {
  flags.Value("--cpus", "NUMBER", "processors, such as 1.5", [this](const std::string& text) {
    absl::StatusOr<int64_t> quota = ParseCpus(text);
    if (quota.ok()) cpus_ = *quota;
    return quota.status();
  });
  flags.Value("--cpu-quota", "MICROSECONDS", "processor time a period; -1: no limit",
              NumberOrNone("limits.cpu.quota_us", "1000 or more", [this](int64_t number) {
                limits_.mutable_cpu()->set_quota_us(number);
              }));
  flags.Value("--cpu-period", "MICROSECONDS", "length of the period (default 100000)",
              IntegerInto(1000, 1000000, [this](int64_t number) {
                limits_.mutable_cpu()->set_period_us(number);
              }));
  flags.Value("--cpu-burst", "MICROSECONDS",
              "unused time that may be saved up, at most the quota (default 0)",
              IntegerInto(0, kMostInteger,
                          [this](int64_t number) { limits_.mutable_cpu()->set_burst_us(number); }));
  flags.Switch("--cpu-idle", &cpu_idle_,
               "run only when nobody else wants the processor; excludes --cpu-shares");
  flags.Value("-c,--cpu-shares", "NUMBER", "share under contention, 2 to 262144 (1024 is usual)",
              IntegerInto(2, 262144, [this](int64_t number) {
                limits_.mutable_cpu()->set_shares(static_cast<uint64_t>(number));
              }));
  flags.Value("--cpuset-cpus", "LIST", "processors that may be used: 0-2,5",
              [this](const std::string& text) {
                limits_.mutable_cpu()->set_cpuset_cpus(text);
                return absl::OkStatus();
              });
  flags.Value("--cpuset-mems", "LIST", "memory nodes that may be used: 0",
              [this](const std::string& text) {
                limits_.mutable_cpu()->set_cpuset_mems(text);
                return absl::OkStatus();
              });
}

void LimitFlags::DeclareBlockIo(FlagSet& flags) {
  flags.Value("--blkio-weight", "NUMBER", "share of block devices under contention, 1 to 10000",
              IntegerInto(1, 10000, [this](int64_t number) {
                limits_.mutable_block_io()->set_weight(static_cast<uint32_t>(number));
              }));
  struct Rate {
    const char* name;
    const char* help;
    bool bytes;
    void (BlockIoDeviceLimit::*set)(uint64_t);
  };
  static constexpr Rate kRates[] = {
      {"--device-read-bps", "bytes a second read from a device, such as /dev/vda:10m or 8:0:10m",
       true, &BlockIoDeviceLimit::set_read_bytes_per_second},
      {"--device-write-bps", "bytes a second written to a device", true,
       &BlockIoDeviceLimit::set_write_bytes_per_second},
      {"--device-read-iops", "reads a second from a device", false,
       &BlockIoDeviceLimit::set_read_operations_per_second},
      {"--device-write-iops", "writes a second to a device", false,
       &BlockIoDeviceLimit::set_write_operations_per_second},
  };
  for (const Rate& rate : kRates) {
    flags.Value(rate.name, "DEVICE:RATE", rate.help, [this, &rate](const std::string& text) {
      return AddRate(text, rate.bytes, rate.set, *limits_.mutable_block_io());
    });
  }
}

absl::Status LimitFlags::Finish() {
  if (swap_ && memory_and_swap_) {
    return absl::InvalidArgumentError("--swap and --memory-swap exclude each other");
  }
  if (memory_and_swap_ && *memory_and_swap_ != -1) {
    if (!limits_.memory().has_max_bytes()) {
      return absl::InvalidArgumentError("--memory-swap: needs --memory, which it includes");
    }
    if (*memory_and_swap_ < limits_.memory().max_bytes()) {
      return absl::InvalidArgumentError(
          "--memory-swap: memory and swap together cannot be less than --memory");
    }
    swap_ = *memory_and_swap_ - limits_.memory().max_bytes();
  }
  if (swap_) limits_.mutable_memory()->set_swap_bytes(*swap_);
  limits_.set_best_effort(best_effort_);
  if (oom_group_) limits_.mutable_memory()->set_oom_group(*oom_group_);
  if (cpu_idle_) limits_.mutable_cpu()->set_idle(*cpu_idle_);
  if (!cpus_) return absl::OkStatus();
  if (limits_.cpu().has_quota_us()) {
    return absl::InvalidArgumentError("--cpus and --cpu-quota exclude each other");
  }
  int64_t period = limits_.cpu().has_period_us() ? limits_.cpu().period_us() : 100'000;
  limits_.mutable_cpu()->set_period_us(period);
  limits_.mutable_cpu()->set_quota_us(*cpus_ * period / 100'000);
  return absl::OkStatus();
}

absl::Status AddUlimit(absl::string_view text, node::v1::Process& process) {
  std::pair<std::string, absl::string_view> pair = absl::StrSplit(text, absl::MaxSplits('=', 1));
  std::vector<absl::string_view> values = absl::StrSplit(pair.second, ':');
  uint64_t numbers[2] = {};
  bool good = !pair.first.empty() && (values.size() == 1 || values.size() == 2);
  for (size_t i = 0; good && i < values.size(); ++i) {
    bool unlimited = values[i] == "-1" || values[i] == "unlimited";
    if (unlimited) numbers[i] = std::numeric_limits<uint64_t>::max();
    good = unlimited || absl::SimpleAtoi(values[i], &numbers[i]);
  }
  if (!good) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the form is NAME=SOFT[:HARD], such as nofile=1024:4096"));
  }
  node::v1::Rlimit& limit = *process.add_rlimits();
  limit.set_name(pair.first);
  limit.set_soft(numbers[0]);
  limit.set_hard(values.size() == 2 ? numbers[1] : numbers[0]);
  return absl::OkStatus();
}

absl::Status SetLogOption(absl::string_view name, absl::string_view value,
                          node::v1::ContainerSpec& spec) {
  node::v1::LogOptions& log = *spec.mutable_log();
  if (name == "max-size") {
    absl::StatusOr<int64_t> size = ParseSize(value);
    if (size.ok()) log.set_max_file_bytes(*size);
    return size.status();
  }
  if (name == "max-file") {
    absl::StatusOr<int64_t> number = ParseInteger(value, 1, 1000);
    if (number.ok()) log.set_max_files(static_cast<int32_t>(*number));
    return number.status();
  }
  if (name == "full" && value == "drop") {
    log.set_full_policy(node::v1::LOG_FULL_POLICY_DROP);
  } else if (name == "full" && value == "block") {
    log.set_full_policy(node::v1::LOG_FULL_POLICY_BLOCK);
  } else if (name == "full") {
    return absl::InvalidArgumentError(absl::StrCat("\"", value, "\" is none of drop, block"));
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" is none of max-size, max-file, full"));
  }
  return absl::OkStatus();
}

}  // namespace noded::cli
