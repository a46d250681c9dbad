// Bringing an image from its registry: manifest, configuration, then its layers side by side, each
// unpacked while it arrives.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <thread>

#include "absl/strings/str_cat.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/image/images.h"

namespace noded::image {

using node::v1::TransferProgress;

namespace {

constexpr size_t kChunk = 256 << 10;

TransferProgress At(const oci::Descriptor& blob, node::v1::TransferState state, int64_t current) {
  TransferProgress progress;
  progress.set_digest(blob.digest.text());
  progress.set_state(state);
  progress.set_current_bytes(current);
  progress.set_total_bytes(blob.size);
  return progress;
}

registry::Credentials CredentialsOf(const node::v1::RegistryCredentials& given) {
  return {given.username(), given.password(), given.identity_token()};
}

}  // namespace

// One pull. Its functions may run on several threads, one a layer.
class Pull {
 public:
  Pull(Images* images, oci::Reference reference, registry::Credentials credentials,
       const Progress& progress, const Cancel& cancel)
      : images_(*images),
        reference_(std::move(reference)),
        credentials_(std::move(credentials)),
        progress_(progress),
        cancel_(cancel),
        lease_(images->store_->NewLease()) {}

  absl::StatusOr<node::v1::PullImageResponse> Go(const oci::Platform& platform);

 private:
  struct LayerJob {
    oci::Descriptor blob;
    oci::Digest diff_id, chain_id;
  };

  registry::Caller caller() const { return {credentials_, stop_}; }
  absl::StatusOr<oci::Descriptor> BringManifest(const oci::Platform& platform);
  absl::Status BringDocument(const oci::Descriptor& blob, int64_t most_bytes);
  absl::Status BringLayers(std::vector<LayerJob> jobs);
  absl::Status BringLayer(const LayerJob& job);
  absl::Status Fetch(const LayerJob& job, store::Ingest& ingest);
  void Tell(const TransferProgress& progress) const {
    if (progress_) progress_(progress);
  }
  bool Stopped() const { return cancel_.Cancelled() || stop_.Cancelled(); }

  Images& images_;
  const oci::Reference reference_;
  const registry::Credentials credentials_;
  const Progress& progress_;
  const Cancel& cancel_;
  Cancel stop_;  // also set when a layer has failed
  store::Lease lease_;
  std::string repository_digest_;
  std::atomic<bool> brought_ = false;  // something was not here
};

absl::StatusOr<oci::Descriptor> Pull::BringManifest(const oci::Platform& platform) {
  ASSIGN_OR_RETURN(registry::Resolved resolved, images_.client_.Resolve(reference_, caller()));
  repository_digest_ = absl::StrCat(reference_.registry, "/", reference_.repository, "@",
                                    resolved.descriptor.digest.text());
  auto parsed = oci::ParseDocument(resolved.bytes, resolved.descriptor.media_type);
  if (!parsed.ok()) return Annotate(parsed.status(), reference_.ToString());
  if (const auto* index = std::get_if<oci::Index>(&*parsed)) {
    absl::StatusOr<oci::Descriptor> chosen = oci::ChoosePlatform(*index, platform);
    if (!chosen.ok()) {
      return WithReason(Annotate(chosen.status(), reference_.ToString()),
                        reason::kPlatformNotFound);
    }
    oci::Reference by_digest = reference_;
    by_digest.digest = chosen->digest;
    lease_.Hold(chosen->digest);
    absl::StatusOr<std::string> here =
        images_.store_->contents().Read(chosen->digest, oci::kMaxManifestBytes);
    if (here.ok()) {
      resolved = {*chosen, *std::move(here)};
    } else {
      ASSIGN_OR_RETURN(resolved, images_.client_.Resolve(by_digest, caller()));
    }
    if (!oci::IsManifestType(resolved.descriptor.media_type)) {
      return absl::InvalidArgumentError(
          absl::StrCat(reference_.ToString(), ": its index names another index"));
    }
  }
  lease_.Hold(resolved.descriptor.digest);
  if (!images_.store_->contents().Has(resolved.descriptor.digest)) {
    brought_ = true;
    RETURN_IF_ERROR(images_.store_->contents().Put(resolved.bytes, resolved.descriptor));
  }
  oci::Descriptor descriptor;
  descriptor.media_type = resolved.descriptor.media_type;
  descriptor.digest = resolved.descriptor.digest;
  descriptor.size = static_cast<int64_t>(resolved.bytes.size());
  return descriptor;
}

// A configuration: small, and wanted whole.
absl::Status Pull::BringDocument(const oci::Descriptor& blob, int64_t most_bytes) {
  if (blob.size > most_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(reference_.ToString(), ": configuration ",
                                                   blob.digest.text(), " has ", blob.size,
                                                   " bytes, at most ", most_bytes, " are taken"));
  }
  lease_.Hold(blob.digest);
  ASSIGN_OR_RETURN(Exclusive::Turn turn, images_.contents_.Wait(blob.digest.text(), stop_));
  if (images_.store_->contents().Has(blob.digest)) return absl::OkStatus();
  brought_ = true;
  ASSIGN_OR_RETURN(store::Ingest ingest, images_.store_->contents().Begin(blob));
  RETURN_IF_ERROR(
      images_.client_.FetchBlob(reference_, blob, ingest.offset(), caller(),
                                [&](std::string_view bytes) { return ingest.Write(bytes); }));
  return Annotate(ingest.Commit().status(), reference_.ToString());
}

