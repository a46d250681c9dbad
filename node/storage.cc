#include "node/storage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "node/answer.h"
#include "node/base/file.h"
#include "node/base/status.h"
#include "node/blocking_streams.h"
#include "node/engine_impl.h"
#include "node/launch/image_defaults.h"
#include "node/random_id.h"
#include "rootfs/layer/packing.h"

namespace noded {

using node::state::v1::LayerChain;
using node::v1::Container;

namespace {

// Pulls, pushes and archives at a time; each pull has some threads besides.
constexpr int kTransferThreads = 6;
constexpr int kThreads = 4;
constexpr size_t kMostWaiting = 1000;
constexpr size_t kChunk = 256 << 10;

LayerChain ChainOf(const image::Root& root) {
  LayerChain chain;
  chain.set_manifest_digest(root.manifest.text());
  chain.set_image_id(root.image.id());
  for (const oci::Digest& id : root.chain_ids) chain.add_chain_ids(id.text());
  return chain;
}

absl::StatusOr<std::vector<oci::Digest>> DigestsOf(const LayerChain& chain) {
  std::vector<oci::Digest> digests;
  for (const std::string& text : chain.chain_ids()) {
    ASSIGN_OR_RETURN(oci::Digest digest, oci::Digest::Parse(text));
    digests.push_back(std::move(digest));
  }
  return digests;
}

image::Use UseOf(const std::string& container_id, const LayerChain& chain) {
  image::Use use;
  use.container_id = container_id;
  if (absl::StatusOr<oci::Digest> id = oci::Digest::Parse(chain.image_id()); id.ok()) {
    use.image_id = *std::move(id);
  }
  if (absl::StatusOr<std::vector<oci::Digest>> ids = DigestsOf(chain); ids.ok()) {
    use.chain_ids = *std::move(ids);
  }
  return use;
}

}  // namespace

// A stream under way, for whoever ends it from outside.
class Storage::Transfer {
 public:
  virtual ~Transfer() = default;
  virtual void GiveUp() = 0;
};

absl::StatusOr<std::unique_ptr<Storage>> Storage::Open(EngineImpl* engine) {
  auto storage = std::unique_ptr<Storage>(new Storage(engine));
  Storage* self = storage.get();
  const EngineOptions& options = engine->options();
  image::ImagesOptions images;
  images.directory = options.root + "/images";
  images.default_registry = options.default_registry;
  images.registry.version = options.version;
  images.registry.credentials_file = options.registry_credentials;
  absl::StatusOr<registry::HostsConfig> hosts =
      registry::HostsConfig::Parse(options.registry_rules);
  if (!hosts.ok()) return Annotate(hosts.status(), "option --registry");
  images.registry.hosts = *std::move(hosts);
  images.disk_high_percent = options.image_disk_high_percent;
  images.unpack_limits.max_bytes = options.max_layer_bytes;
  images.unpack_limits.max_entries = options.max_layer_entries;
  images.uses = [self] { return self->Uses(); };
  images.later = [self](std::function<void()> work) {
    // One that is left out when all is full is done by the next.
    self->SubmitShort(std::move(work)).IgnoreError();
  };
  images.warn = [engine](const std::string& line) { engine->Report(line); };
  ASSIGN_OR_RETURN(storage->images_, image::Images::Open(std::move(images)));
  volume::VolumesOptions volumes;
  volumes.directory = options.root + "/volumes";
  volumes.uses = [self] { return self->VolumeUses(); };
  volumes.random_name = RandomId;
  volumes.discard = [self](const std::string& path) { return self->images_->Discard(path); };
  ASSIGN_OR_RETURN(storage->volumes_, volume::Volumes::Open(std::move(volumes)));
  storage->pool_ = std::make_unique<WorkerPool>(kThreads, kMostWaiting);
  storage->transfers_pool_ = std::make_unique<WorkerPool>(kTransferThreads, kMostWaiting);
  return storage;
}

Storage::~Storage() { Close(); }

void Storage::Close() {
  std::set<std::shared_ptr<Transfer>> transfers;
  {
    absl::MutexLock lock(&mutex_);
    transfers = transfers_;
  }
  for (const std::shared_ptr<Transfer>& transfer : transfers) transfer->GiveUp();
  // Runs what is in line, which a stream that is cancelled ends at once.
  std::unique_ptr<WorkerPool> transfers_pool, pool;
  {
    absl::MutexLock lock(&mutex_);
    transfers_pool = std::move(transfers_pool_);
    pool = std::move(pool_);
  }
}

std::vector<image::Use> Storage::Uses() const {
  std::vector<image::Use> uses;
  for (const Snapshot& snapshot : engine_->registry()->All()) {
    const std::string& id = snapshot->container().id();
    if (snapshot->has_layers()) uses.push_back(UseOf(id, snapshot->layers()));
    for (const auto& [mount, chain] : snapshot->image_mounts()) uses.push_back(UseOf(id, chain));
  }
  return uses;
}

std::map<std::string, std::vector<std::string>> Storage::VolumeUses() const {
  std::map<std::string, std::vector<std::string>> uses;
  for (const Snapshot& snapshot : engine_->registry()->All()) {
    const Container& container = snapshot->container();
    if (container.volumes().empty()) continue;
    uses[container.id()].assign(container.volumes().begin(), container.volumes().end());
  }
  return uses;
}

absl::StatusOr<Provision> Storage::Provide(const node::v1::ContainerSpec& spec, bool dry_run) {
  Provision provision;
  provision.spec = spec;
  node::v1::ImageConfig config;
  std::vector<std::string> lowers;
  if (spec.root().has_image()) {
    ASSIGN_OR_RETURN(image::Root root, images_->Use(spec.root().image()));
    config = root.image.config();
    provision.layers = ChainOf(root);
    lowers = root.lowers;
    provision.leases.push_back(std::move(root.lease));
  }
  RETURN_IF_ERROR(launch::ApplyImageConfig(config, provision.spec));
  RETURN_IF_ERROR(ProvideMounts(dry_run, lowers, provision));
  return provision;
}

absl::Status Storage::ProvideMounts(bool dry_run, const std::vector<std::string>& lowers,
                                    Provision& provision) {
  // Shared, because a Provision is moved about.
  auto names = std::make_shared<std::vector<std::string>>();
  provision.volume_holds = std::shared_ptr<void>(nullptr, [this, names](void*) {
    for (const std::string& name : *names) volumes_->Release(name);
  });
  for (int i = 0; i < provision.spec.mounts_size(); ++i) {
    node::v1::Mount& mount = *provision.spec.mutable_mounts(i);
    const std::string field = absl::StrCat("spec.mounts[", i, "]");
    if (mount.has_image()) {
      absl::StatusOr<image::Root> root = images_->Use(mount.image().image());
      if (!root.ok()) return Annotate(root.status(), field);
      provision.image_mounts[i] = ChainOf(*root);
      provision.leases.push_back(std::move(root->lease));
    }
    if (!mount.has_volume() || dry_run) continue;
    volume::Volumes::Fill fill;
    if (!mount.volume().no_copy() && !lowers.empty()) {
      fill = [&](const std::string& directory) {
        return FillVolume(lowers, mount.target(), directory);
      };
    }
    absl::StatusOr<node::v1::Volume> volume = volumes_->Acquire(mount.volume().name(), fill);
    if (!volume.ok()) return Annotate(volume.status(), field);
    names->push_back(volume->name());
    mount.mutable_volume()->set_name(volume->name());
    provision.volumes.push_back(volume->name());
  }
  return absl::OkStatus();
}

absl::Status Storage::FillVolume(const std::vector<std::string>& lowers, const std::string& target,
                                 const std::string& volume_directory) {
  layer::PackOptions pack;
  std::vector<UniqueFd> layers;
  for (const std::string& lower : lowers) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(AT_FDCWD, lower, O_RDONLY | O_DIRECTORY));
    layers.push_back(std::move(fd));
  }
  if (layers.size() == 1) {
    pack.tree.directory = layers[0].get();
  } else {
    for (const UniqueFd& layer : layers) pack.tree.lowers.push_back(layer.get());
  }
  pack.path = target;
  pack.follow_link = true;
  ASSIGN_OR_RETURN(std::unique_ptr<layer::Packing> packing, layer::Packing::Start(pack));
  absl::StatusOr<layer::PackedStat> stat = packing->Stat();
  if (absl::IsNotFound(stat.status())) return absl::OkStatus();
  RETURN_IF_ERROR(stat.status());
  if (!S_ISDIR(stat->mode)) return absl::OkStatus();
  const std::string draft = volume_directory + "/filling";
  RETURN_IF_ERROR(MakeDirs(draft, 0700));
  ASSIGN_OR_RETURN(UniqueFd dir, OpenAt(AT_FDCWD, draft, O_RDONLY | O_DIRECTORY));
  layer::UnpackOptions unpack;
  unpack.tree.directory = dir.get();
  unpack.mode = layer::UnpackMode::kCopy;
  ASSIGN_OR_RETURN(std::unique_ptr<layer::Unpacking> unpacking, layer::Unpacking::Start(unpack));
  for (;;) {
    ASSIGN_OR_RETURN(std::string bytes, packing->Read(kChunk));
    if (bytes.empty()) break;
    RETURN_IF_ERROR(unpacking->Write(bytes));
  }
  RETURN_IF_ERROR(packing->Finish().status());
  RETURN_IF_ERROR(unpacking->Finish().status());
  // The tar's names begin with the target's last part: that directory, with its mode and owner,
  // takes the place of the empty one.
  const std::string made = absl::StrCat(draft, "/", stat->name);
  const std::string data = volume_directory + "/data";
  if (rename(made.c_str(), data.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("put the image's files into \"", data, "\""));
  }
  return RemoveTreeAt(AT_FDCWD, draft);
}

