// What each command does, by overloading on its Options. Each gets all that it needs through its
// Options, the client and the streams; returns nodectl's exit status.
#ifndef CLIENTS_CLI_COMMANDS_H_
#define CLIENTS_CLI_COMMANDS_H_

#include "clients/cli/client.h"
#include "clients/cli/io.h"
#include "clients/cli/options.h"

namespace noded::cli {

int Run(const RunOptions& options, Client& client, const Io& io);            // run.cc
int Run(const StartOptions& options, Client& client, const Io& io);          // run.cc
int Run(const AttachOptions& options, Client& client, const Io& io);         // attach.cc
int Run(const ExecOptions& options, Client& client, const Io& io);           // exec.cc
int Run(const StopOptions& options, Client& client, const Io& io);           // life.cc
int Run(const KillOptions& options, Client& client, const Io& io);           // life.cc
int Run(const WaitOptions& options, Client& client, const Io& io);           // life.cc
int Run(const PauseOptions& options, Client& client, const Io& io);          // life.cc
int Run(const ResumeOptions& options, Client& client, const Io& io);         // life.cc
int Run(const UpdateOptions& options, Client& client, const Io& io);         // life.cc
int Run(const RemoveOptions& options, Client& client, const Io& io);         // life.cc
int Run(const ListOptions& options, Client& client, const Io& io);           // list.cc
int Run(const InspectOptions& options, Client& client, const Io& io);        // list.cc
int Run(const TopOptions& options, Client& client, const Io& io);            // list.cc
int Run(const LogsOptions& options, Client& client, const Io& io);           // logs.cc
int Run(const StatsOptions& options, Client& client, const Io& io);          // stats.cc
int Run(const EventsOptions& options, Client& client, const Io& io);         // events.cc
int Run(const PullOptions& options, Client& client, const Io& io);           // transfer.cc
int Run(const PushOptions& options, Client& client, const Io& io);           // transfer.cc
int Run(const LoginOptions& options, Client& client, const Io& io);          // login.cc
int Run(const LogoutOptions& options, Client& client, const Io& io);         // login.cc
int Run(const ImageListOptions& options, Client& client, const Io& io);      // image.cc
int Run(const ImageInspectOptions& options, Client& client, const Io& io);   // image.cc
int Run(const ImageHistoryOptions& options, Client& client, const Io& io);   // image.cc
int Run(const ImageTagOptions& options, Client& client, const Io& io);       // image_change.cc
int Run(const ImageRemoveOptions& options, Client& client, const Io& io);    // image_change.cc
int Run(const ImagePruneOptions& options, Client& client, const Io& io);     // image_change.cc
int Run(const ImageVerifyOptions& options, Client& client, const Io& io);    // image_change.cc
int Run(const ImageLoadOptions& options, Client& client, const Io& io);      // archive.cc
int Run(const ImageSaveOptions& options, Client& client, const Io& io);      // archive.cc
int Run(const ImageImportOptions& options, Client& client, const Io& io);    // archive.cc
int Run(const CommitOptions& options, Client& client, const Io& io);         // changes.cc
int Run(const DiffOptions& options, Client& client, const Io& io);           // changes.cc
int Run(const ExportOptions& options, Client& client, const Io& io);         // archive.cc
int Run(const CopyOptions& options, Client& client, const Io& io);           // copy.cc
int Run(const VolumeCreateOptions& options, Client& client, const Io& io);   // volume.cc
int Run(const VolumeListOptions& options, Client& client, const Io& io);     // volume.cc
int Run(const VolumeInspectOptions& options, Client& client, const Io& io);  // volume.cc
int Run(const VolumeRemoveOptions& options, Client& client, const Io& io);   // volume.cc
int Run(const VolumePruneOptions& options, Client& client, const Io& io);    // volume.cc
int Run(const InfoOptions& options, Client& client, const Io& io);           // node.cc
int Run(const VersionOptions& options, Client& client, const Io& io);        // node.cc

// nodectl: parses, connects, runs. `args` without the program's name.
int Main(const std::vector<std::string>& args, const Host& host, const Io& io);

// Prints "nodectl: <what>: …" of a failed call; returns `exit_code`.
int Fail(const Client& client, const Io& io, absl::string_view what, const grpc::Status& status,
         int exit_code);
// kOk or, when nobody reads our output any more, kOutputClosed.
int Print(const Io& io, absl::string_view text);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_COMMANDS_H_
