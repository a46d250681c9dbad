// The floor that `nodectl version` is measured against: the least that a program linked with gRPC
// does to ask a server one thing. No flags, no output, no certificates; left by _exit as nodectl
// is.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <stdio.h>
#include <unistd.h>

#include "node/v1/node_service.grpc.pb.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: bare_client unix:///PATH\n");
    return 2;
  }
  auto channel = grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials());
  auto stub = node::v1::NodeService::NewStub(channel);
  grpc::ClientContext context;
  node::v1::GetInfoResponse response;
  grpc::Status status = stub->GetInfo(&context, node::v1::GetInfoRequest(), &response);
  if (!status.ok()) fprintf(stderr, "bare_client: %s\n", status.error_message().c_str());
  _exit(status.ok() ? 0 : 1);
}
