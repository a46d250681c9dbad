// Images of one layer, made from a tar of a root file system.
#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/image/changes.h"
#include "rootfs/image/images.h"

namespace noded::image {
namespace {

// By its first bytes: RFC 1952 and RFC 8878.
std::string_view LayerTypeOf(std::string_view start) {
  if (start.starts_with("\x1f\x8b")) return oci::kOciLayerGzip;
  if (start.starts_with("\x28\xb5\x2f\xfd")) return oci::kOciLayerZstd;
  return oci::kOciLayer;
}

}  // namespace

absl::StatusOr<node::v1::ImportImageResponse> Images::Import(
    const node::v1::ImportImageStart& start, const Source& source, const Cancel& cancel) {
  ASSIGN_OR_RETURN(std::string reference, ParseNewName(start.reference(), "start.reference"));
  oci::ImageConfig config;
  config.created = absl::Now();
  config.platform = oci::HostPlatform();
  if (!start.platform().empty()) {
    absl::StatusOr<oci::Platform> platform = oci::ParsePlatform(start.platform());
    if (!platform.ok()) return InvalidField("start.platform", AsStd(platform.status().message()));
    config.platform = *platform;
  }
  RETURN_IF_ERROR(ApplyChanges(start.changes(), config.config));

  store::Lease lease = store_->NewLease();
  ASSIGN_OR_RETURN(std::string bytes, source());
  if (bytes.empty()) return absl::InvalidArgumentError("import: the tar is empty");
  ASSIGN_OR_RETURN(store::Ingest ingest,
                   store_->contents().BeginUnknown(std::string(LayerTypeOf(bytes))));
  for (; !bytes.empty();) {
    if (cancel.Cancelled()) return absl::CancelledError("given up");
    RETURN_IF_ERROR(ingest.Write(bytes));
    ASSIGN_OR_RETURN(bytes, source());
  }
  ASSIGN_OR_RETURN(oci::Descriptor content, ingest.Commit());
  lease.Hold(content.digest);
  ASSIGN_OR_RETURN(store::Layer layer, UnpackHere(content, {}, {}, cancel));
  lease.HoldLayer(layer.chain_id);
  config.diff_ids = {layer.diff_id};
  oci::HistoryEntry step;
  step.created = config.created;
  step.comment = start.message().empty() ? "imported" : start.message();
  config.history = {step};
  node::v1::ImportImageResponse response;
  ASSIGN_OR_RETURN(*response.mutable_image(), Make(reference, config, {content}, lease));
  return response;
}

}  // namespace noded::image
