#include "server/api_server.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/health_check_service_interface.h"
#include "node/base/status.h"
#include "server/call.h"
#include "server/container_service.h"
#include "server/image_service.h"
#include "server/log.h"
#include "server/node_service.h"
#include "server/volume_service.h"

namespace noded::server {
namespace {

// One message of a client, spec or stdin. gRPC refuses larger ones with RESOURCE_EXHAUSTED.
constexpr int kMostReceivedBytes = 4 << 20;
// Calls of one connection at a time. An orchestrator may wait on, log and attach to all containers
// of a node over one.
constexpr int kMostStreams = 4096;
// Reflection is a service of gRPC's synchronous kind, where a stream holds a thread.
constexpr int kMostSyncThreads = 8;
// A client that vanished without a word is noticed within the sum.
constexpr int kKeepaliveMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
// What clients may do before they are told ENHANCE_YOUR_CALM.
constexpr int kLeastPingIntervalMs = 5'000;
// For gRPC to send its last frames once all calls have ended.
constexpr std::chrono::milliseconds kGoodbye{500};

void SetLimits(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMostReceivedBytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreams);
  // Otherwise a second daemon would silently share the port of the first.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kLeastPingIntervalMs);
  builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  grpc::ResourceQuota quota("noded");
  quota.SetMaxThreads(kMostSyncThreads);
  builder->SetResourceQuota(quota);
}

}  // namespace

struct ApiServer::Parts {
  explicit Parts(Engine* engine)
      : containers(Backend{engine, &calls}),
        images(Backend{engine, &calls}),
        node(Backend{engine, &calls}),
        volumes(Backend{engine, &calls}) {}

  CallSet calls;
  ContainerService containers;
  ImageService images;
  NodeService node;
  VolumeService volumes;
  std::unique_ptr<grpc::Server> server;
  std::vector<std::string> addresses;
};

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(const std::vector<Listener>& listeners,
                                                            const TlsFiles& tls, Engine* engine) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  // gRPC serves health without its messages; naming one links them in, for reflection to tell.
  grpc::health::v1::HealthCheckRequest::descriptor();
  std::shared_ptr<grpc::ServerCredentials> tls_credentials;
  if (!tls.empty()) {
    RETURN_IF_ERROR(RequireTls13());
    ASSIGN_OR_RETURN(tls_credentials, MakeTlsCredentials(tls));
  }
  auto parts = std::make_unique<Parts>(engine);
  grpc::ServerBuilder builder;
  SetLimits(&builder);
  builder.RegisterService(&parts->containers);
  builder.RegisterService(&parts->images);
  builder.RegisterService(&parts->node);
  builder.RegisterService(&parts->volumes);
  std::vector<int> ports(listeners.size(), -1);  // written by BuildAndStart; -1: not bound
  for (size_t i = 0; i < listeners.size(); ++i) {
    if (listeners[i].is_unix()) RETURN_IF_ERROR(PrepareUnixSocket(listeners[i].path));
    const bool plain = listeners[i].is_unix() || tls_credentials == nullptr;
    builder.AddListeningPort(listeners[i].Address(),
                             plain ? grpc::InsecureServerCredentials() : tls_credentials,
                             &ports[i]);
  }
  parts->server = builder.BuildAndStart();
  for (size_t i = 0; i < listeners.size(); ++i) {
    if (ports[i] <= 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("listen on ", listeners[i].Address(),
                       ": cannot bind: the address is in use or not one of this host"));
    }
    if (listeners[i].is_unix()) RETURN_IF_ERROR(RestrictUnixSocket(listeners[i].path));
    Listener bound = listeners[i];
    bound.port = ports[i];
    parts->addresses.push_back(bound.Address());
  }
  if (parts->server == nullptr) return absl::InternalError("start the gRPC server");
  grpc::HealthCheckServiceInterface* health = parts->server->GetHealthCheckService();
  health->SetServingStatus(node::v1::ContainerService::service_full_name(), true);
  health->SetServingStatus(node::v1::ImageService::service_full_name(), true);
  health->SetServingStatus(node::v1::NodeService::service_full_name(), true);
  health->SetServingStatus(node::v1::VolumeService::service_full_name(), true);
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(parts)));
}

ApiServer::ApiServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

ApiServer::~ApiServer() { Drain(absl::ZeroDuration()); }

const std::vector<std::string>& ApiServer::addresses() const { return parts_->addresses; }

const RequestMetrics& ApiServer::requests() const { return parts_->calls.requests(); }

void ApiServer::Drain(absl::Duration most) {
  if (parts_->server == nullptr) return;
  parts_->server->GetHealthCheckService()->Shutdown();
  if (const size_t left = parts_->calls.Drain(most); left > 0) {
    Log(LogLevel::kWarning, "cancelling the calls that are left", {{"calls", absl::StrCat(left)}});
  }
  // Health watchers and reflection streams are not in the call set, and end by this.
  parts_->server->Shutdown(std::chrono::system_clock::now() + kGoodbye);
  parts_->server->Wait();
  parts_->server.reset();
}

}  // namespace noded::server
