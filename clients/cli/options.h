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
#include "node/v1/image_service.pb.h"
#include "node/v1/volume_service.pb.h"

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

// Files that hold what `login` keeps.
struct RegistryFiles {
  std::string own;     // nodectl's; the one that is written
  std::string docker;  // read when the other is not there; empty: none
};

// Whether an image is brought before a container is made of it.
enum class PullPolicy { kAlways, kMissing, kNever };

struct RunOptions {
  GlobalOptions global;
  PullPolicy pull = PullPolicy::kMissing;
  std::string platform;  // of the image that is pulled
  RegistryFiles registry_files;
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
  bool volumes = false;  // their anonymous ones too
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

struct PullOptions {
  GlobalOptions global;
  node::v1::PullImageRequest request;  // all but the credentials
  RegistryFiles registry_files;
  bool quiet = false;  // no progress
};

struct PushOptions {
  GlobalOptions global;
  node::v1::PushImageRequest request;  // all but the credentials
  RegistryFiles registry_files;
  bool quiet = false;
};

struct LoginOptions {
  GlobalOptions global;
  std::string registry;
  std::string username;
  std::string password;  // empty: from standard input
  bool password_stdin = false;
  RegistryFiles registry_files;
};

struct LogoutOptions {
  GlobalOptions global;
  std::string registry;
  RegistryFiles registry_files;
};

struct ImageListOptions {
  GlobalOptions global;
  node::v1::ListImagesRequest request;
  std::optional<bool> dangling;  // only those without a reference, or only those with one
  bool quiet = false;
  bool full = false;
  bool digests = false;
};

struct ImageInspectOptions {
  GlobalOptions global;
  std::vector<std::string> images;
};

struct ImageHistoryOptions {
  GlobalOptions global;
  std::string image;
  bool full = false;
};

struct ImageTagOptions {
  GlobalOptions global;
  node::v1::TagImageRequest request;
};

struct ImageRemoveOptions {
  GlobalOptions global;
  std::vector<std::string> images;
  bool force = false;
};

struct ImagePruneOptions {
  GlobalOptions global;
  node::v1::PruneImagesRequest request;
  bool force = false;  // do not ask
};

struct ImageVerifyOptions {
  GlobalOptions global;
  node::v1::VerifyImagesRequest request;
};

struct ImageLoadOptions {
  GlobalOptions global;
  std::string file;  // empty: standard input
};

struct ImageSaveOptions {
  GlobalOptions global;
  node::v1::SaveImagesRequest request;
  std::string file;  // empty: standard output
};

struct ImageImportOptions {
  GlobalOptions global;
  node::v1::ImportImageStart start;
  std::string file;  // empty: standard input
};

struct CommitOptions {
  GlobalOptions global;
  node::v1::CommitContainerRequest request;
};

struct DiffOptions {
  GlobalOptions global;
  std::string container;
};

struct ExportOptions {
  GlobalOptions global;
  std::string container;
  std::string file;  // empty: standard output
};

struct CopyOptions {
  GlobalOptions global;
  std::string container;
  std::string container_path;
  std::string local_path;  // "-": a tar on a standard stream
  bool to_container = false;
  bool archive = false;      // keep owners
  bool follow_link = false;  // a link named as the source
};

struct VolumeCreateOptions {
  GlobalOptions global;
  node::v1::CreateVolumeRequest request;
};

struct VolumeListOptions {
  GlobalOptions global;
  node::v1::ListVolumesRequest request;
  bool quiet = false;
};

struct VolumeInspectOptions {
  GlobalOptions global;
  std::vector<std::string> volumes;
};

struct VolumeRemoveOptions {
  GlobalOptions global;
  std::vector<std::string> volumes;
  bool force = false;
};

struct VolumePruneOptions {
  GlobalOptions global;
  node::v1::PruneVolumesRequest request;
  bool force = false;  // do not ask
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

using Command =
    std::variant<HelpOptions, RunOptions, StartOptions, AttachOptions, ExecOptions, StopOptions,
                 KillOptions, WaitOptions, PauseOptions, ResumeOptions, UpdateOptions,
                 RemoveOptions, ListOptions, InspectOptions, TopOptions, LogsOptions, StatsOptions,
                 EventsOptions, PullOptions, PushOptions, LoginOptions, LogoutOptions,
                 ImageListOptions, ImageInspectOptions, ImageHistoryOptions, ImageTagOptions,
                 ImageRemoveOptions, ImagePruneOptions, ImageVerifyOptions, ImageLoadOptions,
                 ImageSaveOptions, ImageImportOptions, CommitOptions, DiffOptions, ExportOptions,
                 CopyOptions, VolumeCreateOptions, VolumeListOptions, VolumeInspectOptions,
                 VolumeRemoveOptions, VolumePruneOptions, InfoOptions, VersionOptions>;

}  // namespace noded::cli

#endif  // CLIENTS_CLI_OPTIONS_H_
