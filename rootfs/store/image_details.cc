#include "rootfs/store/image_details.h"

#include <string>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "node/base/status.h"

namespace noded::store {

absl::StatusOr<ImageDetails> ReadImageDetails(const ContentStore& contents,
                                              const oci::Digest& manifest) {
  ASSIGN_OR_RETURN(const std::string manifest_json,
                   contents.Read(manifest, oci::kMaxManifestBytes));
  const std::string what = absl::StrCat("manifest ", manifest.text());
  absl::StatusOr<std::string> type = oci::MediaTypeOf(manifest_json);
  if (!type.ok()) return Annotate(type.status(), what);
  auto document = oci::ParseDocument(manifest_json, *type);
  if (!document.ok()) return Annotate(document.status(), what);
  ImageDetails details;
  details.manifest_digest = manifest;
  if (!std::holds_alternative<oci::Manifest>(*document)) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": is an index, not one image"));
  }
  details.manifest = std::get<oci::Manifest>(*std::move(document));
  const oci::Descriptor& config = details.manifest.config;
  if (config.media_type != oci::kOciConfig && config.media_type != oci::kDockerConfig) {
    return absl::UnimplementedError(
        absl::StrCat(what, ": is no container image, its configuration is of type \"",
                     absl::CHexEscape(config.media_type), "\""));
  }
  ASSIGN_OR_RETURN(const std::string config_json,
                   contents.Read(config.digest, oci::kMaxConfigBytes));
  absl::StatusOr<oci::ImageConfig> parsed = oci::ParseImageConfig(config_json);
  if (!parsed.ok()) {
    return Annotate(parsed.status(), absl::StrCat("configuration ", config.digest.text()));
  }
  details.config = *std::move(parsed);
  if (details.config.diff_ids.size() != details.manifest.layers.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": has ", details.manifest.layers.size(), " layers, its configuration ",
                     config.digest.text(), " names ", details.config.diff_ids.size()));
  }
  details.chain_ids = oci::ChainIds(details.config.diff_ids);
  for (const oci::Descriptor& layer : details.manifest.layers) {
    if (__builtin_add_overflow(details.compressed_bytes, layer.size, &details.compressed_bytes)) {
      return absl::InvalidArgumentError(absl::StrCat(what, ": its layers' sizes add to too much"));
    }
  }
  return details;
}

DetailsCache::Item DetailsCache::Remembered(const oci::Digest& manifest) {
  absl::MutexLock lock(&lock_);
  const auto found = items_.find(manifest);
  if (found == items_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, found->second);
  return recent_.front();
}

absl::StatusOr<std::shared_ptr<const ImageDetails>> DetailsCache::Get(const oci::Digest& manifest) {
  if (Item item = Remembered(manifest)) {
    RETURN_IF_ERROR(contents_->Size(manifest).status());
    RETURN_IF_ERROR(contents_->Size(item->image_id()).status());
    return item;
  }
  // Without the lock: it reads files. Two that read the same do so twice.
  ASSIGN_OR_RETURN(ImageDetails details, ReadImageDetails(*contents_, manifest));
  Item item = std::make_shared<const ImageDetails>(std::move(details));
  absl::MutexLock lock(&lock_);
  if (items_.contains(manifest)) return item;
  recent_.push_front(item);
  items_[manifest] = recent_.begin();
  if (recent_.size() > kMost) {
    items_.erase(recent_.back()->manifest_digest);
    recent_.pop_back();
  }
  return item;
}

}  // namespace noded::store
