// Images and volumes for the engine: blocking work of rootfs on threads of its own, and what only
// the engine knows: which containers use what.
#ifndef NODE_STORAGE_H_
#define NODE_STORAGE_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "node/base/cancel.h"
#include "node/engine.h"
#include "node/launch/plan.h"
#include "node/state/v1/record.pb.h"
#include "node/storage_engine.h"
#include "node/worker_pool.h"
#include "rootfs/image/images.h"
#include "rootfs/volume/volumes.h"

namespace noded {

class EngineImpl;

// What a container was given of the store; until this goes, nothing of it can be taken away.
struct Provision {
  node::v1::ContainerSpec spec;                             // complete: with what the image says
  node::state::v1::LayerChain layers;                       // empty: its root is a directory
  std::map<int, node::state::v1::LayerChain> image_mounts;  // by index of spec.mounts
  std::vector<std::string> volumes;                         // in the order of spec.mounts
  std::vector<store::Lease> leases;
  std::shared_ptr<void> volume_holds;  // gives the volumes free again when it goes
};

// Thread-safe. Its destructor gives up what is under way, and waits for it.
class Storage final : public StorageEngine {
 public:
  static absl::StatusOr<std::unique_ptr<Storage>> Open(EngineImpl* engine);
  ~Storage() override;
  // Gives up what is under way, and waits for it. What is asked for afterwards is UNAVAILABLE.
  void Close();

  // Blocks: looks the image up, completes the spec by its configuration, makes and fills volumes.
  // `dry_run` makes nothing.
  absl::StatusOr<Provision> Provide(const node::v1::ContainerSpec& spec, bool dry_run = false);
  // Directories of a container's root, topmost first, and of its mounts, for its launch plan.
  absl::Status FindLayers(const node::state::v1::ContainerRecord& record, launch::Inputs& inputs);
  // Blocks on the disk. What is anonymous of a container that is gone.
  void RemoveAnonymousVolumes(const node::v1::Container& container);

  Stream<node::v1::PullImageResponse> PullImage(const node::v1::PullImageRequest& request) override;
  Stream<node::v1::PushImageResponse> PushImage(const node::v1::PushImageRequest& request) override;
  void ListImages(node::v1::ListImagesRequest request,
                  Done<node::v1::ListImagesResponse> done) override;
  void GetImage(node::v1::GetImageRequest request, Done<node::v1::GetImageResponse> done) override;
  void TagImage(node::v1::TagImageRequest request, Done<node::v1::TagImageResponse> done) override;
  void RemoveImage(node::v1::RemoveImageRequest request,
                   Done<node::v1::RemoveImageResponse> done) override;
  void PruneImages(node::v1::PruneImagesRequest request,
                   Done<node::v1::PruneImagesResponse> done) override;
  void GetImageHistory(node::v1::GetImageHistoryRequest request,
                       Done<node::v1::GetImageHistoryResponse> done) override;
  void VerifyImages(node::v1::VerifyImagesRequest request,
                    Done<node::v1::VerifyImagesResponse> done) override;
  void CommitContainer(node::v1::CommitContainerRequest request,
                       Done<node::v1::CommitContainerResponse> done) override;
  Stream<node::v1::SaveImagesResponse> SaveImages(
      const node::v1::SaveImagesRequest& request) override;
  std::shared_ptr<ImportStream> ImportImage() override;
  std::shared_ptr<LoadStream> LoadImages() override;
  void CreateVolume(node::v1::CreateVolumeRequest request,
                    Done<node::v1::CreateVolumeResponse> done) override;
  void ListVolumes(node::v1::ListVolumesRequest request,
                   Done<node::v1::ListVolumesResponse> done) override;
  void GetVolume(node::v1::GetVolumeRequest request,
                 Done<node::v1::GetVolumeResponse> done) override;
  void RemoveVolume(node::v1::RemoveVolumeRequest request,
                    Done<node::v1::RemoveVolumeResponse> done) override;
  void PruneVolumes(node::v1::PruneVolumesRequest request,
                    Done<node::v1::PruneVolumesResponse> done) override;

 private:
  class Transfer;
  explicit Storage(EngineImpl* engine) : engine_(engine) {}
  std::vector<image::Use> Uses() const;
  std::map<std::string, std::vector<std::string>> VolumeUses() const;
  absl::Status ProvideMounts(bool dry_run, const std::vector<std::string>& lowers,
                             Provision& provision);
  // What the image has at the volume's target becomes its data.
  absl::Status FillVolume(const std::vector<std::string>& lowers, const std::string& target,
                          const std::string& volume_directory);

  // UNAVAILABLE once closed, RESOURCE_EXHAUSTED when too much waits.
  absl::Status SubmitShort(std::function<void()> work);
  absl::Status SubmitLong(std::function<void()> work);
  // Runs `operation(request)` on the pool and answers with what it returns.
  template <typename Request, typename Response, typename Operation>
  void Run(Request request, Done<Response> done, Operation operation);
  // Runs `work(stream)` on the pool; what it returns ends the stream.
  template <typename BlockingStream, typename Work>
  absl::Status Serve(std::shared_ptr<BlockingStream> stream, Work work);

  EngineImpl* const engine_;
  std::unique_ptr<image::Images> images_;
  std::unique_ptr<volume::Volumes> volumes_;
  absl::Mutex mutex_;
  // Streams under way, to be given up when this goes.
  std::set<std::shared_ptr<Transfer>> transfers_ ABSL_GUARDED_BY(mutex_);
  // Short things never wait for long ones. Last: what runs there uses all above.
  std::unique_ptr<WorkerPool> transfers_pool_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<WorkerPool> pool_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace noded

#endif  // NODE_STORAGE_H_
