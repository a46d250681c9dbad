// What is done with images: bringing them from registries and archives into the store, giving them
// to containers, sending them on, and keeping house. Store, registry client and layer child are
// its tools; it knows nothing of containers but which images they use.
//
// Every function blocks its thread, on disk or network, but List, Get, Tag and Find, which read
// memory and small documents. Long ones take a Cancel and end with CANCELLED soon after it is set.
// An operation that fails leaves the store as it was, but for contents that a later pull can use.
// Errors name the reference; codes are as image_service.proto says. Thread-safe.
#ifndef ROOTFS_IMAGE_IMAGES_H_
#define ROOTFS_IMAGE_IMAGES_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/base/cancel.h"
#include "node/v1/image_service.pb.h"
#include "rootfs/image/exclusive.h"
#include "rootfs/layer/unpacking.h"
#include "rootfs/oci/document.h"
#include "rootfs/oci/reference.h"
#include "rootfs/registry/registry_client.h"
#include "rootfs/store/store.h"

namespace noded::image {

// What one container needs of the store.
struct Use {
  std::string container_id;
  oci::Digest image_id;
  std::vector<oci::Digest> chain_ids;
};

struct ImagesOptions {
  std::string directory;  // of the store, an OCI image layout
  std::string default_registry = "docker.io";
  registry::ClientOptions registry;
  layer::UnpackLimits unpack_limits;
  std::string layer_program = layer::kOwnProgram;
  int parallel_layers = 4;  // of one pull
  // A share of the disk in use, in percent: above it a pull first removes what has no name.
  int disk_high_percent = 90;
  // Which containers use what; may take the caller's locks. Any thread.
  std::function<std::vector<Use>()> uses;
  // Runs it soon on another thread.
  std::function<void(std::function<void()>)> later;
  // A line for the operator. Any thread.
  store::Warn warn;
};

// An image as a container's root; what it names stays in the store while this lives.
struct Root {
  node::v1::Image image;
  oci::Digest manifest;
  std::vector<oci::Digest> chain_ids;  // base first
  std::vector<std::string> lowers;     // directories, topmost first; at least one
  store::Lease lease;
};

// Of one content each; any thread.
using Progress = std::function<void(const node::v1::TransferProgress&)>;
// A part of a stream that a client sends; "" is its end. Blocks.
using Source = std::function<absl::StatusOr<std::string>()>;
// Takes a part of a stream for a client. Blocks while the client is slow.
using Sink = std::function<absl::Status(std::string bytes)>;

class Images {
 public:
  static absl::StatusOr<std::unique_ptr<Images>> Open(ImagesOptions options);

  // ---- registries: pull.cc, push.cc ----
  absl::StatusOr<node::v1::PullImageResponse> Pull(const node::v1::PullImageRequest& request,
                                                   const Progress& progress, const Cancel& cancel);
  // The digest of the manifest that the registry has now.
  absl::StatusOr<std::string> Push(const node::v1::PushImageRequest& request,
                                   const Progress& progress, const Cancel& cancel);

  // ---- what there is: list.cc, manage.cc ----
  absl::StatusOr<node::v1::ListImagesResponse> List(const node::v1::ListImagesRequest& request);
  absl::StatusOr<node::v1::GetImageResponse> Get(const node::v1::GetImageRequest& request);
  absl::StatusOr<node::v1::GetImageHistoryResponse> History(
      const node::v1::GetImageHistoryRequest& request);
  absl::StatusOr<node::v1::TagImageResponse> Tag(const node::v1::TagImageRequest& request);
  absl::StatusOr<node::v1::RemoveImageResponse> Remove(const node::v1::RemoveImageRequest& request);
  absl::StatusOr<node::v1::PruneImagesResponse> Prune(const node::v1::PruneImagesRequest& request);
  absl::StatusOr<node::v1::VerifyImagesResponse> Verify(
      const node::v1::VerifyImagesRequest& request, const Cancel& cancel);