absl::Status Storage::FindLayers(const node::state::v1::ContainerRecord& record,
                                 launch::Inputs& inputs) {
  const Container& container = record.container();
  if (record.has_layers()) {
    ASSIGN_OR_RETURN(std::vector<oci::Digest> ids, DigestsOf(record.layers()));
    ASSIGN_OR_RETURN(inputs.lower, images_->Lowers(ids));
  }
  int next_volume = 0;
  for (int i = 0; i < container.spec().mounts_size(); ++i) {
    const auto chain = record.image_mounts().find(i);
    if (chain != record.image_mounts().end()) {
      ASSIGN_OR_RETURN(std::vector<oci::Digest> ids, DigestsOf(chain->second));
      ASSIGN_OR_RETURN(inputs.mount_layers[i], images_->Lowers(ids));
    }
    if (!container.spec().mounts(i).has_volume()) continue;
    if (next_volume == container.volumes_size()) {
      return absl::InternalError("the record names fewer volumes than the spec has");
    }
    node::v1::GetVolumeRequest request;
    request.set_name(container.volumes(next_volume++));
    ASSIGN_OR_RETURN(node::v1::GetVolumeResponse volume, volumes_->Get(request));
    inputs.mount_layers[i] = {volume.volume().directory()};
  }
  return absl::OkStatus();
}

