// The connection to noded.
#ifndef CLIENTS_CLI_CLIENT_H_
#define CLIENTS_CLI_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cli/host.h"
#include "clients/cli/options.h"
#include "node/v1/container_service.grpc.pb.h"
#include "node/v1/image_service.grpc.pb.h"
#include "node/v1/node_service.grpc.pb.h"
#include "node/v1/volume_service.grpc.pb.h"

namespace noded::cli {

// A gRPC target of what people write: "unix:///run/x.sock", "unix:x.sock", "/run/x.sock",
// "host:port", "10.0.0.1:7443",
// "[::1]:7443". INVALID_ARGUMENT names the allowed forms.
absl::StatusOr<std::string> TargetOf(absl::string_view address);
// Whether a target is reached without a network.
bool IsLocalTarget(absl::string_view target);

// Thread-safe once connected. gRPC is not touched before the first stub is asked for, so that what
// a command does before (blocking signals) is inherited by gRPC's threads.
class Client {
 public:
  explicit Client(ConnectionOptions options) : options_(std::move(options)) {}

  // Checks the address and reads certificates. INVALID_ARGUMENT or what reading said.
  absl::Status Prepare(const Host& host);
  node::v1::ContainerService::StubInterface& containers();
  node::v1::ImageService::StubInterface& images();
  node::v1::NodeService::StubInterface& node();
  node::v1::VolumeService::StubInterface& volumes();
  const std::string& address() const { return options_.address; }
  // Waits until noded answers again, at most `patience`; false when it does not.
  bool Reconnect(absl::Duration patience);
  // Gives a call its deadline.
  void SetDeadline(grpc::ClientContext& context) const;

  // One unary call, as Call(&Stub::Stop, request, &response).
  template <typename Stub, typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    return Call(context, method, request, response);
  }
  // The same with a context that another thread may cancel.
  template <typename Stub, typename Request, typename Response>
  grpc::Status Call(grpc::ClientContext& context,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    SetDeadline(context);
    Stub* stub = nullptr;
    if constexpr (std::is_same_v<Stub, node::v1::NodeService::StubInterface>) {
      stub = &node();
    } else if constexpr (std::is_same_v<Stub, node::v1::ImageService::StubInterface>) {
      stub = &images();
    } else if constexpr (std::is_same_v<Stub, node::v1::VolumeService::StubInterface>) {
      stub = &volumes();
    } else {
      stub = &containers();
    }
    return (stub->*method)(&context, request, response);
  }

 private:
  void Connect();

  ConnectionOptions options_;
  std::string target_;
  std::string certificate_;
  std::string key_;
  std::string authorities_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<node::v1::ContainerService::Stub> containers_;
  std::unique_ptr<node::v1::ImageService::Stub> images_;
  std::unique_ptr<node::v1::NodeService::Stub> node_;
  std::unique_ptr<node::v1::VolumeService::Stub> volumes_;
};

using ContainerStub = node::v1::ContainerService::StubInterface;
using ImageStub = node::v1::ImageService::StubInterface;
using NodeStub = node::v1::NodeService::StubInterface;
using VolumeStub = node::v1::VolumeService::StubInterface;

}  // namespace noded::cli

#endif  // CLIENTS_CLI_CLIENT_H_
