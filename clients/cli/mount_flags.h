// Reads the flags that describe mounts and devices. Pure. INVALID_ARGUMENT names the part that is
// wrong and the form that is allowed; whether paths exist is noded's business, for they are the
// node's.
#ifndef CLIENTS_CLI_MOUNT_FLAGS_H_
#define CLIENTS_CLI_MOUNT_FLAGS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "node/v1/container.pb.h"

namespace noded::cli {

// -v SOURCE:TARGET[:OPTION,…]. A source with a "/" or "." in front is a path, from
// `working_directory` on when it is relative, and made when missing, as Docker does; any other is
// the name of a volume. -v /TARGET is an anonymous volume. Options: ro, rw, rro (read-only with all
// mounts below), rprivate, rslave, rshared (and without r), nocopy (of a volume), z, Z, cached,
// delegated, consistent (accepted, no effect).
absl::StatusOr<node::v1::Mount> ParseVolume(absl::string_view text,
                                            absl::string_view working_directory);
// --mount KEY=VALUE,…: type=bind|volume|tmpfs|image (default volume), source|src,
// target|dst|destination, readonly|ro, bind-propagation, bind-nonrecursive, bind-recursive,
// volume-nocopy, tmpfs-size, tmpfs-mode. A missing source of a bind is refused by noded.
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
