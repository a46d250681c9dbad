// node.v1.VolumeService over an engine. Thread-safe.
#ifndef SERVER_VOLUME_SERVICE_H_
#define SERVER_VOLUME_SERVICE_H_

#include "node/v1/volume_service.grpc.pb.h"
#include "server/serve.h"

namespace noded::server {

class VolumeService final : public node::v1::VolumeService::CallbackService {
 public:
  explicit VolumeService(const Backend& backend) : backend_(backend) {}

  using Context = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;

  Unary* CreateVolume(Context* context, const node::v1::CreateVolumeRequest* request,
                      node::v1::CreateVolumeResponse* response) override;
  Unary* ListVolumes(Context* context, const node::v1::ListVolumesRequest* request,
                     node::v1::ListVolumesResponse* response) override;
  Unary* GetVolume(Context* context, const node::v1::GetVolumeRequest* request,
                   node::v1::GetVolumeResponse* response) override;
  Unary* RemoveVolume(Context* context, const node::v1::RemoveVolumeRequest* request,
                      node::v1::RemoveVolumeResponse* response) override;
  Unary* PruneVolumes(Context* context, const node::v1::PruneVolumesRequest* request,
                      node::v1::PruneVolumesResponse* response) override;

 private:
  const Backend backend_;
};

}  // namespace noded::server

#endif  // SERVER_VOLUME_SERVICE_H_
