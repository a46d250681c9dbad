// What a command line may refer to on the machine where it is typed: environment, files, directory,
// clock. A value, so that tests parse `-e NAME` or `--env-file` without touching any of it.
#ifndef CLIENTS_CLI_HOST_H_
#define CLIENTS_CLI_HOST_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace noded::cli {

struct Host {
  // An environment variable; nullopt when it is not set.
  std::function<std::optional<std::string>(const std::string& name)> environment;
  // The content of a file of at most 4 MiB, which is what a request can carry.
  std::function<absl::StatusOr<std::string>(const std::string& path)> read_file;
  std::function<std::string()> working_directory;
  std::function<absl::Time()> now;
};

// The real one.
Host RealHost();

}  // namespace noded::cli

#endif  // CLIENTS_CLI_HOST_H_
