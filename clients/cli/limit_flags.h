// The flags of `run`, `create` and `update` that bound what a container may use.
#ifndef CLIENTS_CLI_LIMIT_FLAGS_H_
#define CLIENTS_CLI_LIMIT_FLAGS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "clients/cli/flag_set.h"
#include "node/v1/container.pb.h"

namespace noded::cli {

// Fills `limits`, which is borrowed and must not move before Finish.
class LimitFlags {
 public:
  explicit LimitFlags(node::v1::Limits* limits) : limits_(*limits) {}
  void Declare(FlagSet& flags);
  // Works out what takes several flags: swap, and the quota against the period.
  absl::Status Finish();
  // What -1 was given for: fields that an update takes away, and a new container has not.
  const std::vector<std::string>& unlimited() const { return unlimited_; }

 private:
  // A value of -1 is "no limit". `range` of the others is for the message alone: noded checks it.
  FlagSet::OnValue NumberOrNone(const char* field, const char* range,
                                std::function<void(int64_t)> set);
  void DeclareMemory(FlagSet& flags);
  void DeclareCpu(FlagSet& flags);
  void DeclareBlockIo(FlagSet& flags);

  node::v1::Limits& limits_;
  std::optional<int64_t> memory_and_swap_;  // Docker's --memory-swap in bytes; -1: no limit
  std::optional<int64_t> swap_;
  bool best_effort_ = false;
  std::optional<bool> oom_group_, cpu_idle_;
  std::vector<std::string> unlimited_;
  std::optional<int64_t> cpus_;  // --cpus, as microseconds of 100 ms
};

// --ulimit NAME=SOFT[:HARD].
absl::Status AddUlimit(absl::string_view text, node::v1::Process& process);
// max-size, max-file or full of the log.
absl::Status SetLogOption(absl::string_view name, absl::string_view value,
                          node::v1::ContainerSpec& spec);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_LIMIT_FLAGS_H_
