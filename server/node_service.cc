#include "server/node_service.h"

namespace noded::server {

grpc::ServerUnaryReactor* NodeService::GetInfo(grpc::CallbackServerContext* context,
                                               const node::v1::GetInfoRequest* request,
                                               node::v1::GetInfoResponse* response) {
  return ServeAtOnce(
      backend_, context, "NodeService/GetInfo", request, response,
      [&](const node::v1::GetInfoRequest&) -> absl::StatusOr<node::v1::GetInfoResponse> {
        return backend_.engine->GetInfo();
      });
}

}  // namespace noded::server
