// The command lines of images that are here: images, and most of the group `image`.
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clients/cli/command_table.h"

namespace noded::cli {
namespace {

absl::Status NeedOneImage(const std::vector<std::string>& args) {
  if (args.size() == 1) return absl::OkStatus();
  return absl::InvalidArgumentError("exactly one image is needed: its name or id");
}

absl::Status NeedImages(const std::vector<std::string>& args) {
  if (!args.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("at least one image is needed: its name or id");
}

// "reference=PATTERN", "label=KEY[=VALUE]", "dangling=BOOL".
absl::Status AddImageFilter(absl::string_view text, ImageListOptions& options) {
  std::pair<std::string, std::string> pair = absl::StrSplit(text, absl::MaxSplits('=', 1));
  if (pair.second.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the form is NAME=VALUE, such as label=app=web"));
  }
  bool dangling = false;
  if (pair.first == "reference") {
    options.request.set_reference(pair.second);
  } else if (pair.first == "label") {
    AddLabel(pair.second, *options.request.mutable_labels());
  } else if (pair.first != "dangling") {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", pair.first, "\" is none of reference, label, dangling"));
  } else if (!absl::SimpleAtob(pair.second, &dangling)) {
    return absl::InvalidArgumentError(
        absl::StrCat("dangling is true or false, not \"", pair.second, "\""));
  } else {
    options.dangling = dangling;
  }
  return absl::OkStatus();
}

Finish DeclareImageList(FlagSet& flags, const Host&) {
  auto options = std::make_shared<ImageListOptions>();
  auto all = std::make_shared<bool>(false);
  flags.Group("Flags");
  flags.Switch("-a,--all", all.get(), "no effect: all are shown anyway");
  flags.Switch("-q,--quiet", &options->quiet, "only ids");
  flags.Switch("--digests", &options->digests, "show the digests that registries know them by");
  flags.Value("-f,--filter", "NAME=VALUE", "reference=PATTERN, label=KEY[=VALUE], dangling=true",
              [options](const std::string& text) { return AddImageFilter(text, *options); });
  flags.Switch("--no-trunc", &options->full, "do not cut ids");
  return [options, all](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    if (args.size() > 1) return absl::InvalidArgumentError("at most one pattern can be given");
    if (!args.empty()) options->request.set_reference(args[0]);
    return Command(*options);
  };
}

Finish DeclareImageInspect(FlagSet&, const Host&) {
  return [](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedImages(args);
    if (!status.ok()) return status;
    ImageInspectOptions options;
    options.images = args;
    return Command(options);
  };
}

Finish DeclareImageHistory(FlagSet& flags, const Host&) {
  auto options = std::make_shared<ImageHistoryOptions>();
  flags.Group("Flags");
  flags.Switch("--no-trunc", &options->full, "do not cut digests and commands");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedOneImage(args);
    if (!status.ok()) return status;
    options->image = args[0];
    return Command(*options);
  };
}

Finish DeclareImageTag(FlagSet&, const Host&) {
  return [](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    if (args.size() != 2) {
      return absl::InvalidArgumentError("an image and its new name are needed");
    }
    ImageTagOptions options;
    options.request.set_image(args[0]);
    options.request.set_reference(args[1]);
    return Command(options);
  };
}

Finish DeclareImageRemove(FlagSet& flags, const Host&) {
  auto options = std::make_shared<ImageRemoveOptions>();
  flags.Group("Flags");
  flags.Switch("-f,--force", &options->force,
               "also when containers use them; no error when there is none");
  return [options](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedImages(args);
    if (!status.ok()) return status;
    options->images = args;
    return Command(*options);
  };
}

Finish DeclareImagePrune(FlagSet& flags, const Host&) {
  auto options = std::make_shared<ImagePruneOptions>();
  auto all = std::make_shared<bool>(false);
  auto dry_run = std::make_shared<bool>(false);
  flags.Group("Flags");
  flags.Switch("-a,--all", all.get(), "also images with a name that no container uses");
  flags.Switch("-f,--force", &options->force, "do not ask");
  flags.Value("--filter", "label=KEY[=VALUE]", "only images with this label",
              [options](const std::string& text) {
                return AddLabelFilter(text, *options->request.mutable_labels());
              });
  flags.Switch("--dry-run", dry_run.get(), "only tell what would go");
  return [options, all, dry_run](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    absl::Status status = NeedNothing(args);
    if (!status.ok()) return status;
    options->request.set_all(*all);
    options->request.set_dry_run(*dry_run);
    return Command(*options);
  };
}

