// Layers of what is in the store already, and the documents of images that are made here.
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "rootfs/image/images.h"
#include "rootfs/layer/unpacking.h"

namespace noded::image {

absl::StatusOr<store::Layer> Images::UnpackHere(const oci::Descriptor& blob,
                                                const oci::Digest& diff_id,
                                                const oci::Digest& chain_id, const Cancel& cancel) {
  const std::string what = absl::StrCat("unpack layer ", blob.digest.text());
  ASSIGN_OR_RETURN(Exclusive::Turn turn, contents_.Wait(blob.digest.text(), cancel));
  if (!chain_id.empty()) {
    if (std::optional<store::Layer> here = store_->layers().Find(chain_id)) {
      return *std::move(here);
    }
  }
  absl::StatusOr<UniqueFd> content = store_->contents().Open(blob.digest);
  if (!content.ok()) return Annotate(content.status(), what);
  ASSIGN_OR_RETURN(store::LayerDraft draft, store_->layers().Begin(chain_id));
  layer::UnpackOptions options;
  options.program = options_.layer_program;
  options.limits = options_.unpack_limits;
  options.tree.directory = draft.directory();
  options.stream = content->get();
  ASSIGN_OR_RETURN(options.compression, oci::CompressionOf(blob.media_type));
  options.detect_compression = true;
  ASSIGN_OR_RETURN(std::unique_ptr<layer::Unpacking> unpacking, layer::Unpacking::Start(options));
  absl::StatusOr<layer::Unpacked> unpacked = unpacking->Finish();
  if (!unpacked.ok()) return Annotate(unpacked.status(), what);
  if (!diff_id.empty() && unpacked->diff_id != diff_id) {
    return WithReason(
        absl::DataLossError(absl::StrCat(what, ": its tar is ", unpacked->diff_id.text(),
                                         ", the image says ", diff_id.text())),
        reason::kContentDamaged);
  }
  return draft.Commit(unpacked->diff_id);
}

absl::Status Images::UnpackAll(const store::ImageDetails& details, const Cancel& cancel) {
  for (size_t i = 0; i < details.chain_ids.size(); ++i) {
    if (store_->layers().Find(details.chain_ids[i])) continue;
    if (cancel.Cancelled()) return absl::CancelledError("given up");
    RETURN_IF_ERROR(UnpackHere(details.manifest.layers[i], details.config.diff_ids[i],
                               details.chain_ids[i], cancel)
                        .status());
  }
  return absl::OkStatus();
}

absl::StatusOr<node::v1::Image> Images::Make(const std::string& reference,
                                             const oci::ImageConfig& config,
                                             const std::vector<oci::Descriptor>& layers,
                                             store::Lease& lease) {
  auto put = [&](const std::string& json, std::string_view media_type) {
    oci::Descriptor descriptor;
    descriptor.media_type = std::string(media_type);
    descriptor.digest = oci::Sha256::Of(json);
    descriptor.size = static_cast<int64_t>(json.size());
    lease.Hold(descriptor.digest);
    absl::Status status = store_->contents().Put(json, descriptor);
    return status.ok() ? absl::StatusOr<oci::Descriptor>(descriptor) : status;
  };
  oci::Manifest manifest;
  manifest.media_type = std::string(oci::kOciManifest);
  manifest.layers = layers;
  ASSIGN_OR_RETURN(manifest.config, put(oci::ToJson(config), oci::kOciConfig));
  ASSIGN_OR_RETURN(oci::Descriptor descriptor, put(oci::ToJson(manifest), oci::kOciManifest));
  return Enter(reference, descriptor, manifest.config.digest, "");
}

absl::StatusOr<node::v1::Image> Images::Enter(const std::string& reference,
                                              const oci::Descriptor& manifest,
                                              const oci::Digest& image_id,
                                              const std::string& repository_digest) {
  store::Entry entry;
  entry.reference = reference;
  entry.manifest = manifest;
  entry.image_id = image_id;
  entry.repository_digest = repository_digest;
  // Nobody else would keep it.
  entry.pinned = reference.empty();
  RETURN_IF_ERROR(store_->table().Set(entry));
  return Describe(image_id);
}

}  // namespace noded::image
