// Reads the flags that describe mounts and devices. Pure. INVALID_ARGUMENT names the part that is
// wrong and the form that is allowed; whether paths exist is noded's business, for they are the
// node's.
#ifndef CLIENTS_CLI_MOUNT_FLAGS_H_
#define CLIENTS_CLI_MOUNT_FLAGS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "node/v1/container.pb.h"

namespace noded::cli {

// -v SOURCE:TARGET[:OPTION,…]. Options: ro, rw, rro (read-only with all mounts below), rprivate,
// rslave, rshared (and without r), z, Z, cached, delegated, consistent (accepted, no effect). A
// missing source is made, as Docker does. A source that starts with "." is taken from
// `working_directory`.
absl::StatusOr<node::v1::Mount> ParseVolume(absl::string_view text,
                                            absl::string_view working_directory);
// --mount KEY=VALUE,…: type=bind|tmpfs, source|src, target|dst|destination, readonly|ro,
// bind-propagation, bind-nonrecursive, bind-recursive, tmpfs-size, tmpfs-mode. A missing source is
// refused by noded.
absl::StatusOr<node::v1::Mount> ParseMount(absl::string_view text,
                                           absl::string_view working_directory);
// --tmpfs TARGET[:OPTION,…]. Options: size=, mode= (octal), exec, noexec, ro, rw, nosuid, nodev.
absl::StatusOr<node::v1::Mount> ParseTmpfs(absl::string_view text);
// --device HOST[:CONTAINER][:rwm].
absl::StatusOr<node::v1::Device> ParseDevice(absl::string_view text);
// "./data" below the working directory; an absolute path as it is.
std::string AbsolutePath(absl::string_view path, absl::string_view working_directory);

}  // namespace noded::cli

#endif  // CLIENTS_CLI_MOUNT_FLAGS_H_
