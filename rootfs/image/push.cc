// Sending an image to a registry: layers and configuration first, then the manifest that names
// them, because registries refuse one whose contents they have not.
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "rootfs/image/images.h"

namespace noded::image {
namespace {

// Repositories of the same registry that the image came from: their contents need no upload.
std::vector<std::string> SiblingRepositories(const std::vector<store::Entry>& entries,
                                             const oci::Reference& to) {
  std::vector<std::string> siblings;
  for (const store::Entry& entry : entries) {
    const std::string& name =
        entry.repository_digest.empty() ? entry.reference : entry.repository_digest;
    absl::StatusOr<oci::Reference> from = oci::ParseReference(name, to.registry);
    if (from.ok() && from->registry == to.registry && from->repository != to.repository) {
      siblings.push_back(from->repository);
    }
  }
  return siblings;
}

}  // namespace

absl::StatusOr<std::string> Images::Push(const node::v1::PushImageRequest& request,
                                         const Progress& progress, const Cancel& cancel) {
  store::Lease lease = store_->NewLease();
  ASSIGN_OR_RETURN(oci::Reference reference, Parse(request.image(), "image"));
  if (!reference.digest.empty()) {
    return InvalidField("image", "must be a name with a tag; TagImage gives one");
  }
  ASSIGN_OR_RETURN(Found found, Find(request.image(), "image"));
  if (found.by_id) {
    return InvalidField("image",
                        "must be a reference, which says where it goes; TagImage gives one");
  }
  lease.Hold(found.entry.manifest.digest);
  const registry::Credentials credentials = {request.credentials().username(),
                                             request.credentials().password(),
                                             request.credentials().identity_token()};
  const registry::Caller caller = {credentials, cancel};
  const std::vector<std::string> siblings = SiblingRepositories(found.all, reference);
  auto tell = [&](const oci::Descriptor& blob, node::v1::TransferState state, int64_t bytes) {
    if (!progress) return;
    node::v1::TransferProgress message;
    message.set_digest(blob.digest.text());
    message.set_state(state);
    message.set_current_bytes(bytes);
    message.set_total_bytes(blob.size);
    progress(message);
  };
  auto send = [&](const oci::Descriptor& blob) -> absl::Status {
    ASSIGN_OR_RETURN(bool there, client_.HasBlob(reference, blob.digest, caller));
    for (const std::string& from : siblings) {
      if (there) break;
      ASSIGN_OR_RETURN(there, client_.MountBlob(reference, blob.digest, from, caller));
    }
    if (there) {
      tell(blob, node::v1::TRANSFER_STATE_PRESENT, blob.size);
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(UniqueFd content, store_->contents().Open(blob.digest));
    RETURN_IF_ERROR(client_.UploadBlob(reference, blob, content.get(), caller, [&](int64_t bytes) {
      tell(blob, node::v1::TRANSFER_STATE_UPLOADING, bytes);
    }));
    tell(blob, node::v1::TRANSFER_STATE_DONE, blob.size);
    return absl::OkStatus();
  };
  const std::vector<oci::Descriptor>& layers = found.details->manifest.layers;
  for (const oci::Descriptor& layer : layers) {
    tell(layer, node::v1::TRANSFER_STATE_WAITING, 0);
  }
  for (const oci::Descriptor& layer : layers) RETURN_IF_ERROR(send(layer));
  RETURN_IF_ERROR(send(found.details->manifest.config));
  ASSIGN_OR_RETURN(std::string bytes,
                   store_->contents().Read(found.entry.manifest.digest, oci::kMaxManifestBytes));
  ASSIGN_OR_RETURN(oci::Digest digest,
                   client_.PutManifest(reference, found.entry.manifest, bytes, caller));
  // From now on it is known there by that digest.
  store::Entry known = found.entry;
  known.reference = reference.ToString();
  known.pinned = false;
  known.repository_digest =
      absl::StrCat(reference.registry, "/", reference.repository, "@", digest.text());
  RETURN_IF_ERROR(store_->table().Set(known));
  return digest.text();
}

}  // namespace noded::image
