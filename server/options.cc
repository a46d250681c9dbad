#include "server/options.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "server/config.h"

namespace noded::server {
namespace {

constexpr size_t kMostConfigBytes = 1 << 20;
constexpr absl::Duration kLeastStartTimeout = absl::Seconds(1);
constexpr absl::Duration kMostStartTimeout = absl::Hours(1);
constexpr absl::Duration kLeastMetricsInterval = absl::Seconds(1);
constexpr absl::Duration kMostMetricsInterval = absl::Hours(1);

// What CLI11 fills in, before it is checked.
struct RawOptions {
  Options options;
  std::vector<std::string> listen;
  std::string log_level = "info";
  std::string log_format = "text";
  std::string start_timeout = "60s";
  std::string metrics_listen;
  std::string metrics_interval = "10s";
  std::string config;
};

LogLevel LogLevelNamed(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn") return LogLevel::kWarning;
  return name == "error" ? LogLevel::kError : LogLevel::kInfo;
}

std::string CheckAbsolute(const std::string& path) {
  if (path.empty() || path[0] != '/') return "must be an absolute path";
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == "..") return "must not contain \"..\"";
  }
  return "";
}

void AddImageOptions(CLI::App* app, EngineOptions& engine, const CLI::Validator& absolute) {
  app->add_option("--default-registry", engine.default_registry,
                  "Registry of image references that name none")
      ->capture_default_str()
      ->type_name("HOST[:PORT]");
  app->add_option("--registry", engine.registry_rules,
                  "Where a registry is asked, before itself: \"REGISTRY URL [pull,resolve,push] "
                  "[ca=FILE] [cert=FILE key=FILE] [skip-verify] [last]\"; may be repeated, and is "
                  "tried in that order. Registries on loopback may be plain http without")
      ->type_name("RULE")
      ->allow_extra_args(false);
  app->add_option("--registry-credentials", engine.registry_credentials,
                  "config.json whose credentials are used when a request brings none")
      ->type_name("FILE")
      ->check(absolute);
  app->add_option("--image-disk-high", engine.image_disk_high_percent,
                  "Share of the disk in use, in percent, above which a pull first removes images "
                  "without a name")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  app->add_option("--max-layer-bytes", engine.max_layer_bytes,
                  "Most bytes that one layer of an image may unpack to")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, INT64_MAX));
  app->add_option("--max-layer-entries", engine.max_layer_entries,
                  "Most files and directories of one layer")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, INT64_MAX));
}