// What is here of the content already, then what arrives, goes to the disk and to the child that
// unpacks it.
absl::Status Pull::Fetch(const LayerJob& job, store::Ingest& ingest) {
  store::LayerStore& layers = images_.store_->layers();
  const bool unpack = !layers.Find(job.chain_id).has_value();
  std::optional<store::LayerDraft> draft;
  std::unique_ptr<layer::Unpacking> unpacking;
  if (unpack) {
    ASSIGN_OR_RETURN(store::LayerDraft begun, layers.Begin(job.chain_id));
    draft.emplace(std::move(begun));
    layer::UnpackOptions options;
    options.program = images_.options_.layer_program;
    options.limits = images_.options_.unpack_limits;
    options.tree.directory = draft->directory();
    ASSIGN_OR_RETURN(options.compression, oci::CompressionOf(job.blob.media_type));
    options.detect_compression = true;
    ASSIGN_OR_RETURN(unpacking, layer::Unpacking::Start(options));
    std::string chunk(kChunk, '\0');
    for (int64_t at = 0; at < ingest.offset();) {
      const ssize_t got = pread(ingest.file(), chunk.data(), chunk.size(), at);
      if (got <= 0) return ErrnoStatus(got < 0 ? errno : EIO, "read what an earlier pull left");
      RETURN_IF_ERROR(unpacking->Write(std::string_view(chunk).substr(0, got)));
      at += got;
    }
  }
  auto take = [&](std::string_view bytes) -> absl::Status {
    RETURN_IF_ERROR(ingest.Write(bytes));
    if (unpacking) RETURN_IF_ERROR(unpacking->Write(bytes));
    Tell(At(job.blob, node::v1::TRANSFER_STATE_DOWNLOADING, ingest.offset()));
    return cancel_.Cancelled() ? absl::CancelledError("given up") : absl::OkStatus();
  };
  RETURN_IF_ERROR(images_.client_.FetchBlob(reference_, job.blob, ingest.offset(), caller(), take));
  Tell(At(job.blob, node::v1::TRANSFER_STATE_UNPACKING, job.blob.size));
  RETURN_IF_ERROR(ingest.Commit().status());
  if (!unpacking) return absl::OkStatus();
  ASSIGN_OR_RETURN(layer::Unpacked unpacked, unpacking->Finish());
  if (unpacked.diff_id != job.diff_id) {
    return WithReason(
        absl::DataLossError(absl::StrCat("its tar is ", unpacked.diff_id.text(),
                                         ", the image's configuration says ", job.diff_id.text())),
        reason::kContentDamaged);
  }
  return draft->Commit(job.diff_id).status();
}

absl::Status Pull::BringLayer(const LayerJob& job) {
  lease_.Hold(job.blob.digest);
  lease_.HoldLayer(job.chain_id);
  Tell(At(job.blob, node::v1::TRANSFER_STATE_WAITING, 0));
  {
    ASSIGN_OR_RETURN(Exclusive::Turn turn, images_.contents_.Wait(job.blob.digest.text(), stop_));
    if (!images_.store_->contents().Has(job.blob.digest)) {
      brought_ = true;
      ASSIGN_OR_RETURN(store::Ingest ingest, images_.store_->contents().Begin(job.blob));
      RETURN_IF_ERROR(Fetch(job, ingest));
      Tell(At(job.blob, node::v1::TRANSFER_STATE_DONE, job.blob.size));
      return absl::OkStatus();
    }
  }
  if (images_.store_->layers().Find(job.chain_id)) {
    Tell(At(job.blob, node::v1::TRANSFER_STATE_PRESENT, job.blob.size));
    return absl::OkStatus();
  }
  brought_ = true;
  Tell(At(job.blob, node::v1::TRANSFER_STATE_UNPACKING, 0));
  RETURN_IF_ERROR(images_.UnpackHere(job.blob, job.diff_id, job.chain_id, stop_).status());
  Tell(At(job.blob, node::v1::TRANSFER_STATE_DONE, job.blob.size));
  return absl::OkStatus();
}

