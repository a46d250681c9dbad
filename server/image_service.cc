#include "server/image_service.h"

namespace noded::server {

grpc::ServerWriteReactor<node::v1::PullImageResponse>* ImageService::PullImage(
    Context* context, const node::v1::PullImageRequest* request) {
  return ServeStream(backend_, context, "ImageService/PullImage", request,
                     &StorageEngine::PullImage);
}

grpc::ServerWriteReactor<node::v1::PushImageResponse>* ImageService::PushImage(
    Context* context, const node::v1::PushImageRequest* request) {
  return ServeStream(backend_, context, "ImageService/PushImage", request,
                     &StorageEngine::PushImage);
}

grpc::ServerWriteReactor<node::v1::SaveImagesResponse>* ImageService::SaveImages(
    Context* context, const node::v1::SaveImagesRequest* request) {
  return ServeStream(backend_, context, "ImageService/SaveImages", request,
                     &StorageEngine::SaveImages);
}

grpc::ServerReadReactor<node::v1::ImportImageRequest>* ImageService::ImportImage(
    Context* context, node::v1::ImportImageResponse* response) {
  return ServeUpload(backend_, context, "ImageService/ImportImage", response,
                     &StorageEngine::ImportImage);
}

grpc::ServerReadReactor<node::v1::LoadImagesRequest>* ImageService::LoadImages(
    Context* context, node::v1::LoadImagesResponse* response) {
  return ServeUpload(backend_, context, "ImageService/LoadImages", response,
                     &StorageEngine::LoadImages);
}

grpc::ServerUnaryReactor* ImageService::ListImages(Context* context,
                                                   const node::v1::ListImagesRequest* request,
                                                   node::v1::ListImagesResponse* response) {
  return ServeUnary(backend_, context, "ImageService/ListImages", request, response,
                    &StorageEngine::ListImages);
}

grpc::ServerUnaryReactor* ImageService::GetImage(Context* context,
                                                 const node::v1::GetImageRequest* request,
                                                 node::v1::GetImageResponse* response) {
  return ServeUnary(backend_, context, "ImageService/GetImage", request, response,
                    &StorageEngine::GetImage);
}

grpc::ServerUnaryReactor* ImageService::TagImage(Context* context,
                                                 const node::v1::TagImageRequest* request,
                                                 node::v1::TagImageResponse* response) {
  return ServeUnary(backend_, context, "ImageService/TagImage", request, response,
                    &StorageEngine::TagImage);
}

grpc::ServerUnaryReactor* ImageService::RemoveImage(Context* context,
                                                    const node::v1::RemoveImageRequest* request,
                                                    node::v1::RemoveImageResponse* response) {
  return ServeUnary(backend_, context, "ImageService/RemoveImage", request, response,
                    &StorageEngine::RemoveImage);
}

grpc::ServerUnaryReactor* ImageService::PruneImages(Context* context,
                                                    const node::v1::PruneImagesRequest* request,
                                                    node::v1::PruneImagesResponse* response) {
  return ServeUnary(backend_, context, "ImageService/PruneImages", request, response,
                    &StorageEngine::PruneImages);
}

grpc::ServerUnaryReactor* ImageService::GetImageHistory(
    Context* context, const node::v1::GetImageHistoryRequest* request,
    node::v1::GetImageHistoryResponse* response) {
  return ServeUnary(backend_, context, "ImageService/GetImageHistory", request, response,
                    &StorageEngine::GetImageHistory);
}

grpc::ServerUnaryReactor* ImageService::VerifyImages(Context* context,
                                                     const node::v1::VerifyImagesRequest* request,
                                                     node::v1::VerifyImagesResponse* response) {
  return ServeUnary(backend_, context, "ImageService/VerifyImages", request, response,
                    &StorageEngine::VerifyImages);
}

grpc::ServerUnaryReactor* ImageService::CommitContainer(
    Context* context, const node::v1::CommitContainerRequest* request,
    node::v1::CommitContainerResponse* response) {
  return ServeUnary(backend_, context, "ImageService/CommitContainer", request, response,
                    &StorageEngine::CommitContainer);
}

}  // namespace noded::server
