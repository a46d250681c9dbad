// Command line and configuration file. The same names in both; the command line wins.
#ifndef SERVER_OPTIONS_H_
#define SERVER_OPTIONS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "node/engine.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/tls.h"

namespace noded::server {

struct Options {
  EngineOptions engine;
  std::vector<Listener> listen;
  std::optional<Listener> metrics_listen;  // engine.sample_interval is zero without
  TlsFiles tls;
  bool insecure = false;
  // engine.cgroup_parent was asked for, and is not only the default.
  bool cgroup_parent_given = false;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  // Not empty: --help or --version was asked for, and this is the answer; nothing else is set.
  std::string answer;
};

// `args` without the program's name. Reads the file that --config names. INVALID_ARGUMENT says
// which option, or which line of the file, and why. Everything is checked here but what needs the
// host looked at.
absl::StatusOr<Options> ParseOptions(std::vector<std::string> args);

// Only a configuration file's text; `name` is for messages.
absl::StatusOr<Options> ParseConfig(const std::string& text, const std::string& name);

}  // namespace noded::server

#endif  // SERVER_OPTIONS_H_
