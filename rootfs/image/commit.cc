// A container's changes as one more layer of its image.
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/image/changes.h"
#include "rootfs/image/images.h"
#include "rootfs/layer/packing.h"

namespace noded::image {
namespace {

constexpr size_t kChunk = 256 << 10;

}  // namespace

absl::StatusOr<node::v1::CommitContainerResponse> Images::CommitLayer(
    const node::v1::CommitContainerRequest& request, const Commit& commit, const Cancel& cancel) {
  ASSIGN_OR_RETURN(std::string reference, ParseNewName(request.reference(), "reference"));
  store::Lease lease = store_->NewLease();
  lease.Hold(commit.base);
  ASSIGN_OR_RETURN(std::shared_ptr<const store::ImageDetails> base, store_->Details(commit.base));
  for (const oci::Digest& chain : base->chain_ids) lease.HoldLayer(chain);
  oci::ImageConfig config = base->config;
  RETURN_IF_ERROR(ApplyChanges(request.changes(), config.config));

  layer::PackOptions options;
  options.program = options_.layer_program;
  options.tree.directory = commit.upper;
  options.as_layer = true;
  options.gzip = true;
  options.ids = commit.ids;
  ASSIGN_OR_RETURN(std::unique_ptr<layer::Packing> packing, layer::Packing::Start(options));
  ASSIGN_OR_RETURN(store::Ingest ingest,
                   store_->contents().BeginUnknown(std::string(oci::kOciLayerGzip)));
  for (;;) {
    if (cancel.Cancelled()) return absl::CancelledError("given up");
    ASSIGN_OR_RETURN(std::string bytes, packing->Read(kChunk));
    if (bytes.empty()) break;
    RETURN_IF_ERROR(ingest.Write(bytes));
  }
  ASSIGN_OR_RETURN(layer::Packed packed, packing->Finish());
  ASSIGN_OR_RETURN(oci::Descriptor content, ingest.Commit());
  lease.Hold(content.digest);

  config.diff_ids.push_back(packed.diff_id);
  const oci::Digest chain = oci::ChainIds(config.diff_ids).back();
  lease.HoldLayer(chain);
  RETURN_IF_ERROR(UnpackHere(content, packed.diff_id, chain, cancel).status());
  config.created = absl::Now();
  config.author = request.author().empty() ? config.author : request.author();
  oci::HistoryEntry step;
  step.created = config.created;
  step.created_by = commit.created_by;
  step.author = request.author();
  step.comment = request.message();
  config.history.push_back(std::move(step));
  std::vector<oci::Descriptor> layers = base->manifest.layers;
  layers.push_back(std::move(content));
  node::v1::CommitContainerResponse response;
  ASSIGN_OR_RETURN(*response.mutable_image(), Make(reference, config, layers, lease));
  return response;
}

}  // namespace noded::image
