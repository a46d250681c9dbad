#include "rootfs/layer/child.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <variant>

#include "absl/synchronization/mutex.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"
#include "rootfs/layer/confine.h"
#include "rootfs/layer/inflate.h"
#include "rootfs/layer/job.h"
#include "rootfs/layer/message.h"
#include "rootfs/layer/pack_tree.h"
#include "rootfs/layer/tar_reader.h"
#include "rootfs/layer/tree_writer.h"

namespace noded::layer {
namespace {

absl::StatusOr<std::variant<UnpackOptions, PackOptions>> ReadJob() {
  ASSIGN_OR_RETURN(std::string line, ReadHeld(kJobFd));
  if (!line.empty() && line.back() == '\n') line.pop_back();
  ASSIGN_OR_RETURN(const Message message, Message::Parse(line));
  return ParseJob(message);
}

// Later descriptors are those of the tree, and nothing is to be reached through them but the tree.
void CloseTree(const Tree& tree) {
  for (int fd : DescriptorsOf(tree)) close(fd);
}

absl::Status Confine(const Tree& tree) {
  // OpenSSL reads its configuration and finds its algorithms at the first use.
  oci::Sha256::Of("");
  RETURN_IF_ERROR(ChangeRoot(tree));
  CloseTree(tree);
  return GiveUpPrivileges();
}

absl::StatusOr<Message> Unpack(const UnpackOptions& options) {
  ASSIGN_OR_RETURN(const UniqueFd root, OpenAt(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY));
  TreeWriter writer(root.get(), {.mode = options.mode,
                                 .path = options.path,
                                 .owner = options.owner,
                                 .overwrite_type = options.overwrite_type,
                                 .ids = options.ids,
                                 .max_entries = options.limits.max_entries});
  RETURN_IF_ERROR(writer.CheckPath());
  InflatedStream stream({.stream = kStreamFd,
                         .waiting_reader = kResultFd,
                         .compression = options.compression,
                         .detect_compression = options.detect_compression,
                         .max_bytes = options.limits.max_bytes});
  TarReader reader([&stream] { return stream.Next(); });
  while (true) {
    ASSIGN_OR_RETURN(const TarEntry* entry, reader.NextEntry());
    if (entry == nullptr) break;
    RETURN_IF_ERROR(writer.Apply(*entry, [&reader] { return reader.NextData(); }));
  }
  RETURN_IF_ERROR(writer.Finish());
  return ToMessage(Unpacked{.diff_id = stream.digest(),
                            .tar_bytes = stream.bytes(),
                            .file_bytes = writer.file_bytes(),
                            .entries = writer.entries()});
}

absl::Status Tell(const Message& message) { return WriteAll(kResultFd, message.ToLine()); }

absl::StatusOr<Message> Pack(const PackOptions& options) {
  ASSIGN_OR_RETURN(const UniqueFd root, OpenAt(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const PackSource source, FindSource(root.get(), options));
  RETURN_IF_ERROR(Tell(ToMessage(source.stat)));
  ASSIGN_OR_RETURN(const Packed packed, PackTree(source, options, kResultFd));
  return ToMessage(packed);
}

absl::StatusOr<Message> Work() {
  ASSIGN_OR_RETURN(const auto job, ReadJob());
  const auto* unpack = std::get_if<UnpackOptions>(&job);
  RETURN_IF_ERROR(Confine(unpack != nullptr ? unpack->tree : std::get<PackOptions>(job).tree));
  return unpack != nullptr ? Unpack(*unpack) : Pack(std::get<PackOptions>(job));
}

}  // namespace

bool IsLayerChild(std::string_view program_name) { return program_name == kChildName; }

int LayerMain() {
  prctl(PR_SET_NAME, kChildName);
#ifdef NDEBUG
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  const absl::StatusOr<Message> result = Work();
  const absl::Status told = Tell(result.ok() ? *result : Message::OfError(result.status()));
  // No destructors of the program's: they might want what is no longer there.
  _exit(result.ok() && told.ok() ? 0 : 1);
}

}  // namespace noded::layer
