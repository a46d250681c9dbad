// The command lines that move files: image load, save and import; commit, diff, export, cp.
#include <memory>

#include "absl/strings/str_cat.h"
#include "clients/cli/command_table.h"
#include "clients/cli/copy_path.h"

namespace noded::cli {
namespace {

constexpr size_t kMostChangeBytes = 4096;

// -c and --change, of import and commit.
void DeclareChanges(FlagSet& flags, google::protobuf::RepeatedPtrField<std::string>& changes) {
  flags.Value("-c,--change", "INSTRUCTION",
              "change its configuration: 'CMD [\"sh\"]', 'ENV A=b', 'USER 1000', 'WORKDIR /x', …",
              [&changes](const std::string& text) {
                if (text.size() > kMostChangeBytes) {
                  return absl::InvalidArgumentError("longer than 4096 bytes");
                }
                changes.Add()->assign(text);
                return absl::OkStatus();
              });
}

Finish DeclareLoad(FlagSet& flags, const Host&) {
  auto options = std::make_shared<ImageLoadOptions>();
  flags.Group("Flags");
  flags.Text("-i,--input", "FILE", &options->file, "the archive (default: standard input)");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedNothing(args);
    if (!status.ok()) return status;
    return Command(*options);
  };
}

Finish DeclareSave(FlagSet& flags, const Host&) {
  auto options = std::make_shared<ImageSaveOptions>();
  flags.Group("Flags");
  // -o, as Docker has it; --output stays the format.
  flags.Text("-o,--file", "FILE", &options->file, "write there (default: standard output)");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    if (args.empty()) {
      return absl::InvalidArgumentError("at least one image is needed: its name or id");
    }
    for (const std::string& image : args) options->request.add_images(image);
    return Command(*options);
  };
}

Finish DeclareImport(FlagSet& flags, const Host&) {
  auto options = std::make_shared<ImageImportOptions>();
  flags.Group("Flags");
  DeclareChanges(flags, *options->start.mutable_changes());
  flags.Text("-m,--message", "TEXT", options->start.mutable_message(), "comment in its history");
  flags.Text("--platform", "OS/ARCH", options->start.mutable_platform(),
             "linux/arm64 (default: the node's)");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    if (args.empty() || args.size() > 2) {
      return absl::InvalidArgumentError("a tar is needed, or - for standard input, then a name");
    }
    if (args[0] != "-") options->file = args[0];
    if (args.size() == 2) options->start.set_reference(args[1]);
    return Command(*options);
  };
}

Finish DeclareCommit(FlagSet& flags, const Host&) {
  auto options = std::make_shared<CommitOptions>();
  auto no_pause = std::make_shared<bool>(false);
  node::v1::CommitContainerRequest& request = options->request;
  flags.Group("Flags");
  flags.Text("-a,--author", "NAME", request.mutable_author(), "who made it");
  DeclareChanges(flags, *request.mutable_changes());
  flags.Text("-m,--message", "TEXT", request.mutable_message(), "comment in its history");
  flags.Switch("--no-pause", no_pause.get(), "let the container run meanwhile");
  return [options, no_pause](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    if (args.empty() || args.size() > 2) {
      return absl::InvalidArgumentError("a container is needed, then a name for the image");
    }
    options->request.set_container(args[0]);
    if (args.size() == 2) options->request.set_reference(args[1]);
    options->request.set_no_pause(*no_pause);
    return Command(*options);
  };
}

Finish DeclareDiff(FlagSet&, const Host&) {
  return [](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedOneContainer(args);
    if (!status.ok()) return status;
    DiffOptions options;
    options.container = args[0];
    return Command(options);
  };
}

Finish DeclareExport(FlagSet& flags, const Host&) {
  auto options = std::make_shared<ExportOptions>();
  flags.Group("Flags");
  flags.Text("-o,--file", "FILE", &options->file, "write there (default: standard output)");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedOneContainer(args);
    if (!status.ok()) return status;
    options->container = args[0];
    return Command(*options);
  };
}

absl::StatusOr<Command> FinishCopy(CopyOptions& options, const std::vector<std::string>& args) {
  if (args.size() != 2) {
    return absl::InvalidArgumentError("a source and a destination are needed");
  }
  CopySide source = SideOf(args[0]);
  CopySide destination = SideOf(args[1]);
  if (source.container.empty() == destination.container.empty()) {
    return absl::InvalidArgumentError(
        "one of source and destination is CONTAINER:PATH, the other a path here; a path here that "
        "has a colon is written ./PATH");
  }
  options.to_container = source.container.empty();
  const CopySide& remote = options.to_container ? destination : source;
  const CopySide& local = options.to_container ? source : destination;
  if (local.path.empty()) return absl::InvalidArgumentError("the path here is empty");
  options.container = remote.container;
  options.container_path = remote.path;
  options.local_path = local.path;
  return Command(options);
}

