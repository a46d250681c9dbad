// What a command line asks for, as values. Each command is an Options struct that arguments_*.cc
// fill and a function in commands.h that carries it out; the one knows nothing of the server, the
// other nothing of argv.
#ifndef CLIENTS_CLI_OPTIONS_H_
#define CLIENTS_CLI_OPTIONS_H_

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "node/v1/container_service.pb.h"

namespace noded::cli {

// Where noded is and how to prove who we are.
struct ConnectionOptions {
  std::string address;   // "unix:///path" or "host:port"
  std::string tls_cert;  // PEM files; all three or none
  std::string tls_key;
  std::string tls_ca;
  std::string tls_server_name;  // expected in the server's certificate instead of the host
  bool insecure = false;        // host:port without TLS
  absl::Duration timeout = absl::InfiniteDuration();  // of each call
};

enum class OutputFormat { kTable, kJson };

struct GlobalOptions {
  ConnectionOptions connection;
  OutputFormat output = OutputFormat::kTable;
};

// How a command relays the standard streams of a process.
struct RelayOptions {
  bool stdin = false;                    // send our standard input
  bool tty = false;                      // the far end is a terminal: ours goes raw
  bool sig_proxy = true;                 // hand signals on (without tty)
  std::string detach_keys = "\x10\x11";  // as a terminal sends them: ctrl-p ctrl-q
};

struct RunOptions {
  GlobalOptions global;
  node::v1::RunContainerRequest request;
  bool detach = false;
  bool create_only = false;  // `create`
  RelayOptions relay;
  std::string id_file;  // write the id there; empty: do not
};

struct StartOptions {
  GlobalOptions global;
  std::vector<std::string> containers;
  bool attach = false;
  RelayOptions relay;
};

struct AttachOptions {
  GlobalOptions global;
  node::v1::AttachStart start;
  RelayOptions relay;  // tty and stdin are narrowed to what the container has
};

struct ExecOptions {
  GlobalOptions global;
  node::v1::ExecStart start;
  RelayOptions relay;
};

struct StopOptions {
  GlobalOptions global;
  std::vector<std::string> containers;
  std::optional<absl::Duration> grace;
};

struct KillOptions {
  GlobalOptions global;
  std::vector<std::string> containers;
  std::string signal = "SIGKILL";
};

struct WaitOptions {
  GlobalOptions global;
  std::vector<std::string> containers;
};

struct RemoveOptions {
  GlobalOptions global;
  std::vector<std::string> containers;
  bool force = false;
};

struct PauseOptions {
  GlobalOptions global;
  std::vector<std::string> containers;
};

struct ResumeOptions {
  GlobalOptions global;
  std::vector<std::string> containers;
};

struct UpdateOptions {
  GlobalOptions global;
  std::vector<std::string> containers;
  node::v1::UpdateRequest request;  // all but the container
};

struct ListOptions {
  GlobalOptions global;
  node::v1::ContainerFilter filter;
  bool all = false;  // otherwise those that run, unless the filter names states
  bool quiet = false;
  bool full = false;  // ids and commands are not cut
};

struct InspectOptions {
  GlobalOptions global;
  std::vector<std::string> containers;
};

struct TopOptions {
  GlobalOptions global;
  std::string container;
};

struct LogsOptions {
  GlobalOptions global;
  node::v1::LogsRequest request;
  bool timestamps = false;
  bool show_cursor = false;
};

struct StatsOptions {
  GlobalOptions global;
  std::vector<std::string> containers;
  absl::Duration interval = absl::Seconds(1);
  bool once = false;
  bool full = false;
  bool pressure = false;
};

struct EventsOptions {
  GlobalOptions global;
  node::v1::WatchRequest request;
  std::vector<node::v1::ContainerEventType> types;  // only these; empty: all
  bool snapshot = false;                            // show the SNAPSHOT events, too
};

struct InfoOptions {
  GlobalOptions global;
};

struct VersionOptions {
  GlobalOptions global;
  bool client_only = false;
};

// `help`, and --help of any command.
struct HelpOptions {
  std::string text;
  bool asked_for = true;  // otherwise it is what a bare `nodectl` gets, to standard error
};

using Command = std::variant<HelpOptions, RunOptions, StartOptions, AttachOptions, ExecOptions,
                             StopOptions, KillOptions, WaitOptions, PauseOptions, ResumeOptions,
                             UpdateOptions, RemoveOptions, ListOptions, InspectOptions, TopOptions,
                             LogsOptions, StatsOptions, EventsOptions, InfoOptions, VersionOptions>;

}  // namespace noded::cli

#endif  // CLIENTS_CLI_OPTIONS_H_
