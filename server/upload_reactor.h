// A stream of requests with one answer, led by a DuplexStream of the engine. See reactors.h for
// what is difficult about lifetimes.
#ifndef SERVER_UPLOAD_REACTOR_H_
#define SERVER_UPLOAD_REACTOR_H_

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "node/streams.h"
#include "server/call.h"
#include "server/reactors.h"
#include "server/status.h"

namespace noded::server {

// A message is read when the stream has taken the one before, so that a slow disk holds up its
// client.
template <typename Request, typename Response>
class UploadReactor final : public grpc::ServerReadReactor<Request> {
 public:
  using Stream = DuplexStream<Request, Response>;
  using ThisLink = Link<UploadReactor>;

  UploadReactor(CallSet* calls, const grpc::CallbackServerContext& context, std::string_view method,
                Response* response)
      : call_(calls, context, method), response_(response) {}

  Call& call() { return call_; }

  // Ends the call without a stream. Before the handler returns.
  void Refuse(const absl::Status& why) { End(link_.get(), why); }

  // Before the handler returns, once.
  void Start(std::shared_ptr<Stream> stream) {
    stream_ = std::move(stream);
    const std::shared_ptr<ThisLink> link = link_;
    call_.MayBeInterrupted(link);
    stream_->Next([link](absl::StatusOr<std::optional<Response>> answer) {
      if (answer.ok() && !answer->has_value()) answer = absl::InternalError("no answer came");
      const absl::Status status = answer.status();
      {
        const absl::MutexLock lock(&link->mutex);
        if (link->reactor != nullptr && status.ok()) {
          *link->reactor->response_ = **std::move(answer);
        }
      }
      End(link.get(), status);
    });
    Read(link);
  }

  static void Interrupt(ThisLink* link) {
    std::shared_ptr<Stream> stream;
    {
      const absl::MutexLock lock(&link->mutex);
      if (link->reactor == nullptr) return;
      stream = link->reactor->stream_;
    }
    End(link, ShuttingDown());
    if (stream != nullptr) stream->Cancel();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return stream_->CloseSend();
    stream_->Send(std::move(request_), [link = link_](absl::Status taken) {
      // An error comes from Next as well, which ends the call.
      if (taken.ok()) Read(link);
    });
  }
  void OnCancel() override {
    const std::shared_ptr<Stream> stream = stream_;
    End(link_.get(), call_.GoneStatus());
    if (stream != nullptr) stream->Cancel();
  }
  void OnDone() override { delete this; }

 private:
  // gRPC may run a reaction, which may come back here, before StartRead returns. While a thread is
  // in it the reactor is not finished, and so not deleted under it.
  static void Read(const std::shared_ptr<ThisLink>& link) {
    UploadReactor* reactor = nullptr;
    {
      const absl::MutexLock lock(&link->mutex);
      reactor = link->reactor;
      if (reactor == nullptr || reactor->end_) return;
      ++reactor->reading_;
      reactor->request_.Clear();  // moved from
    }
    reactor->StartRead(&reactor->request_);
    {
      const absl::MutexLock lock(&link->mutex);
      if (--reactor->reading_ > 0 || !reactor->end_) return;
      link->reactor = nullptr;
    }
    reactor->FinishNow();
  }
  // The first end counts.
  static void End(ThisLink* link, const absl::Status& why) {
    UploadReactor* reactor = nullptr;
    {
      const absl::MutexLock lock(&link->mutex);
      reactor = link->reactor;
      if (reactor == nullptr || reactor->end_) return;
      reactor->end_ = why;
      if (reactor->reading_ > 0) return;
      link->reactor = nullptr;
    }
    reactor->FinishNow();
  }
  // The last touch: OnDone may run on another thread before Finish returns.
  void FinishNow() {
    const grpc::Status ending = ToGrpcStatus(*end_);
    call_.set_status(ending);
    this->Finish(ending);
  }

  Call call_;
  Response* const response_;
  std::shared_ptr<Stream> stream_;
  Request request_;
  // Guarded by link_->mutex.
  std::optional<absl::Status> end_;
  int reading_ = 0;
  const std::shared_ptr<ThisLink> link_ = std::make_shared<ThisLink>(this);
};

}  // namespace noded::server

#endif  // SERVER_UPLOAD_REACTOR_H_
