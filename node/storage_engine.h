// Images and volumes, as the API has them. server/ calls it and knows nothing of how.
#ifndef NODE_STORAGE_ENGINE_H_
#define NODE_STORAGE_ENGINE_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/streams.h"
#include "node/v1/image_service.pb.h"
#include "node/v1/volume_service.pb.h"

namespace noded {

// Thread-safe. Nothing here blocks the caller. A callback is called exactly once, on any thread.
// What runs at a time is bounded: more waits, and what waits too long in line is
// RESOURCE_EXHAUSTED.
class StorageEngine {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;
  template <typename T>
  using Stream = absl::StatusOr<std::shared_ptr<ResponseStream<T>>>;

  virtual ~StorageEngine() = default;

  virtual Stream<node::v1::PullImageResponse> PullImage(
      const node::v1::PullImageRequest& request) = 0;
  virtual Stream<node::v1::PushImageResponse> PushImage(
      const node::v1::PushImageRequest& request) = 0;
  virtual void ListImages(node::v1::ListImagesRequest request,
                          Done<node::v1::ListImagesResponse> done) = 0;
  virtual void GetImage(node::v1::GetImageRequest request,
                        Done<node::v1::GetImageResponse> done) = 0;
  virtual void TagImage(node::v1::TagImageRequest request,
                        Done<node::v1::TagImageResponse> done) = 0;
  virtual void RemoveImage(node::v1::RemoveImageRequest request,
                           Done<node::v1::RemoveImageResponse> done) = 0;
  virtual void PruneImages(node::v1::PruneImagesRequest request,
                           Done<node::v1::PruneImagesResponse> done) = 0;
  virtual void GetImageHistory(node::v1::GetImageHistoryRequest request,
                               Done<node::v1::GetImageHistoryResponse> done) = 0;
  virtual void VerifyImages(node::v1::VerifyImagesRequest request,
                            Done<node::v1::VerifyImagesResponse> done) = 0;
  virtual void CommitContainer(node::v1::CommitContainerRequest request,
                               Done<node::v1::CommitContainerResponse> done) = 0;
  virtual Stream<node::v1::SaveImagesResponse> SaveImages(
      const node::v1::SaveImagesRequest& request) = 0;

  // Their one answer comes by Next.
  using ImportStream = DuplexStream<node::v1::ImportImageRequest, node::v1::ImportImageResponse>;
  using LoadStream = DuplexStream<node::v1::LoadImagesRequest, node::v1::LoadImagesResponse>;
  virtual std::shared_ptr<ImportStream> ImportImage() = 0;
  virtual std::shared_ptr<LoadStream> LoadImages() = 0;

  virtual void CreateVolume(node::v1::CreateVolumeRequest request,
                            Done<node::v1::CreateVolumeResponse> done) = 0;
  virtual void ListVolumes(node::v1::ListVolumesRequest request,
                           Done<node::v1::ListVolumesResponse> done) = 0;
  virtual void GetVolume(node::v1::GetVolumeRequest request,
                         Done<node::v1::GetVolumeResponse> done) = 0;
  virtual void RemoveVolume(node::v1::RemoveVolumeRequest request,
                            Done<node::v1::RemoveVolumeResponse> done) = 0;
  virtual void PruneVolumes(node::v1::PruneVolumesRequest request,
                            Done<node::v1::PruneVolumesResponse> done) = 0;
};

}  // namespace noded

#endif  // NODE_STORAGE_ENGINE_H_
