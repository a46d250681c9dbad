// Images as roots of containers.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/image/images.h"

namespace noded::image {

Images::Images(ImagesOptions options) : options_(std::move(options)), client_(options_.registry) {}

absl::StatusOr<std::unique_ptr<Images>> Images::Open(ImagesOptions options) {
  auto images = std::unique_ptr<Images>(new Images(std::move(options)));
  ASSIGN_OR_RETURN(images->store_,
                   store::Store::Open(images->options_.directory, images->options_.warn));
  return images;
}

absl::StatusOr<Root> Images::Use(std::string_view image, const std::string& platform) {
  Root root;
  root.lease = store_->NewLease();
  ASSIGN_OR_RETURN(Found found, Find(image, "spec.root.image"));
  // First held, then looked at: what is found now stays.
  root.lease.Hold(found.entry.manifest.digest);
  for (const oci::Digest& chain : found.details->chain_ids) root.lease.HoldLayer(chain);
  if (!platform.empty()) {
    ASSIGN_OR_RETURN(oci::Platform wanted, oci::ParsePlatform(platform));
    if (found.details->config.platform != wanted) {
      return WithReason(absl::NotFoundError(
                            absl::StrCat("image ", AsAbsl(image), " in the store is for ",
                                         oci::ToString(found.details->config.platform),
                                         ", not for ", oci::ToString(wanted), "; pull that first")),
                        reason::kImageNotFound);
    }
  }
  if (found.details->chain_ids.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("image ", AsAbsl(image), " has no layers, so a container has nothing to run"));
  }
  RETURN_IF_ERROR(
      Annotate(UnpackAll(*found.details, Cancel()), absl::StrCat("image ", AsAbsl(image))));
  root.manifest = found.entry.manifest.digest;
  root.chain_ids = found.details->chain_ids;
  ASSIGN_OR_RETURN(root.lowers, Lowers(root.chain_ids));
  ASSIGN_OR_RETURN(root.image, Describe(found.entry.image_id));
  return root;
}

absl::StatusOr<std::vector<std::string>> Images::Lowers(const std::vector<oci::Digest>& chain_ids) {
  std::vector<std::string> lowers;
  for (const oci::Digest& chain : chain_ids) {
    std::optional<store::Layer> layer = store_->layers().Find(chain);
    if (!layer) {
      return WithReason(
          absl::DataLossError(absl::StrCat("layer ", chain.text(),
                                           " is gone from the store; pull its image again")),
          reason::kContentDamaged);
    }
    lowers.push_back(layer->path);
  }
  std::reverse(lowers.begin(), lowers.end());
  return lowers;
}

}  // namespace noded::image