std::unique_ptr<CLI::App> MakeApp(RawOptions* raw) {
  auto app = std::make_unique<CLI::App>("Runs containers on this host for clients of its gRPC API.",
                                        "noded");
  EngineOptions& engine = raw->options.engine;
  const CLI::Validator absolute(CheckAbsolute, "ABSOLUTE PATH");
  app->add_option("--listen", raw->listen,
                  "Where to serve: unix:///path or host:port; may be repeated. Default: the socket "
                  "noded.sock in the state directory")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  app->add_option("--root", engine.root, "Directory of persistent state")
      ->capture_default_str()
      ->check(absolute);
  app->add_option("--state-dir", engine.state_dir,
                  "Directory of sockets; may be lost with a reboot")
      ->capture_default_str()
      ->check(absolute);
  app->add_option("--config", raw->config,
                  "Read options from this file, as key = value with these names")
      ->type_name("FILE");
  app->add_option("--log-level", raw->log_level, "Least severe lines to log")
      ->capture_default_str()
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  app->add_option("--log-format", raw->log_format, "key=value lines or JSON")
      ->capture_default_str()
      ->check(CLI::IsMember({"text", "json"}));
  app->add_option("--cgroup-parent", engine.cgroup_parent,
                  "Group below which each container's is made. Without it, a noded that systemd "
                  "started uses a scope of its own, /noded.slice/noded-containers.scope")
      ->capture_default_str()
      ->each([raw](const std::string&) { raw->options.cgroup_parent_given = true; })
      ->check(absolute);
  app->add_option("--cgroup-driver", engine.cgroup_driver, "Which cgroup hierarchy to use")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "v1", "v2"}));
  app->add_option("--tls-cert", raw->options.tls.certificate, "Server certificate, PEM")
      ->type_name("FILE");
  app->add_option("--tls-key", raw->options.tls.key, "Its private key, PEM")->type_name("FILE");
  app->add_option("--tls-ca", raw->options.tls.ca,
                  "Certificates that client certificates must be signed by, PEM")
      ->type_name("FILE");
  app->add_flag("--insecure", raw->options.insecure,
                "Allow TCP without TLS on loopback addresses: every local user is root then");
  app->add_option("--shim", engine.shim_path,
                  "The supervisor's executable. Default: node-shim beside noded")
      ->check(absolute);
  app->add_option("--start-timeout", raw->start_timeout,
                  "Longest time for a container or process to reach its exec, 1s to 1h")
      ->capture_default_str()
      ->type_name("DURATION");
  app->add_option(
         "--metrics-listen", raw->metrics_listen,
         "Where to serve metrics for Prometheus, as plain HTTP at /metrics: unix:///path or "
         "host:port, the host an IP address. Read-only, and open to whoever can connect. "
         "Default: nowhere")
      ->type_name("ADDRESS");
  app->add_option("--metrics-interval", raw->metrics_interval,
                  "How often containers are measured for --metrics-listen, 1s to 1h")
      ->capture_default_str()
      ->type_name("DURATION");
  AddImageOptions(app.get(), engine, absolute);
  app->add_flag(
      "--pressure,!--no-pressure", engine.pressure,
      "Whether statistics hold pressure (PSI), a quarter of their cost. Default: they do");
  app->set_version_flag("--version", "noded " NODED_VERSION);
  return app;
}

// Runs CLI11, whose only way to tell a mistake is to throw.
absl::Status Parse(CLI::App& app, std::vector<std::string> args, std::string* answer) {
  std::reverse(args.begin(), args.end());  // CLI11 takes them from the back
  try {
    app.parse(std::move(args));
  } catch (const CLI::CallForHelp&) {
    *answer = app.help();
  } catch (const CLI::CallForVersion& version) {
    *answer = absl::StrCat(version.what(), "\n");
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return absl::OkStatus();
}

// The file as arguments, without what the command line gives. Each entry is tried by itself, so
// that a mistake is told with its line.
absl::StatusOr<std::vector<std::string>> ConfigArguments(const std::string& text,
                                                         const std::string& name,
                                                         const CLI::App& command_line) {
  ASSIGN_OR_RETURN(const std::vector<ConfigEntry> entries, ReadConfig(text, name));
  std::vector<std::string> arguments;
  for (const ConfigEntry& entry : entries) {
    const std::string where = absl::StrCat(name, ":", entry.line);
    const std::string option = absl::StrCat("--", entry.key);
    const CLI::Option* known = command_line.get_option_no_throw(option);
    if (known == nullptr || entry.key == "config" || entry.key == "help" ||
        entry.key == "version") {
      return absl::InvalidArgumentError(absl::StrCat(where, ": unknown key \"", entry.key, "\""));
    }
    if (entry.values.size() != 1 && entry.key != "listen") {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": \"", entry.key, "\" takes one value, not an array"));
    }
    std::vector<std::string> own;
    for (const std::string& value : entry.values) own.push_back(absl::StrCat(option, "=", value));
    RawOptions trial;
    std::string answer;
    RETURN_IF_ERROR(Annotate(Parse(*MakeApp(&trial), own, &answer), where));
    if (known->count() == 0) arguments.insert(arguments.end(), own.begin(), own.end());
  }
  return arguments;
}

// A duration option's value, within its bounds, which are whole seconds or hours.
absl::Status ParseDurationOption(const char* option, const std::string& text, absl::Duration least,
                                 absl::Duration most, absl::Duration* duration) {
  if (absl::ParseDuration(text, duration) && *duration >= least && *duration <= most) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(option, ": must be a duration from ",
                                                 absl::FormatDuration(least), " to ",
                                                 absl::FormatDuration(most), ", not ", text));
}