Finish DeclareImageVerify(FlagSet& flags, const Host&) {
  auto options = std::make_shared<ImageVerifyOptions>();
  auto repair = std::make_shared<bool>(false);
  flags.Group("Flags");
  flags.Switch("--repair", repair.get(),
               "set aside what is damaged, so that the next pull brings it again");
  return [options, repair](const std::vector<std::string>& args) -> absl::StatusOr<Command> {
    if (args.size() > 1) return absl::InvalidArgumentError("at most one image can be given");
    if (!args.empty()) options->request.set_image(args[0]);
    options->request.set_repair(*repair);
    return Command(*options);
  };
}

constexpr char kImagesDetails[] =
    R"(One line for each name. PATTERN is a name with * and ?; without a tag it matches every tag. SIZE is of the unpacked layers,
shared ones counted in each image, or of the compressed contents when it is not unpacked.

Examples:
  nodectl images
  nodectl images 'registry.lab:5000/*'
  nodectl images -q --filter dangling=true
)";

constexpr char kImageListDetails[] =
    R"(As nodectl images.

Examples:
  nodectl image ls --digests
  nodectl image ls --filter label=app=web -o json | jq -r '.images[].id'
)";

constexpr char kImageInspectDetails[] =
    R"(Prints a JSON array.

Examples:
  nodectl image inspect busybox | jq '.[0].config.cmd'
)";

constexpr char kImageHistoryDetails[] =
    R"(Examples:
  nodectl image history --no-trunc busybox
)";

constexpr char kImageTagDetails[] =
    R"(A name that was another image's is moved. Also: nodectl tag.

Examples:
  nodectl image tag busybox registry.lab:5000/busybox:1.36
)";

constexpr char kImageRemoveDetails[] =
    R"(A name takes away that name, and the image when it was the last; an id takes away the image with all its names. Layers that
others need stay. Also: nodectl rmi.

Examples:
  nodectl image rm app:1.1
  nodectl image rm $(nodectl images -q --filter dangling=true)
)";

constexpr char kImagePruneDetails[] =
    R"(Removes contents and layers that no image needs, and images without a name; with -a also images that no container uses.

Examples:
  nodectl image prune -f
  nodectl image prune -a --filter label=stage=build
)";

constexpr char kImageVerifyDetails[] =
    R"(Reads every content again, of one image or of all, and compares digests. Exits with 1 when something is damaged.

Examples:
  nodectl image verify
  nodectl image verify --repair busybox && nodectl pull busybox
)";

}  // namespace

absl::Status AddLabelFilter(absl::string_view text,
                            google::protobuf::Map<std::string, std::string>& labels) {
  std::pair<std::string, std::string> pair = absl::StrSplit(text, absl::MaxSplits('=', 1));
  if (pair.first != "label" || pair.second.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the form is label=KEY[=VALUE]"));
  }
  AddLabel(pair.second, labels);
  return absl::OkStatus();
}

const CommandEntry kImagesCommand = {"images",
                                     "[flags] [PATTERN]",
                                     "List images",
                                     kImagesDetails,
                                     FlagPlacement::kAnywhere,
                                     DeclareImageList,
                                     false,
                                     "a"};
const CommandEntry kImageListCommand = {"image ls",
                                        "[flags] [PATTERN]",
                                        "List images",
                                        kImageListDetails,
                                        FlagPlacement::kAnywhere,
                                        DeclareImageList,
                                        false,
                                        "a"};
const CommandEntry kImageInspectCommand = {"image inspect",
                                           "IMAGE...",
                                           "Show all that is known of images",
                                           kImageInspectDetails,
                                           FlagPlacement::kAnywhere,
                                           DeclareImageInspect};
const CommandEntry kImageHistoryCommand = {
    "image history",      "[flags] IMAGE",          "Show how an image came to be",
    kImageHistoryDetails, FlagPlacement::kAnywhere, DeclareImageHistory};
const CommandEntry kImageTagCommand = {"image tag",
                                       "IMAGE NAME",
                                       "Give an image one more name",
                                       kImageTagDetails,
                                       FlagPlacement::kAnywhere,
                                       DeclareImageTag};
const CommandEntry kImageRemoveCommand = {
    "image rm",          "[flags] IMAGE...",       "Remove images, or names of them",
    kImageRemoveDetails, FlagPlacement::kAnywhere, DeclareImageRemove};
const CommandEntry kImagePruneCommand = {"image prune",
                                         "[flags]",
                                         "Remove what nothing needs",
                                         kImagePruneDetails,
                                         FlagPlacement::kAnywhere,
                                         DeclareImagePrune,
                                         false,
                                         "a"};
const CommandEntry kImageVerifyCommand = {
    "image verify",      "[flags] [IMAGE]",        "Look for damage in the store",
    kImageVerifyDetails, FlagPlacement::kAnywhere, DeclareImageVerify};

}  // namespace noded::cli
