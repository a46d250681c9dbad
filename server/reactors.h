// How an RPC of gRPC's callback API is led by what the engine gives: one reactor for answers, one
// for streams of answers, one for streams both ways. None ever blocks or owns a thread.
//
// The difficulty is lifetime. gRPC deletes nothing: a reactor deletes itself in OnDone, which comes
// soon after Finish. The engine answers in its own time, perhaps after the client has gone and
// OnDone has run. So an engine's callback holds a Link, never the reactor: the link forgets the
// reactor under its lock, in the same step that decides to Finish. Hence also that Finish is called
// once.
#ifndef SERVER_REACTORS_H_
#define SERVER_REACTORS_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "node/streams.h"
#include "server/call.h"
#include "server/status.h"

namespace noded::server {

inline absl::Status ShuttingDown() { return absl::UnavailableError("noded is shutting down"); }

template <typename Reactor>
struct Link final : Interruptible {
  explicit Link(Reactor* owner) : reactor(owner) {}
  void Interrupt() override { Reactor::Interrupt(this); }

  absl::Mutex mutex;
  Reactor* reactor;  // guarded by mutex; nullptr once Finish is due
};

// Names the container of a message in the log: an id, or a reference or name as the client gave it.
template <typename Message>
void LogContainer(Call* call, const Message& message) {
  if constexpr (requires { message.container().id(); }) {
    call->set_container(message.container().id());
  } else if constexpr (requires { std::string_view(message.container()); }) {
    call->set_container(message.container());
  } else if constexpr (requires { message.spec().name(); }) {
    call->set_container(message.spec().name());
  } else if constexpr (requires { message.start().container(); }) {
    if (message.has_start()) call->set_container(message.start().container());
  }
}

// One request, one answer.
template <typename Response>
class UnaryReactor final : public grpc::ServerUnaryReactor {
 public:
  UnaryReactor(CallSet* calls, const grpc::CallbackServerContext& context, std::string_view method,
               Response* response)
      : call_(calls, context, method), response_(response) {}

  Call& call() { return call_; }

  // For the engine: may be called at any time, on any thread, also when nobody waits any more.
  std::function<void(absl::StatusOr<Response>)> Done() {
    return [link = link_](absl::StatusOr<Response> result) {
      if (UnaryReactor* reactor = Claim(link.get())) reactor->Answer(std::move(result));
    };
  }
  // Before the handler returns.
  void Answer(absl::StatusOr<Response> result) {
    // gRPC's doing may come before the handler returns: it keeps a Finish until then.
    if (!result.ok()) return End(result.status());
    *response_ = *std::move(result);
    LogContainer(&call_, *response_);
    End(absl::OkStatus());
  }
  // The engine's work may be given up by this when the client goes away or the server shuts down.
  // Otherwise it is finished whether or not anybody waits.
  void MayGiveUp(std::function<void()> give_up) {
    {
      const absl::MutexLock lock(&link_->mutex);
      give_up_ = std::move(give_up);
    }
    call_.MayBeInterrupted(link_);
  }

  static void Interrupt(Link<UnaryReactor>* link) { Abandon(link, ShuttingDown()); }
  void OnCancel() override {
    const auto link = link_;
    Abandon(link.get(), call_.GoneStatus());
  }
  void OnDone() override { delete this; }

 private:
  static UnaryReactor* Claim(Link<UnaryReactor>* link) {
    const absl::MutexLock lock(&link->mutex);
    return std::exchange(link->reactor, nullptr);
  }
  static void Abandon(Link<UnaryReactor>* link, const absl::Status& why) {
    std::function<void()> give_up;
    UnaryReactor* reactor = nullptr;
    {
      const absl::MutexLock lock(&link->mutex);
      reactor = std::exchange(link->reactor, nullptr);
      if (reactor == nullptr) return;
      give_up = std::move(reactor->give_up_);
    }
    reactor->End(why);
    if (give_up) give_up();
  }
  // The last touch: OnDone may run on another thread before Finish returns.
  void End(const absl::Status& status) {
    const grpc::Status ending = ToGrpcStatus(status);
    call_.set_status(ending);
    Finish(ending);
  }

  Call call_;
  Response* const response_;
  std::function<void()> give_up_;
  const std::shared_ptr<Link<UnaryReactor>> link_ = std::make_shared<Link<UnaryReactor>>(this);
};

// Sends what a ResponseStream gives. `Base` is grpc::ServerWriteReactor<Response> or
// grpc::ServerBidiReactor<…, Response>. A message is asked for when the one before has been taken
// by the transport, so that a slow client holds up the source and one message waits here at most.
template <typename Base, typename Response>
class SendingReactor : public Base {
 public:
  using Source = ResponseStream<Response>;
  using ThisLink = Link<SendingReactor>;

  SendingReactor(CallSet* calls, const grpc::CallbackServerContext& context,
                 std::string_view method)
      : call_(calls, context, method) {}

  Call& call() { return call_; }

  // Ends the call without a stream. Before the handler returns.
  void Refuse(const absl::Status& why) { SetEnd(why); }

  // A server that shuts down ends this stream at once instead of waiting for it.
  void MayBeInterrupted() { call_.MayBeInterrupted(link_); }

  static void Interrupt(ThisLink* link) {
    std::shared_ptr<Source> source;
    {
      const absl::MutexLock lock(&link->mutex);
      if (link->reactor == nullptr) return;
      source = link->reactor->source_;
      link->reactor->WantEnd(ShuttingDown());
    }
    Perform(link);
    if (source != nullptr) source->Cancel();
  }

