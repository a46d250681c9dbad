// Names given and taken away, and what nobody needs removed.
#include <algorithm>
#include <set>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "node/base/status.h"
#include "rootfs/image/images.h"

namespace noded::image {
namespace {

bool IsUsed(const oci::Digest& image_id, const std::vector<Use>& uses) {
  return std::any_of(uses.begin(), uses.end(),
                     [&](const Use& use) { return use.image_id == image_id; });
}

absl::Status InUse(const std::string& image, const oci::Digest& image_id,
                   const std::vector<Use>& uses) {
  std::vector<std::string> containers;
  for (const Use& use : uses) {
    if (use.image_id == image_id) containers.push_back(use.container_id.substr(0, 12));
  }
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          "image ", image, " is used by container", containers.size() == 1 ? " " : "s ",
          absl::StrJoin(containers, ", "), "; remove these first or use force")),
      reason::kImageInUse);
}

}  // namespace

store::Roots Images::RootsOfUses() const {
  store::Roots roots;
  for (image::Use& use : Uses()) {
    roots.chain_ids.insert(roots.chain_ids.end(), use.chain_ids.begin(), use.chain_ids.end());
  }
  return roots;
}

// One is enough for all that was asked for while it has not begun.
void Images::CollectLater() {
  if (collecting_.exchange(true)) return;
  auto collect = [this] {
    collecting_ = false;
    absl::StatusOr<store::Collected> collected = store_->Collect([this] { return RootsOfUses(); });
    if (!collected.ok() && options_.warn) {
      options_.warn(absl::StrCat("remove what no image needs: ", collected.status().message()));
    }
  };
  if (options_.later) {
    options_.later(collect);
  } else {
    collect();
  }
}

absl::StatusOr<node::v1::TagImageResponse> Images::Tag(const node::v1::TagImageRequest& request) {
  if (request.reference().empty()) return InvalidField("reference", "is required");
  ASSIGN_OR_RETURN(std::string reference, ParseNewName(request.reference(), "reference"));
  store::Lease lease = store_->NewLease();
  ASSIGN_OR_RETURN(Found found, Find(request.image(), "image"));
  lease.Hold(found.entry.manifest.digest);
  node::v1::TagImageResponse response;
  // Its repository is another, so no digest is known there.
  ASSIGN_OR_RETURN(*response.mutable_image(),
                   Enter(reference, found.entry.manifest, found.entry.image_id, ""));
  return response;
}

absl::StatusOr<node::v1::RemoveImageResponse> Images::Remove(
    const node::v1::RemoveImageRequest& request) {
  ASSIGN_OR_RETURN(Found found, Find(request.image(), "image"));
  const oci::Digest id = found.entry.image_id;
  // By a name only that name goes, as long as another stays.
  const bool whole = found.by_id || found.all.size() == 1;
  if (whole && !request.force()) {
    const std::vector<image::Use> uses = Uses();
    if (IsUsed(id, uses)) return InUse(request.image(), id, uses);
  }
  if (found.by_id && found.all.size() > 1 && !request.force()) {
    return WithReason(absl::FailedPreconditionError(
                          absl::StrCat("image ", request.image(), " has ", found.all.size(),
                                       " references; remove these one by one or use force")),
                      reason::kImageInUse);
  }
  node::v1::RemoveImageResponse response;
  std::vector<store::Entry> erased;
  ASSIGN_OR_RETURN(erased, store_->table().EraseIf([&](const store::Entry& entry) {
    return entry.image_id == id && (whole || entry.reference == found.entry.reference);
  }));
  for (const store::Entry& entry : erased) {
    if (!entry.reference.empty()) response.add_untagged(entry.reference);
  }
  if (store_->table().EntriesOf(id).empty()) response.add_deleted(id.text());
  CollectLater();
  return response;
}

absl::StatusOr<node::v1::PruneImagesResponse> Images::Prune(
    const node::v1::PruneImagesRequest& request) {
  node::v1::PruneImagesResponse response;
  std::set<std::string> unused;
  if (request.all()) {
    const std::vector<image::Use> uses = Uses();
    for (const store::Entry& entry : store_->table().List()) {
      if (entry.reference.empty() || IsUsed(entry.image_id, uses)) continue;
      absl::StatusOr<std::shared_ptr<const store::ImageDetails>> details =
          store_->Details(entry.manifest.digest);
      if (!details.ok()) continue;
      const std::map<std::string, std::string>& labels = (*details)->config.config.labels;
      const bool fits =
          std::all_of(request.labels().begin(), request.labels().end(), [&](const auto& label) {
            const auto found = labels.find(label.first);
            return found != labels.end() && (label.second.empty() || found->second == label.second);
          });
      if (fits) unused.insert(entry.reference);
    }
  }
  for (const std::string& reference : unused) response.add_untagged(reference);
  store::CollectOptions options;
  options.unnamed = true;
  options.dry_run = request.dry_run();
  if (request.dry_run()) {
    options.without = unused;
  } else if (!unused.empty()) {
    RETURN_IF_ERROR(
        store_->table()
            .EraseIf([&](const store::Entry& entry) { return unused.contains(entry.reference); })
            .status());
  }
  ASSIGN_OR_RETURN(store::Collected collected,
                   store_->Collect([this] { return RootsOfUses(); }, options));
  for (const oci::Digest& digest : collected.contents) response.add_deleted(digest.text());
  for (const oci::Digest& digest : collected.chain_ids) response.add_deleted(digest.text());
  response.set_reclaimed_bytes(collected.bytes);
  return response;
}

absl::StatusOr<node::v1::VerifyImagesResponse> Images::Verify(
    const node::v1::VerifyImagesRequest& request, const Cancel& cancel) {
  store::VerifyOptions options;
  options.repair = request.repair();
  options.cancelled = [&] { return cancel.Cancelled(); };
  if (!request.image().empty()) {
    ASSIGN_OR_RETURN(Found found, Find(request.image(), "image"));
    options.manifest = found.entry.manifest.digest;
  }
  for (const image::Use& use : Uses()) {
    options.chain_ids_in_use.insert(use.chain_ids.begin(), use.chain_ids.end());
  }
  ASSIGN_OR_RETURN(store::Verified verified, store_->Verify(options));
  node::v1::VerifyImagesResponse response;
  response.set_contents(verified.contents);
  response.set_bytes(verified.bytes);
  response.set_layers(verified.layers);
  for (const store::Damage& damage : verified.damages) {
    node::v1::ImageDamage& told = *response.add_damages();
    told.set_digest(damage.digest.text());
    told.set_problem(damage.problem);
    for (const std::string& reference : damage.references) told.add_references(reference);
  }
  return response;
}

}  // namespace noded::image
