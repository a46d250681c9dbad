// node.v1.ImageService over an engine. Thread-safe.
#ifndef SERVER_IMAGE_SERVICE_H_
#define SERVER_IMAGE_SERVICE_H_

#include "node/v1/image_service.grpc.pb.h"
#include "server/serve.h"

namespace noded::server {

class ImageService final : public node::v1::ImageService::CallbackService {
 public:
  explicit ImageService(const Backend& backend) : backend_(backend) {}

  using Context = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;

  grpc::ServerWriteReactor<node::v1::PullImageResponse>* PullImage(
      Context* context, const node::v1::PullImageRequest* request) override;
  grpc::ServerWriteReactor<node::v1::PushImageResponse>* PushImage(
      Context* context, const node::v1::PushImageRequest* request) override;
  grpc::ServerWriteReactor<node::v1::SaveImagesResponse>* SaveImages(
      Context* context, const node::v1::SaveImagesRequest* request) override;
  grpc::ServerReadReactor<node::v1::ImportImageRequest>* ImportImage(
      Context* context, node::v1::ImportImageResponse* response) override;
  grpc::ServerReadReactor<node::v1::LoadImagesRequest>* LoadImages(
      Context* context, node::v1::LoadImagesResponse* response) override;
  Unary* ListImages(Context* context, const node::v1::ListImagesRequest* request,
                    node::v1::ListImagesResponse* response) override;
  Unary* GetImage(Context* context, const node::v1::GetImageRequest* request,
                  node::v1::GetImageResponse* response) override;
  Unary* TagImage(Context* context, const node::v1::TagImageRequest* request,
                  node::v1::TagImageResponse* response) override;
  Unary* RemoveImage(Context* context, const node::v1::RemoveImageRequest* request,
                     node::v1::RemoveImageResponse* response) override;
  Unary* PruneImages(Context* context, const node::v1::PruneImagesRequest* request,
                     node::v1::PruneImagesResponse* response) override;
  Unary* GetImageHistory(Context* context, const node::v1::GetImageHistoryRequest* request,
                         node::v1::GetImageHistoryResponse* response) override;
  Unary* VerifyImages(Context* context, const node::v1::VerifyImagesRequest* request,
                      node::v1::VerifyImagesResponse* response) override;
  Unary* CommitContainer(Context* context, const node::v1::CommitContainerRequest* request,
                         node::v1::CommitContainerResponse* response) override;

 private:
  const Backend backend_;
};

}  // namespace noded::server

#endif  // SERVER_IMAGE_SERVICE_H_