void Storage::RemoveAnonymousVolumes(const Container& container) {
  volumes_->RemoveAnonymous({container.volumes().begin(), container.volumes().end()},
                            container.id());
}

// ---- how blocking work is run ----

absl::Status Storage::SubmitShort(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  if (pool_ == nullptr) return absl::UnavailableError("the agent is shutting down");
  return pool_->Submit(std::move(work));
}

absl::Status Storage::SubmitLong(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  if (transfers_pool_ == nullptr) return absl::UnavailableError("the agent is shutting down");
  return transfers_pool_->Submit(std::move(work));
}

template <typename Request, typename Response, typename Operation>
void Storage::Run(Request request, Done<Response> done, Operation operation) {
  auto answer = AnswerOnce<Response>(std::move(done));
  absl::Status submitted = SubmitShort(
      [answer, operation, request = std::move(request)] { answer(operation(request)); });
  if (!submitted.ok()) answer(submitted);
}

template <typename BlockingStream, typename Work>
absl::Status Storage::Serve(std::shared_ptr<BlockingStream> stream, Work work) {
  class Here final : public Transfer {
   public:
    explicit Here(std::shared_ptr<BlockingStream> stream) : stream_(std::move(stream)) {}
    void GiveUp() override { stream_->Cancel(); }

   private:
    const std::shared_ptr<BlockingStream> stream_;
  };
  auto transfer = std::make_shared<Here>(stream);
  {
    absl::MutexLock lock(&mutex_);
    transfers_.insert(transfer);
  }
  auto run = [this, stream, transfer, work] {
    stream->Finish(work(*stream));
    absl::MutexLock lock(&mutex_);
    transfers_.erase(transfer);
  };
  absl::Status submitted = SubmitLong(run);
  if (!submitted.ok()) {
    absl::MutexLock lock(&mutex_);
    transfers_.erase(transfer);
  }
  return submitted;
}