absl::Status Pull::BringLayers(std::vector<LayerJob> jobs) {
  // The largest first, so that no thread is left alone with it in the end.
  std::stable_sort(jobs.begin(), jobs.end(),
                   [](const LayerJob& a, const LayerJob& b) { return a.blob.size > b.blob.size; });
  std::atomic<size_t> next = 0;
  absl::Mutex mutex;
  absl::Status first_failure;
  auto work = [&] {
    for (size_t i = next++; i < jobs.size() && !Stopped(); i = next++) {
      absl::Status brought = BringLayer(jobs[i]);
      if (brought.ok()) continue;
      absl::MutexLock lock(&mutex);
      if (first_failure.ok()) {
        first_failure = Annotate(
            brought, absl::StrCat(reference_.ToString(), ": layer ", jobs[i].blob.digest.text()));
      }
      stop_.Set();
    }
  };
  std::vector<std::thread> threads;
  const size_t most = std::min(jobs.size(), static_cast<size_t>(images_.options_.parallel_layers));
  for (size_t i = 1; i < most; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (cancel_.Cancelled())
    return absl::CancelledError("the pull was given up; another goes on with it");
  return first_failure;
}

absl::StatusOr<node::v1::PullImageResponse> Pull::Go(const oci::Platform& platform) {
  ASSIGN_OR_RETURN(oci::Descriptor descriptor, BringManifest(platform));
  ASSIGN_OR_RETURN(std::string bytes,
                   images_.store_->contents().Read(descriptor.digest, oci::kMaxManifestBytes));
  auto parsed = oci::ParseDocument(bytes, descriptor.media_type);
  if (!parsed.ok()) return Annotate(parsed.status(), reference_.ToString());
  const oci::Manifest& manifest = std::get<oci::Manifest>(*parsed);
  for (const oci::Descriptor& layer : manifest.layers) {
    absl::StatusOr<oci::Compression> known = oci::CompressionOf(layer.media_type);
    if (!known.ok()) return Annotate(known.status(), reference_.ToString());
  }
  RETURN_IF_ERROR(BringDocument(manifest.config, oci::kMaxConfigBytes));
  absl::StatusOr<std::shared_ptr<const store::ImageDetails>> details =
      images_.store_->Details(descriptor.digest);
  if (!details.ok()) return Annotate(details.status(), reference_.ToString());
  const oci::Platform& present = (*details)->config.platform;
  if (present.os != "linux") {
    return WithReason(absl::NotFoundError(absl::StrCat(reference_.ToString(), " is for ",
                                                       oci::ToString(present), ", not for Linux")),
                      reason::kPlatformNotFound);
  }
  std::vector<LayerJob> jobs;
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    jobs.push_back({manifest.layers[i], (*details)->config.diff_ids[i], (*details)->chain_ids[i]});
  }
  RETURN_IF_ERROR(BringLayers(std::move(jobs)));
  node::v1::PullImageResponse response;
  ASSIGN_OR_RETURN(
      *response.mutable_image(),
      images_.Enter(reference_.ToString(), descriptor, (*details)->image_id(), repository_digest_));
  response.set_already_present(!brought_);
  return response;
}

absl::StatusOr<node::v1::PullImageResponse> Images::Pull(const node::v1::PullImageRequest& request,
                                                         const Progress& progress,
                                                         const Cancel& cancel) {
  ASSIGN_OR_RETURN(oci::Reference reference, Parse(request.image(), "image"));
  oci::Platform platform = oci::HostPlatform();
  if (!request.platform().empty()) {
    absl::StatusOr<oci::Platform> wanted = oci::ParsePlatform(request.platform());
    if (!wanted.ok()) return InvalidField("platform", AsStd(wanted.status().message()));
    platform = *std::move(wanted);
  }
  MakeRoomIfFull();
  image::Pull pull(this, std::move(reference), CredentialsOf(request.credentials()), progress,
                   cancel);
  return pull.Go(platform);
}

// Above the high-water mark what has no name goes before more comes.
void Images::MakeRoomIfFull() {
  absl::StatusOr<store::DiskUse> disk = store_->Disk();
  if (!disk.ok() || disk->total_bytes == 0) return;
  const int64_t used_percent = 100 - disk->free_bytes * 100 / disk->total_bytes;
  if (used_percent < options_.disk_high_percent) return;
  store::CollectOptions options;
  options.unnamed = true;
  absl::StatusOr<store::Collected> collected =
      store_->Collect([this] { return RootsOfUses(); }, options);
  if (!options_.warn) return;
  options_.warn(collected.ok()
                    ? absl::StrCat("the disk of images is ", used_percent, " % full: removed ",
                                   collected->bytes, " bytes that no image with a name needs")
                    : absl::StrCat("the disk of images is ", used_percent,
                                   " % full: ", collected.status().message()));
}

}  // namespace noded::image
