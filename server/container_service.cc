#include "server/container_service.h"

namespace noded::server {

grpc::ServerUnaryReactor* ContainerService::RunContainer(
    Context* context, const node::v1::RunContainerRequest* request,
    node::v1::RunContainerResponse* response) {
  return ServeUnary(backend_, context, "ContainerService/RunContainer", request, response,
                    &Engine::RunContainer);
}

grpc::ServerUnaryReactor* ContainerService::CreateContainer(
    Context* context, const node::v1::CreateContainerRequest* request,
    node::v1::CreateContainerResponse* response) {
  return ServeUnary(backend_, context, "ContainerService/CreateContainer", request, response,
                    &Engine::CreateContainer);
}

grpc::ServerUnaryReactor* ContainerService::Start(Context* context,
                                                  const node::v1::StartRequest* request,
                                                  node::v1::StartResponse* response) {
  return ServeUnary(backend_, context, "ContainerService/Start", request, response, &Engine::Start);
}

grpc::ServerUnaryReactor* ContainerService::Stop(Context* context,
                                                 const node::v1::StopRequest* request,
                                                 node::v1::StopResponse* response) {
  return ServeUnary(backend_, context, "ContainerService/Stop", request, response, &Engine::Stop);
}

grpc::ServerUnaryReactor* ContainerService::Kill(Context* context,
                                                 const node::v1::KillRequest* request,
                                                 node::v1::KillResponse* response) {
  return ServeUnary(backend_, context, "ContainerService/Kill", request, response, &Engine::Kill);
}

// The one operation that is given up when its client goes away: only the waiting would go on.
grpc::ServerUnaryReactor* ContainerService::Wait(Context* context,
                                                 const node::v1::WaitRequest* request,
                                                 node::v1::WaitResponse* response) {
  auto* reactor = new UnaryReactor<node::v1::WaitResponse>(backend_.calls, *context,
                                                           "ContainerService/Wait", response);
  LogContainer(&reactor->call(), *request);
  if (const absl::Status admission = reactor->call().admission(); !admission.ok()) {
    reactor->Answer(admission);
    return reactor;
  }
  reactor->MayGiveUp(backend_.engine->Wait(*request, reactor->Done()));
  return reactor;
}

grpc::ServerUnaryReactor* ContainerService::Pause(Context* context,
                                                  const node::v1::PauseRequest* request,
                                                  node::v1::PauseResponse* response) {
  return ServeUnary(backend_, context, "ContainerService/Pause", request, response, &Engine::Pause);
}

grpc::ServerUnaryReactor* ContainerService::Resume(Context* context,
                                                   const node::v1::ResumeRequest* request,
                                                   node::v1::ResumeResponse* response) {
  return ServeUnary(backend_, context, "ContainerService/Resume", request, response,
                    &Engine::Resume);
}

grpc::ServerUnaryReactor* ContainerService::Update(Context* context,
                                                   const node::v1::UpdateRequest* request,
                                                   node::v1::UpdateResponse* response) {
  return ServeUnary(backend_, context, "ContainerService/Update", request, response,
                    &Engine::Update);
}

grpc::ServerUnaryReactor* ContainerService::Remove(Context* context,
                                                   const node::v1::RemoveRequest* request,
                                                   node::v1::RemoveResponse* response) {
  return ServeUnary(backend_, context, "ContainerService/Remove", request, response,
                    &Engine::Remove);
}

grpc::ServerUnaryReactor* ContainerService::Get(Context* context,
                                                const node::v1::GetRequest* request,
                                                node::v1::GetResponse* response) {
  return ServeAtOnce(backend_, context, "ContainerService/Get", request, response,
                     [&](const node::v1::GetRequest& get) { return backend_.engine->Get(get); });
}

grpc::ServerUnaryReactor* ContainerService::List(Context* context,
                                                 const node::v1::ListRequest* request,
                                                 node::v1::ListResponse* response) {
  return ServeAtOnce(
      backend_, context, "ContainerService/List", request, response,
      [&](const node::v1::ListRequest& list) { return backend_.engine->List(list); });
}

grpc::ServerUnaryReactor* ContainerService::Top(Context* context,
                                                const node::v1::TopRequest* request,
                                                node::v1::TopResponse* response) {
  return ServeUnary(backend_, context, "ContainerService/Top", request, response, &Engine::Top);
}

// A shutdown gives exec'd processes its whole time, because their output cannot be had again.
grpc::ServerBidiReactor<node::v1::ExecRequest, node::v1::ExecResponse>* ContainerService::Exec(
    Context* context) {
  return ServeDuplex(backend_, context, "ContainerService/Exec", /*interruptible=*/false,
                     &Engine::Exec);
}

grpc::ServerBidiReactor<node::v1::AttachRequest, node::v1::AttachResponse>*
ContainerService::Attach(Context* context) {
  return ServeDuplex(backend_, context, "ContainerService/Attach", /*interruptible=*/true,
                     &Engine::Attach);
}

grpc::ServerWriteReactor<node::v1::LogsResponse>* ContainerService::Logs(
    Context* context, const node::v1::LogsRequest* request) {
  return ServeStream(backend_, context, "ContainerService/Logs", request, &Engine::Logs);
}

grpc::ServerWriteReactor<node::v1::StatsResponse>* ContainerService::Stats(
    Context* context, const node::v1::StatsRequest* request) {
  return ServeStream(backend_, context, "ContainerService/Stats", request, &Engine::Stats);
}

grpc::ServerWriteReactor<node::v1::WatchResponse>* ContainerService::Watch(
    Context* context, const node::v1::WatchRequest* request) {
  return ServeStream(backend_, context, "ContainerService/Watch", request, &Engine::Watch);
}

}  // namespace noded::server