// Anybody who can connect may read them, so neither TLS nor --insecure is asked for.
absl::Status CheckMetrics(const RawOptions& raw, Options* options) {
  RETURN_IF_ERROR(ParseDurationOption("--metrics-interval", raw.metrics_interval,
                                      kLeastMetricsInterval, kMostMetricsInterval,
                                      &options->engine.sample_interval));
  if (raw.metrics_listen.empty()) {
    options->engine.sample_interval = absl::ZeroDuration();
    return absl::OkStatus();
  }
  absl::StatusOr<Listener> listener = ParseListener(raw.metrics_listen);
  RETURN_IF_ERROR(Annotate(listener.status(), "--metrics-listen"));
  // A name may resolve to several addresses, of which only some were meant.
  if (!listener->is_unix() && !IsIpAddress(listener->host)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics-listen: the host must be an IP address, not ", listener->host));
  }
  for (const Listener& other : options->listen) {
    if (other == *listener && (other.is_unix() || other.port != 0)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--metrics-listen: ", raw.metrics_listen, " is --listen's already"));
    }
  }
  options->metrics_listen = *std::move(listener);
  return absl::OkStatus();
}

// What concerns more than one option, or is no plain string.
absl::StatusOr<Options> Check(RawOptions raw) {
  Options& options = raw.options;
  options.log_level = LogLevelNamed(raw.log_level);
  options.log_format = raw.log_format == "json" ? LogFormat::kJson : LogFormat::kText;
  RETURN_IF_ERROR(ParseDurationOption("--start-timeout", raw.start_timeout, kLeastStartTimeout,
                                      kMostStartTimeout, &options.engine.start_timeout));
  const TlsFiles& tls = options.tls;
  if (!tls.empty() && (tls.certificate.empty() || tls.key.empty() || tls.ca.empty())) {
    return absl::InvalidArgumentError("--tls-cert, --tls-key and --tls-ca: all three or none");
  }
  if (raw.listen.empty()) {
    raw.listen.push_back(absl::StrCat("unix://", options.engine.state_dir, "/noded.sock"));
  }
  for (const std::string& text : raw.listen) {
    ASSIGN_OR_RETURN(Listener listener, ParseListener(text));
    RETURN_IF_ERROR(CheckTransport(listener, !tls.empty(), options.insecure));
    for (const Listener& other : options.listen) {
      if (other == listener && (listener.is_unix() || listener.port != 0)) {
        return absl::InvalidArgumentError(absl::StrCat("--listen: ", text, " is given twice"));
      }
    }
    options.listen.push_back(std::move(listener));
  }
  RETURN_IF_ERROR(CheckMetrics(raw, &options));
  options.engine.version = NODED_VERSION;
  return std::move(options);
}

absl::StatusOr<Options> ParseWithConfig(const std::string& text, const std::string& name,
                                        const CLI::App& command_line,
                                        const std::vector<std::string>& args) {
  ASSIGN_OR_RETURN(std::vector<std::string> all, ConfigArguments(text, name, command_line));
  all.insert(all.end(), args.begin(), args.end());
  RawOptions raw;
  RETURN_IF_ERROR(Parse(*MakeApp(&raw), std::move(all), &raw.options.answer));
  return Check(std::move(raw));
}

}  // namespace

absl::StatusOr<Options> ParseOptions(std::vector<std::string> args) {
  RawOptions raw;
  const std::unique_ptr<CLI::App> app = MakeApp(&raw);
  RETURN_IF_ERROR(Parse(*app, args, &raw.options.answer));
  if (!raw.options.answer.empty()) return std::move(raw.options);
  if (raw.config.empty()) return Check(std::move(raw));
  auto text = ReadFileAt(AT_FDCWD, raw.config, kMostConfigBytes);
  if (!text.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--config: ", text.status().message()));
  }
  return ParseWithConfig(*text, raw.config, *app, args);
}

absl::StatusOr<Options> ParseConfig(const std::string& text, const std::string& name) {
  RawOptions raw;
  return ParseWithConfig(text, name, *MakeApp(&raw), {});
}

}  // namespace noded::server
