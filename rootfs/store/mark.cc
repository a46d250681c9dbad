#include "rootfs/store/mark.h"

#include <memory>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "node/base/status.h"

namespace noded::store {
namespace {

// An index may name indexes.
constexpr int kMaxDepth = 4;

}  // namespace

void Mark::Held(const std::vector<Leases::Item>& items) {
  for (const Leases::Item& item : items) {
    needed_.insert(item);
    // What cannot be read is a layer, or not here: then it names nothing that is needed.
    if (item.kind == Leases::Kind::kContent) Through(item.digest, 0).IgnoreError();
  }
}

absl::Status Mark::Through(const oci::Digest& digest, int depth) {
  Content(digest);
  if (!through_.insert(digest).second) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<const ImageDetails>> details = details_->Get(digest);
  if (!details.ok()) return ThroughDocument(digest, depth);
  Content((*details)->image_id());
  for (const oci::Descriptor& layer : (*details)->manifest.layers) Content(layer.digest);
  for (const oci::Digest& chain_id : (*details)->chain_ids) Layer(chain_id);
  return absl::OkStatus();
}

// What is no whole image: an index, a manifest whose configuration is not here, or of something
// that is no container image.
absl::Status Mark::ThroughDocument(const oci::Digest& digest, int depth) {
  ASSIGN_OR_RETURN(const std::string json, contents_->Read(digest, oci::kMaxManifestBytes));
  ASSIGN_OR_RETURN(const std::string type, oci::MediaTypeOf(json));
  ASSIGN_OR_RETURN(const auto document, oci::ParseDocument(json, type));
  if (const auto* index = std::get_if<oci::Index>(&document)) {
    if (depth == kMaxDepth) {
      return absl::InvalidArgumentError(
          absl::StrCat("index ", digest.text(), ": indexes within indexes, too deep"));
    }
    absl::Status first;
    for (const oci::Descriptor& manifest : index->manifests) {
      absl::Status status = Through(manifest.digest, depth + 1);
      // Of an index only what the host can run is brought.
      if (!absl::IsNotFound(status)) first.Update(status);
    }
    return first;
  }
  const auto& manifest = std::get<oci::Manifest>(document);
  Content(manifest.config.digest);
  for (const oci::Descriptor& layer : manifest.layers) Content(layer.digest);
  const bool image = manifest.config.media_type == oci::kOciConfig ||
                     manifest.config.media_type == oci::kDockerConfig;
  if (!image) return absl::OkStatus();
  return details_->Get(digest).status();
}

}  // namespace noded::store