  // ---- archives: import.cc, load.cc, save.cc ----
  absl::StatusOr<node::v1::ImportImageResponse> Import(const node::v1::ImportImageStart& start,
                                                       const Source& source, const Cancel& cancel);
  absl::StatusOr<node::v1::LoadImagesResponse> Load(const Source& source, const Cancel& cancel);
  absl::Status Save(const node::v1::SaveImagesRequest& request, const Sink& sink,
                    const Cancel& cancel);

  // ---- containers: root.cc, commit.cc ----
  // For a container or a mount. Unpacks layers that are missing though their contents are here.
  // NOT_FOUND (IMAGE_NOT_FOUND): it is to be pulled first.
  absl::StatusOr<Root> Use(std::string_view image, const std::string& platform = "");
  // Of layers that a container was made from: still there, topmost first. DATA_LOSS when not.
  absl::StatusOr<std::vector<std::string>> Lowers(const std::vector<oci::Digest>& chain_ids);
  // `upper` is the container's writable layer, borrowed; `base` the manifest of its image.
  struct Commit {
    int upper = -1;
    oci::Digest base;
    layer::IdMap ids;  // of the container's user namespace
    std::string created_by;
  };
  absl::StatusOr<node::v1::CommitContainerResponse> CommitLayer(
      const node::v1::CommitContainerRequest& request, const Commit& commit, const Cancel& cancel);

  // A tree or file on the same file system, deleted behind the caller's back.
  absl::Status Discard(const std::string& path) { return store_->trash().Discard(path); }

 private:
  friend class Pull;
  explicit Images(ImagesOptions options);

  // image_message.cc
  struct Found {
    store::Entry entry;             // one of them
    std::vector<store::Entry> all;  // of the same image
    bool by_id = false;
    std::shared_ptr<const store::ImageDetails> details;
  };
  absl::StatusOr<oci::Reference> Parse(const std::string& text, const char* field) const;
  // As Parse, for a new image: a name with a tag, or none at all.
  absl::StatusOr<std::string> ParseNewName(const std::string& text, const char* field) const;
  absl::StatusOr<Found> Find(std::string_view image, const char* field);
  absl::StatusOr<node::v1::Image> Describe(const oci::Digest& image_id);
  absl::StatusOr<node::v1::Image> Describe(const std::vector<store::Entry>& entries,
                                           const std::vector<image::Use>& uses);
  std::vector<image::Use> Uses() const;
  store::Roots RootsOfUses() const;
  void CollectLater();
  void MakeRoomIfFull();
  // "" as reference: the image stays without a name until it is removed on purpose.
  absl::StatusOr<node::v1::Image> Enter(const std::string& reference,
                                        const oci::Descriptor& manifest,
                                        const oci::Digest& image_id,
                                        const std::string& repository_digest);

  // layers.cc
  // The content's layer is unpacked when it returns, from what is in the store. Without diff_id and
  // chain_id it is a base layer of which only its tar tells these.
  absl::StatusOr<store::Layer> UnpackHere(const oci::Descriptor& blob, const oci::Digest& diff_id,
                                          const oci::Digest& chain_id, const Cancel& cancel);
  absl::Status UnpackArchive(int tree, const Source& source, const Cancel& cancel);  // load.cc
  absl::Status UnpackAll(const store::ImageDetails& details, const Cancel& cancel);
  // A new image of these layers, which are in the store; "": without a name.
  absl::StatusOr<node::v1::Image> Make(const std::string& reference, const oci::ImageConfig& config,
                                       const std::vector<oci::Descriptor>& layers,
                                       store::Lease& lease);

  const ImagesOptions options_;
  std::unique_ptr<store::Store> store_;
  registry::RegistryClient client_;
  Exclusive contents_;  // who brings which content
  std::atomic<bool> collecting_ = false;
};

}  // namespace noded::image

#endif  // ROOTFS_IMAGE_IMAGES_H_
