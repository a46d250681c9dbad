// How a method of a service becomes a call of the engine: one function for each shape of RPC, so
// that each RPC is one line and none forgets admission, logging or cancellation.
#ifndef SERVER_SERVE_H_
#define SERVER_SERVE_H_

#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include "node/engine.h"
#include "server/reactors.h"
#include "server/upload_reactor.h"

namespace noded::server {

// What a service works with. Both outlive the gRPC server.
struct Backend {
  Engine* engine;
  CallSet* calls;

  // Whose operation it is.
  template <typename Owner>
  Owner* part() const {
    if constexpr (std::is_same_v<Owner, StorageEngine>) {
      return engine->storage();
    } else {
      return engine;
    }
  }
};

// `answer(request)` returns StatusOr<Response> at once.
template <typename Request, typename Response, typename Function>
grpc::ServerUnaryReactor* ServeAtOnce(const Backend& backend, grpc::CallbackServerContext* context,
                                      std::string_view method, const Request* request,
                                      Response* response, Function answer) {
  auto* reactor = new UnaryReactor<Response>(backend.calls, *context, method, response);
  LogContainer(&reactor->call(), *request);
  const absl::Status admission = reactor->call().admission();
  reactor->Answer(admission.ok() ? answer(*request) : admission);
  return reactor;
}

// An operation that is finished whether or not its client waits.
template <typename Owner, typename Request, typename Response>
grpc::ServerUnaryReactor* ServeUnary(
    const Backend& backend, grpc::CallbackServerContext* context, std::string_view method,
    const Request* request, Response* response,
    void (Owner::*operation)(Request, std::function<void(absl::StatusOr<Response>)>)) {
  auto* reactor = new UnaryReactor<Response>(backend.calls, *context, method, response);
  LogContainer(&reactor->call(), *request);
  if (const absl::Status admission = reactor->call().admission(); !admission.ok()) {
    reactor->Answer(admission);
  } else {
    (backend.part<Owner>()->*operation)(*request, reactor->Done());
  }
  return reactor;
}

// A stream of answers. Its client can take it up again, so a shutdown ends it at once.
template <typename Owner, typename Request, typename Response>
grpc::ServerWriteReactor<Response>* ServeStream(
    const Backend& backend, grpc::CallbackServerContext* context, std::string_view method,
    const Request* request,
    absl::StatusOr<std::shared_ptr<ResponseStream<Response>>> (Owner::*open)(const Request&)) {
  auto* reactor = new StreamReactor<Response>(backend.calls, *context, method);
  LogContainer(&reactor->call(), *request);
  if (const absl::Status admission = reactor->call().admission(); !admission.ok()) {
    reactor->Refuse(admission);
    return reactor;
  }
  auto stream = (backend.part<Owner>()->*open)(*request);
  if (!stream.ok()) {
    reactor->Refuse(stream.status());
    return reactor;
  }
  reactor->Start(*std::move(stream));
  reactor->MayBeInterrupted();
  return reactor;
}

// A stream both ways. `interruptible`: its client loses nothing when a shutdown ends it at once.
template <typename Request, typename Response>
grpc::ServerBidiReactor<Request, Response>* ServeDuplex(
    const Backend& backend, grpc::CallbackServerContext* context, std::string_view method,
    bool interruptible, std::shared_ptr<DuplexStream<Request, Response>> (Engine::*open)()) {
  auto* reactor = new DuplexReactor<Request, Response>(backend.calls, *context, method);
  if (const absl::Status admission = reactor->call().admission(); !admission.ok()) {
    reactor->Refuse(admission);
    return reactor;
  }
  reactor->Start((backend.engine->*open)());
  if (interruptible) reactor->MayBeInterrupted();
  return reactor;
}

// A stream of requests, one answer. Given up when its client goes away.
template <typename Request, typename Response>
grpc::ServerReadReactor<Request>* ServeUpload(
    const Backend& backend, grpc::CallbackServerContext* context, std::string_view method,
    Response* response, std::shared_ptr<DuplexStream<Request, Response>> (StorageEngine::*open)()) {
  auto* reactor = new UploadReactor<Request, Response>(backend.calls, *context, method, response);
  if (const absl::Status admission = reactor->call().admission(); !admission.ok()) {
    reactor->Refuse(admission);
    return reactor;
  }
  reactor->Start((backend.part<StorageEngine>()->*open)());
  return reactor;
}

}  // namespace noded::server

#endif  // SERVER_SERVE_H_
