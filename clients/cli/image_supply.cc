#include "clients/cli/image_supply.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "clients/cli/error_text.h"
#include "clients/cli/progress.h"
#include "clients/cli/transfer.h"

namespace noded::cli {
namespace {

// Root first, then mounts.
std::vector<std::string> ImagesOf(const node::v1::ContainerSpec& spec) {
  std::vector<std::string> images;
  if (!spec.root().image().empty()) images.push_back(spec.root().image());
  for (const node::v1::Mount& mount : spec.mounts()) {
    if (mount.has_image()) images.push_back(mount.image().image());
  }
  return images;
}

}  // namespace

grpc::Status ImageSupply::Create(const std::function<grpc::Status()>& create) {
  if (options_.request.dry_run()) return create();
  grpc::Status status;
  if (options_.pull == PullPolicy::kAlways) {
    // An id names what is here already; no registry is asked for one.
    status = Bring([](const std::string& image) { return !absl::StartsWith(image, "sha256:"); });
  } else if (options_.pull == PullPolicy::kMissing && !options_.platform.empty()) {
    status = Bring([this](const std::string& image) { return IsMissing(image); });
  }
  if (!status.ok()) return status;
  status = create();
  if (options_.pull == PullPolicy::kNever || ReasonOf(status) != "IMAGE_NOT_FOUND") return status;
  grpc::Status brought = Bring([this](const std::string& image) { return IsMissing(image); });
  return brought.ok() ? create() : brought;
}

grpc::Status ImageSupply::Bring(const std::function<bool(const std::string& image)>& needed) {
  for (const std::string& image : ImagesOf(options_.request.spec())) {
    if (!needed(image)) continue;
    grpc::Status status = Pull(image);
    if (!status.ok()) return status;
  }
  return grpc::Status::OK;
}

bool ImageSupply::IsMissing(const std::string& image) {
  node::v1::GetImageRequest request;
  request.set_image(image);
  node::v1::GetImageResponse response;
  grpc::Status status = client_.Call(&ImageStub::GetImage, request, &response);
  if (!status.ok()) return status.error_code() == grpc::StatusCode::NOT_FOUND;
  // "linux/arm" stands for each variant of it.
  return !options_.platform.empty() && response.image().platform() != options_.platform &&
         !absl::StartsWith(response.image().platform(), options_.platform + "/");
}

grpc::Status ImageSupply::Pull(const std::string& image) {
  // One that came while the container was being made; see Create's callers.
  if (signals_ != nullptr && signals_->signal_number() != 0) {
    return grpc::Status(grpc::StatusCode::CANCELLED, "interrupted");
  }
  io_.Err(absl::StrCat("Pulling ", image, "\n"));
  node::v1::PullImageRequest request;
  request.set_image(image);
  request.set_platform(options_.platform);
  TransferView view(io_, io_.err, io_.err_is_tty);
  grpc::ClientContext context;
  if (signals_ != nullptr) signals_->Guard(&context, 0);
  node::v1::PullImageResponse last;
  grpc::Status status = PullImage(
      client_, context, options_.registry_files, request,
      [&](const node::v1::PullImageResponse& response) {
        view.Take(response.progress());
        return true;  // the container matters, not who reads of the progress
      },
      &last);
  if (signals_ != nullptr) signals_->Guard(nullptr, 0);
  view.Finish();
  return status;
}

}  // namespace noded::cli
