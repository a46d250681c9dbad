// node.v1.ContainerService over an engine. Thread-safe.
#ifndef SERVER_CONTAINER_SERVICE_H_
#define SERVER_CONTAINER_SERVICE_H_

#include "node/v1/container_service.grpc.pb.h"
#include "server/serve.h"

namespace noded::server {

class ContainerService final : public node::v1::ContainerService::CallbackService {
 public:
  explicit ContainerService(const Backend& backend) : backend_(backend) {}

  using Context = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;

  Unary* RunContainer(Context* context, const node::v1::RunContainerRequest* request,
                      node::v1::RunContainerResponse* response) override;
  Unary* CreateContainer(Context* context, const node::v1::CreateContainerRequest* request,
                         node::v1::CreateContainerResponse* response) override;
  Unary* Start(Context* context, const node::v1::StartRequest* request,
               node::v1::StartResponse* response) override;
  Unary* Stop(Context* context, const node::v1::StopRequest* request,
              node::v1::StopResponse* response) override;
  Unary* Kill(Context* context, const node::v1::KillRequest* request,
              node::v1::KillResponse* response) override;
  Unary* Wait(Context* context, const node::v1::WaitRequest* request,
              node::v1::WaitResponse* response) override;
  Unary* Pause(Context* context, const node::v1::PauseRequest* request,
               node::v1::PauseResponse* response) override;
  Unary* Resume(Context* context, const node::v1::ResumeRequest* request,
                node::v1::ResumeResponse* response) override;
  Unary* Update(Context* context, const node::v1::UpdateRequest* request,
                node::v1::UpdateResponse* response) override;
  Unary* Remove(Context* context, const node::v1::RemoveRequest* request,
                node::v1::RemoveResponse* response) override;
  Unary* Get(Context* context, const node::v1::GetRequest* request,
             node::v1::GetResponse* response) override;
  Unary* List(Context* context, const node::v1::ListRequest* request,
              node::v1::ListResponse* response) override;
  Unary* Top(Context* context, const node::v1::TopRequest* request,
             node::v1::TopResponse* response) override;

  grpc::ServerBidiReactor<node::v1::ExecRequest, node::v1::ExecResponse>* Exec(
      Context* context) override;
  grpc::ServerBidiReactor<node::v1::AttachRequest, node::v1::AttachResponse>* Attach(
      Context* context) override;
  grpc::ServerWriteReactor<node::v1::LogsResponse>* Logs(
      Context* context, const node::v1::LogsRequest* request) override;
  grpc::ServerWriteReactor<node::v1::StatsResponse>* Stats(
      Context* context, const node::v1::StatsRequest* request) override;
  grpc::ServerWriteReactor<node::v1::WatchResponse>* Watch(
      Context* context, const node::v1::WatchRequest* request) override;

 private:
  const Backend backend_;
};

}  // namespace noded::server

#endif  // SERVER_CONTAINER_SERVICE_H_
