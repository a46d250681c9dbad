// Images as one tar: an OCI layout with what Docker's `load` wants beside it. The tree is made of
// links to the contents, so it costs no space, and packed by the child that packs layers.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "rootfs/image/images.h"
#include "rootfs/layer/packing.h"

namespace noded::image {
namespace {

constexpr size_t kChunk = 256 << 10;
constexpr int kMostImages = 1000;

std::string BlobName(const oci::Digest& digest) {
  return absl::StrCat("blobs/sha256/", digest.hex());
}

}  // namespace

absl::Status Images::Save(const node::v1::SaveImagesRequest& request, const Sink& sink,
                          const Cancel& cancel) {
  if (request.images().empty()) return InvalidField("images", "must have at least one entry");
  if (request.images_size() > kMostImages) {
    return InvalidField("images", absl::StrCat("must have at most ", kMostImages, " entries"));
  }
  store::Lease lease = store_->NewLease();
  ASSIGN_OR_RETURN(std::string tree, store_->NewScratch());
  absl::Cleanup discard = [&] { (void)store_->trash().Discard(tree); };
  RETURN_IF_ERROR(MakeDirs(tree + "/blobs/sha256", 0755));
  ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(AT_FDCWD, tree, O_RDONLY | O_DIRECTORY));
  std::set<oci::Digest> linked;
  auto link_content = [&](const oci::Digest& digest) -> absl::Status {
    if (!linked.insert(digest).second) return absl::OkStatus();
    const std::string from = store_->contents().PathOf(digest);
    if (::linkat(AT_FDCWD, from.c_str(), dir.get(), BlobName(digest).c_str(), 0) != 0) {
      return ErrnoStatus(errno, absl::StrCat("save content ", digest.text()));
    }
    return absl::OkStatus();
  };
  std::vector<store::Entry> entries;
  nlohmann::json docker = nlohmann::json::array();
  for (int i = 0; i < request.images_size(); ++i) {
    ASSIGN_OR_RETURN(Found found, Find(request.images(i), "images"));
    lease.Hold(found.entry.manifest.digest);
    RETURN_IF_ERROR(link_content(found.entry.manifest.digest));
    RETURN_IF_ERROR(link_content(found.entry.image_id));
    nlohmann::json layers = nlohmann::json::array();
    for (const oci::Descriptor& layer : found.details->manifest.layers) {
      RETURN_IF_ERROR(link_content(layer.digest));
      layers.push_back(BlobName(layer.digest));
    }
    nlohmann::json tags = nlohmann::json::array();
    // By a name only that name is saved, by its id all that it has.
    for (const store::Entry& entry : found.all) {
      if (!found.by_id && entry.reference != found.entry.reference) continue;
      entries.push_back(entry);
      absl::StatusOr<oci::Reference> name =
          oci::ParseReference(entry.reference, options_.default_registry);
      if (name.ok() && !name->tag.empty()) tags.push_back(oci::FamiliarName(*name));
    }
    docker.push_back(
        {{"Config", BlobName(found.entry.image_id)}, {"RepoTags", tags}, {"Layers", layers}});
  }
  RETURN_IF_ERROR(ReplaceFileAt(dir.get(), "index.json", store::EntriesToJson(entries), 0644));
  RETURN_IF_ERROR(
      ReplaceFileAt(dir.get(), "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", 0644));
  RETURN_IF_ERROR(ReplaceFileAt(dir.get(), "manifest.json", docker.dump(), 0644));

  layer::PackOptions options;
  options.program = options_.layer_program;
  options.tree.directory = dir.get();
  ASSIGN_OR_RETURN(std::unique_ptr<layer::Packing> packing, layer::Packing::Start(options));
  for (;;) {
    if (cancel.Cancelled()) return absl::CancelledError("given up");
    ASSIGN_OR_RETURN(std::string bytes, packing->Read(kChunk));
    if (bytes.empty()) break;
    RETURN_IF_ERROR(sink(std::move(bytes)));
  }
  return packing->Finish().status();
}

}  // namespace noded::image
