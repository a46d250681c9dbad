// node.v1.NodeService over an engine. Thread-safe.
#ifndef SERVER_NODE_SERVICE_H_
#define SERVER_NODE_SERVICE_H_

#include "node/v1/node_service.grpc.pb.h"
#include "server/serve.h"

namespace noded::server {

class NodeService final : public node::v1::NodeService::CallbackService {
 public:
  explicit NodeService(const Backend& backend) : backend_(backend) {}

  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context,
                                    const node::v1::GetInfoRequest* request,
                                    node::v1::GetInfoResponse* response) override;

 private:
  const Backend backend_;
};

}  // namespace noded::server

#endif  // SERVER_NODE_SERVICE_H_