// ---- images ----

StorageEngine::Stream<node::v1::PullImageResponse> Storage::PullImage(
    const node::v1::PullImageRequest& request) {
  using Progress = ProgressStream<node::v1::PullImageResponse>;
  auto stream = std::make_shared<Progress>();
  RETURN_IF_ERROR(Serve(stream, [this, request](Progress& progress) -> absl::Status {
    ASSIGN_OR_RETURN(
        node::v1::PullImageResponse pulled,
        images_->Pull(
            request, [&](const auto& message) { progress.Tell(message); }, progress.cancel()));
    return progress.Write(std::move(pulled));
  }));
  return stream;
}

StorageEngine::Stream<node::v1::PushImageResponse> Storage::PushImage(
    const node::v1::PushImageRequest& request) {
  using Progress = ProgressStream<node::v1::PushImageResponse>;
  auto stream = std::make_shared<Progress>();
  RETURN_IF_ERROR(Serve(stream, [this, request](Progress& progress) -> absl::Status {
    node::v1::PushImageResponse response;
    ASSIGN_OR_RETURN(
        *response.mutable_digest(),
        images_->Push(
            request, [&](const auto& message) { progress.Tell(message); }, progress.cancel()));
    return progress.Write(std::move(response));
  }));
  return stream;
}

StorageEngine::Stream<node::v1::SaveImagesResponse> Storage::SaveImages(
    const node::v1::SaveImagesRequest& request) {
  using Out = BlockingStream<node::v1::SaveImagesResponse, node::v1::SaveImagesResponse>;
  auto stream = std::make_shared<Out>();
  RETURN_IF_ERROR(Serve(stream, [this, request](Out& out) {
    return images_->Save(
        request,
        [&](std::string bytes) {
          node::v1::SaveImagesResponse response;
          response.set_data(std::move(bytes));
          return out.Write(std::move(response));
        },
        out.cancel());
  }));
  return stream;
}

namespace {

// The bytes of a client's messages.
template <typename Stream>
image::Source BytesOf(Stream& stream) {
  return [&stream]() -> absl::StatusOr<std::string> {
    for (;;) {
      ASSIGN_OR_RETURN(auto request, stream.Read());
      if (!request) return "";
      if (!request->data().empty()) return std::move(*request->mutable_data());
    }
  };
}

}  // namespace