  void OnWriteDone(bool ok) override {
    bool pull = false;
    {
      const absl::MutexLock lock(&link_->mutex);
      writing_ = false;
      if (!ok) WantEnd(call_.GoneStatus());
      pull = !end_.has_value();
    }
    Perform(link_.get());
    if (pull) Pull();
  }
  void OnCancel() override {
    SetEnd(call_.GoneStatus());
    if (source_ != nullptr) source_->Cancel();
  }
  void OnDone() override { delete this; }

 protected:
  // Before the handler returns, once.
  void StartSending(std::shared_ptr<Source> source) {
    {
      const absl::MutexLock lock(&link_->mutex);
      source_ = std::move(source);
    }
    Pull();
  }

  // Starts the next read, into what OnReadDone takes; without the lock.
  virtual void Read() {}

  // --- Decisions, under the lock; Perform then does them.
  void WantRead() { want_read_ = true; }
  bool ended() const { return end_.has_value(); }

  // Does what was decided. gRPC is called by one thread at a time and without the lock, because it
  // may run a reaction, which takes the lock, before it returns. While one thread is at it the
  // reactor cannot be finished by another, and so not deleted under it.
  static void Perform(ThisLink* link) {
    link->mutex.Lock();
    SendingReactor* const reactor = link->reactor;
    if (reactor == nullptr || reactor->performing_) {
      link->mutex.Unlock();
      return;
    }
    reactor->performing_ = true;
    while (true) {
      if (reactor->end_.has_value()) {
        reactor->want_read_ = false;
        // What was not written yet is not any more; what is being written is waited for.
        if (std::exchange(reactor->want_write_, false)) reactor->writing_ = false;
        if (!reactor->writing_) {
          link->reactor = nullptr;
          link->mutex.Unlock();
          reactor->End();
          return;
        }
      }
      if (std::exchange(reactor->want_write_, false)) {
        link->mutex.Unlock();
        reactor->StartWrite(&reactor->response_);
        link->mutex.Lock();
      } else if (std::exchange(reactor->want_read_, false)) {
        link->mutex.Unlock();
        reactor->Read();
        link->mutex.Lock();
      } else {
        break;
      }
    }
    reactor->performing_ = false;
    link->mutex.Unlock();
  }

  // Shared with what may outlive the reactor.
  const std::shared_ptr<ThisLink> link_ = std::make_shared<ThisLink>(this);

 private:
  void Pull() {
    source_->Next([link = link_](absl::StatusOr<std::optional<Response>> next) {
      {
        const absl::MutexLock lock(&link->mutex);
        if (link->reactor == nullptr) return;
        link->reactor->Take(std::move(next));
      }
      Perform(link.get());
    });
  }
  // Under the lock.
  void Take(absl::StatusOr<std::optional<Response>> next) {
    if (!next.ok() || !next->has_value()) return WantEnd(next.status());
    if (end_.has_value()) return;
    response_ = **std::move(next);
    writing_ = want_write_ = true;
  }
  // Under the lock. The first reason stands.
  void WantEnd(const absl::Status& status) {
    if (!end_.has_value()) end_ = status;
  }
  void SetEnd(const absl::Status& status) {
    {
      const absl::MutexLock lock(&link_->mutex);
      WantEnd(status);
    }
    Perform(link_.get());
  }
  // The last touch: OnDone may run on another thread before Finish returns.
  void End() {
    const grpc::Status ending = ToGrpcStatus(*end_);
    call_.set_status(ending);
    this->Finish(ending);
  }

  Call call_;
  std::shared_ptr<Source> source_;
  Response response_;
  // Guarded by link_->mutex.
  std::optional<absl::Status> end_;
  bool writing_ = false;  // from want_write_ to OnWriteDone
  bool want_write_ = false;
  bool want_read_ = false;
  bool performing_ = false;
};

// One request, a stream of answers.
template <typename Response>
class StreamReactor final : public SendingReactor<grpc::ServerWriteReactor<Response>, Response> {
 public:
  using SendingReactor<grpc::ServerWriteReactor<Response>, Response>::SendingReactor;
  void Start(std::shared_ptr<ResponseStream<Response>> stream) {
    this->StartSending(std::move(stream));
  }
};

// Streams both ways. A message is read when the stream has taken the one before, so that a slow
// process holds up its client.
template <typename Request, typename Response>
class DuplexReactor final
    : public SendingReactor<grpc::ServerBidiReactor<Request, Response>, Response> {
  using Sending = SendingReactor<grpc::ServerBidiReactor<Request, Response>, Response>;

 public:
  using Sending::Sending;
  void Start(std::shared_ptr<DuplexStream<Request, Response>> stream) {
    stream_ = stream;
    ReadNext(this->link_.get());
    this->StartSending(std::move(stream));
  }

  void OnReadDone(bool ok) override {
    {
      const absl::MutexLock lock(&this->link_->mutex);
      if (this->ended()) return;
      if (ok) LogContainer(&this->call(), request_);
    }
    if (!ok) {
      stream_->CloseSend();
      return;
    }
    stream_->Send(std::move(request_), [link = this->link_](absl::Status taken) {
      // An error comes from Next as well, which ends the call.
      if (taken.ok()) ReadNext(link.get());
    });
  }

 private:
  static void ReadNext(typename Sending::ThisLink* link) {
    {
      const absl::MutexLock lock(&link->mutex);
      if (link->reactor == nullptr) return;
      static_cast<DuplexReactor*>(link->reactor)->WantRead();
    }
    Sending::Perform(link);
  }
  void Read() override {
    request_.Clear();  // moved from
    this->StartRead(&request_);
  }

  std::shared_ptr<DuplexStream<Request, Response>> stream_;
  Request request_;
};

}  // namespace noded::server

#endif  // SERVER_REACTORS_H_
