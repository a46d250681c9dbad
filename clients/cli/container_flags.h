// The flags of `run` and `create`: from a command line to a ContainerSpec.
#ifndef CLIENTS_CLI_CONTAINER_FLAGS_H_
#define CLIENTS_CLI_CONTAINER_FLAGS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "clients/cli/flag_set.h"
#include "clients/cli/host.h"
#include "clients/cli/limit_flags.h"
#include "node/v1/container.pb.h"

namespace noded::cli {

// Environment variables as -e and --env-file give them: in order, a later one instead of an earlier
// of the same name.
class EnvironmentFlags {
 public:
  explicit EnvironmentFlags(const Host& host) : host_(host) {}
  void Declare(FlagSet& flags);
  // Files first, so that -e overrides them wherever it stands.
  void AppendTo(node::v1::Process& process) const;

 private:
  absl::Status Add(const std::string& text, std::vector<std::string>& list);
  absl::Status AddFile(const std::string& path);

  const Host& host_;
  std::vector<std::string> from_files_;
  std::vector<std::string> from_flags_;
};

// Fills a spec flag by flag. What needs several flags (swap, argv) is put together by Finish.
// `spec` and `host` are borrowed, and `spec` must not move before Finish.
class ContainerFlags {
 public:
  ContainerFlags(node::v1::ContainerSpec* spec, const Host& host);
  void Declare(FlagSet& flags);
  // `words` are what follows the flags: the image, unless there is --rootfs, and the command.
  absl::Status Finish(const std::vector<std::string>& words);

 private:
  void DeclareIdentity(FlagSet& flags);
  void DeclareProcess(FlagSet& flags);
  void DeclareFiles(FlagSet& flags);
  void DeclareNamespaces(FlagSet& flags);
  void DeclareLife(FlagSet& flags);
  // Declaring took pointers into messages that then stayed empty; a dry run should not show them.
  void DropEmptyMessages();

  node::v1::ContainerSpec& spec_;
  const Host& host_;
  EnvironmentFlags environment_;
  LimitFlags limits_;
  std::string root_;
  std::optional<std::string> entrypoint_;
  bool read_only_ = false;
  bool init_ = false;
  bool privileged_ = false;
};

}  // namespace noded::cli

#endif  // CLIENTS_CLI_CONTAINER_FLAGS_H_
