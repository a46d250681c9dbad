#include "server/volume_service.h"

namespace noded::server {

grpc::ServerUnaryReactor* VolumeService::CreateVolume(Context* context,
                                                      const node::v1::CreateVolumeRequest* request,
                                                      node::v1::CreateVolumeResponse* response) {
  return ServeUnary(backend_, context, "VolumeService/CreateVolume", request, response,
                    &StorageEngine::CreateVolume);
}

grpc::ServerUnaryReactor* VolumeService::ListVolumes(Context* context,
                                                     const node::v1::ListVolumesRequest* request,
                                                     node::v1::ListVolumesResponse* response) {
  return ServeUnary(backend_, context, "VolumeService/ListVolumes", request, response,
                    &StorageEngine::ListVolumes);
}

grpc::ServerUnaryReactor* VolumeService::GetVolume(Context* context,
                                                   const node::v1::GetVolumeRequest* request,
                                                   node::v1::GetVolumeResponse* response) {
  return ServeUnary(backend_, context, "VolumeService/GetVolume", request, response,
                    &StorageEngine::GetVolume);
}

grpc::ServerUnaryReactor* VolumeService::RemoveVolume(Context* context,
                                                      const node::v1::RemoveVolumeRequest* request,
                                                      node::v1::RemoveVolumeResponse* response) {
  return ServeUnary(backend_, context, "VolumeService/RemoveVolume", request, response,
                    &StorageEngine::RemoveVolume);
}

grpc::ServerUnaryReactor* VolumeService::PruneVolumes(Context* context,
                                                      const node::v1::PruneVolumesRequest* request,
                                                      node::v1::PruneVolumesResponse* response) {
  return ServeUnary(backend_, context, "VolumeService/PruneVolumes", request, response,
                    &StorageEngine::PruneVolumes);
}

}  // namespace noded::server