Finish DeclareCopy(FlagSet& flags, const Host&) {
  auto options = std::make_shared<CopyOptions>();
  flags.Group("Flags");
  flags.Switch("-a,--archive", &options->archive,
               "keep owners, and setuid and setgid bits (default: the receiving side's user)");
  flags.Switch("-L,--follow-link", &options->follow_link, "follow a link that SOURCE is");
  return [options](const std::vector<std::string>& args) { return FinishCopy(*options, args); };
}

constexpr char kLoadDetails[] =
    R"(Takes an OCI layout or what docker save writes, as a tar, compressed or not. Also: nodectl load.

Examples:
  nodectl image load -i app.tar
  docker save app | nodectl image load
)";

constexpr char kSaveDetails[] =
    R"(The tar is both an OCI layout and a Docker archive. Nothing is written to a terminal. Also: nodectl save.

Examples:
  nodectl image save -o images.tar busybox app:1.2
  nodectl image save busybox | zstd > busybox.tar.zst
)";

constexpr char kImportDetails[] =
    R"(Makes an image of one layer out of a tar of a root file system, compressed or not, and prints its id. Also: nodectl import.

Examples:
  nodectl image import rootfs.tar.gz mine/base:1
  tar -C /srv/busybox -c . | nodectl image import -c 'CMD ["sh"]' - busybox:mine
)";

constexpr char kCommitDetails[] =
    R"(Makes an image of what a container has changed, and prints its id. A running container is paused meanwhile.

Examples:
  nodectl commit web web:tested
  nodectl commit -c 'CMD ["httpd", "-f"]' -m 'with pages' web web:1
)";

constexpr char kDiffDetails[] =
    R"(One line a file: A added, C changed, D deleted.

Examples:
  nodectl diff web
)";

constexpr char kExportDetails[] =
    R"(All its files as one tar, without its mounts. Nothing is written to a terminal.

Examples:
  nodectl export -o web.tar web
  nodectl export web | nodectl image import - web:flat
)";

constexpr char kCopyDetails[] =
    R"(SOURCE or DESTINATION is CONTAINER:PATH, the other a path here or - for a tar on a standard stream. As cp -r: into a directory
that is there, else under the name given; DIR/. means what is in DIR. Times and permissions are kept. Devices and sockets are
left out here, and no file is written outside of DESTINATION whatever the container says.

Examples:
  nodectl cp web:/var/log/httpd.log .
  nodectl cp site/. web:/www
  nodectl cp web:/etc - | tar -t
)";

}  // namespace

const CommandEntry kImageLoadCommand = {
    "image load", "[flags]", "Take images from an archive", kLoadDetails, FlagPlacement::kAnywhere,
    DeclareLoad};
const CommandEntry kImageSaveCommand = {"image save",
                                        "[flags] IMAGE...",
                                        "Write images to an archive",
                                        kSaveDetails,
                                        FlagPlacement::kAnywhere,
                                        DeclareSave,
                                        false,
                                        "o"};
const CommandEntry kImageImportCommand = {
    "image import", "[flags] FILE|- [NAME]",  "Make an image of a root file system's tar",
    kImportDetails, FlagPlacement::kAnywhere, DeclareImport};
const CommandEntry kCommitCommand = {"commit",
                                     "[flags] CONTAINER [NAME]",
                                     "Make an image of a container's changes",
                                     kCommitDetails,
                                     FlagPlacement::kAnywhere,
                                     DeclareCommit,
                                     false,
                                     "a"};
const CommandEntry kDiffCommand = {"diff",
                                   "CONTAINER",
                                   "Show which files a container has changed",
                                   kDiffDetails,
                                   FlagPlacement::kAnywhere,
                                   DeclareDiff};
const CommandEntry kExportCommand = {"export",
                                     "[flags] CONTAINER",
                                     "Write a container's files to a tar",
                                     kExportDetails,
                                     FlagPlacement::kAnywhere,
                                     DeclareExport,
                                     false,
                                     "o"};
const CommandEntry kCopyCommand = {"cp",
                                   "[flags] SOURCE DESTINATION",
                                   "Copy files into a container or out of it",
                                   kCopyDetails,
                                   FlagPlacement::kAnywhere,
                                   DeclareCopy,
                                   false,
                                   "a"};

}  // namespace noded::cli
