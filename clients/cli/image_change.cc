// image tag, rm, prune and verify.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"
#include "clients/cli/prompt.h"

namespace noded::cli {
namespace {

constexpr char kPruneWarning[] =
    "WARNING! This will remove all images without a name, and contents that no image needs.";
constexpr char kPruneAllWarning[] = "WARNING! This will remove all images that no container uses.";

std::string Gone(const google::protobuf::RepeatedPtrField<std::string>& untagged,
                 const google::protobuf::RepeatedPtrField<std::string>& deleted) {
  std::string text;
  for (const std::string& reference : untagged)
    absl::StrAppend(&text, "Untagged: ", reference, "\n");
  for (const std::string& digest : deleted) absl::StrAppend(&text, "Deleted: ", digest, "\n");
  return text;
}

// "12 contents (1.2MB), 3 layers: clean", or what is wrong with them.
std::string VerifyText(const node::v1::VerifyImagesResponse& response, bool repaired) {
  std::string text;
  for (const node::v1::ImageDamage& damage : response.damages()) {
    absl::StrAppend(&text, damage.digest(), ": ", Printable(damage.problem()));
    if (!damage.references().empty()) {
      absl::StrAppend(&text, " (", absl::StrJoin(damage.references(), ", "), ")");
    }
    text += '\n';
  }
  const int damaged = response.damages_size();
  absl::StrAppend(&text, response.contents(), " contents (",
                  DecimalSize(static_cast<uint64_t>(response.bytes())), "), ", response.layers(),
                  " layers: ", damaged == 0 ? "clean" : absl::StrCat(damaged, " damaged"));
  if (damaged > 0) {
    text += repaired
                ? "; set aside: pull these images again, which brings only what is missing"
                : "; nodectl image verify --repair sets that aside, and a pull brings it again";
  }
  return text + "\n";
}

}  // namespace

int Run(const ImageTagOptions& options, Client& client, const Io& io) {
  node::v1::TagImageResponse response;
  grpc::Status status = client.Call(&ImageStub::TagImage, options.request, &response);
  if (!status.ok()) {
    return Fail(client, io, absl::StrCat("image tag ", options.request.image()), status, kFailure);
  }
  return options.global.output == OutputFormat::kJson ? Print(io, ToJson(response, true))
                                                      : static_cast<int>(kOk);
}

int Run(const ImageRemoveOptions& options, Client& client, const Io& io) {
  int exit_code = kOk;
  for (const std::string& image : options.images) {
    node::v1::RemoveImageRequest request;
    request.set_image(image);
    request.set_force(options.force);
    node::v1::RemoveImageResponse response;
    grpc::Status status = client.Call(&ImageStub::RemoveImage, request, &response);
    // With -f the wish is that it is not there.
    if (options.force && status.error_code() == grpc::StatusCode::NOT_FOUND) continue;
    if (!status.ok()) {
      exit_code = Fail(client, io, absl::StrCat("image rm ", image), status, kFailure);
    } else if (!io.Out(options.global.output == OutputFormat::kJson
                           ? ToJson(response, false)
                           : Gone(response.untagged(), response.deleted()))) {
      return kOutputClosed;
    }
  }
  return exit_code;
}

int Run(const ImagePruneOptions& options, Client& client, const Io& io) {
  const bool ask = !options.force && !options.request.dry_run();
  if (ask && !Confirm(io, options.request.all() ? kPruneAllWarning : kPruneWarning)) {
    io.Complain("image prune: nothing was removed; -f does not ask");
    return kFailure;
  }
  node::v1::PruneImagesResponse response;
  grpc::Status status = client.Call(&ImageStub::PruneImages, options.request, &response);
  if (!status.ok()) return Fail(client, io, "image prune", status, kFailure);
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  return Print(
      io, absl::StrCat(Gone(response.untagged(), response.deleted()),
                       options.request.dry_run() ? "Would reclaim: " : "Total reclaimed space: ",
                       DecimalSize(static_cast<uint64_t>(response.reclaimed_bytes())), "\n"));
}

int Run(const ImageVerifyOptions& options, Client& client, const Io& io) {
  node::v1::VerifyImagesResponse response;
  grpc::Status status = client.Call(&ImageStub::VerifyImages, options.request, &response);
  if (!status.ok()) return Fail(client, io, "image verify", status, kFailure);
  const bool printed = io.Out(options.global.output == OutputFormat::kJson
                                  ? ToJson(response, true)
                                  : VerifyText(response, options.request.repair()));
  if (!printed) return kOutputClosed;
  return response.damages().empty() ? kOk : kFailure;
}

}  // namespace noded::cli