std::shared_ptr<StorageEngine::ImportStream> Storage::ImportImage() {
  using Both = BlockingStream<node::v1::ImportImageRequest, node::v1::ImportImageResponse>;
  auto stream = std::make_shared<Both>();
  absl::Status served = Serve(stream, [this](Both& both) -> absl::Status {
    ASSIGN_OR_RETURN(std::optional<node::v1::ImportImageRequest> first, both.Read());
    if (!first || !first->has_start()) {
      return InvalidField("start", "must be the first message");
    }
    ASSIGN_OR_RETURN(node::v1::ImportImageResponse response,
                     images_->Import(first->start(), BytesOf(both), both.cancel()));
    return both.Write(std::move(response));
  });
  if (!served.ok()) stream->Finish(served);
  return stream;
}

std::shared_ptr<StorageEngine::LoadStream> Storage::LoadImages() {
  using Both = BlockingStream<node::v1::LoadImagesRequest, node::v1::LoadImagesResponse>;
  auto stream = std::make_shared<Both>();
  absl::Status served = Serve(stream, [this](Both& both) -> absl::Status {
    ASSIGN_OR_RETURN(node::v1::LoadImagesResponse response,
                     images_->Load(BytesOf(both), both.cancel()));
    return both.Write(std::move(response));
  });
  if (!served.ok()) stream->Finish(served);
  return stream;
}

void Storage::ListImages(node::v1::ListImagesRequest request,
                         Done<node::v1::ListImagesResponse> done) {
  Run(std::move(request), std::move(done),
      [this](const auto& list) { return images_->List(list); });
}

void Storage::GetImage(node::v1::GetImageRequest request, Done<node::v1::GetImageResponse> done) {
  Run(std::move(request), std::move(done), [this](const auto& get) { return images_->Get(get); });
}

void Storage::TagImage(node::v1::TagImageRequest request, Done<node::v1::TagImageResponse> done) {
  Run(std::move(request), std::move(done), [this](const auto& tag) { return images_->Tag(tag); });
}

void Storage::RemoveImage(node::v1::RemoveImageRequest request,
                          Done<node::v1::RemoveImageResponse> done) {
  Run(std::move(request), std::move(done),
      [this](const auto& remove) { return images_->Remove(remove); });
}

void Storage::PruneImages(node::v1::PruneImagesRequest request,
                          Done<node::v1::PruneImagesResponse> done) {
  Run(std::move(request), std::move(done),
      [this](const auto& prune) { return images_->Prune(prune); });
}

void Storage::GetImageHistory(node::v1::GetImageHistoryRequest request,
                              Done<node::v1::GetImageHistoryResponse> done) {
  Run(std::move(request), std::move(done),
      [this](const auto& history) { return images_->History(history); });
}

void Storage::VerifyImages(node::v1::VerifyImagesRequest request,
                           Done<node::v1::VerifyImagesResponse> done) {
  Run(std::move(request), std::move(done),
      [this](const auto& verify) { return images_->Verify(verify, Cancel()); });
}

// ---- volumes ----

void Storage::CreateVolume(node::v1::CreateVolumeRequest request,
                           Done<node::v1::CreateVolumeResponse> done) {
  Run(std::move(request), std::move(done),
      [this](const auto& create) { return volumes_->Create(create); });
}

void Storage::ListVolumes(node::v1::ListVolumesRequest request,
                          Done<node::v1::ListVolumesResponse> done) {
  Run(std::move(request), std::move(done),
      [this](const auto& list) { return volumes_->List(list); });
}

void Storage::GetVolume(node::v1::GetVolumeRequest request,
                        Done<node::v1::GetVolumeResponse> done) {
  Run(std::move(request), std::move(done), [this](const auto& get) { return volumes_->Get(get); });
}

void Storage::RemoveVolume(node::v1::RemoveVolumeRequest request,
                           Done<node::v1::RemoveVolumeResponse> done) {
  Run(std::move(request), std::move(done),
      [this](const auto& remove) { return volumes_->Remove(remove); });
}

void Storage::PruneVolumes(node::v1::PruneVolumesRequest request,
                           Done<node::v1::PruneVolumesResponse> done) {
  Run(std::move(request), std::move(done),
      [this](const auto& prune) { return volumes_->Prune(prune); });
}

}  // namespace noded
