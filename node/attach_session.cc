#include "node/attach_session.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "node/base/socket.h"
#include "node/base/status.h"
#include "node/engine_impl.h"
#include "node/record_changes.h"

namespace noded {

using node::v1::AttachRequest;
using node::v1::AttachResponse;

namespace {

constexpr size_t kMaxInput = 1 << 20;
// Between the end of the streams and the record of the exit lies a file write.
constexpr absl::Duration kExitBound = absl::Minutes(2);

absl::Status MustStart() { return InvalidField("start", "must be the first message"); }

bool IsOver(const node::v1::Container& container) { return !MayHaveProcess(container); }

AttachResponse ExitedResponse(const node::v1::Container& container) {
  AttachResponse response;
  *response.mutable_exited()->mutable_status() = container.exit_status();
  response.mutable_exited()->set_reason(container.exit_reason());
  return response;
}

AttachResponse OutputResponse(bool is_error, std::string_view bytes) {
  AttachResponse response;
  (is_error ? response.mutable_stderr() : response.mutable_stdout())->assign(bytes);
  return response;
}

}  // namespace

// ---- what the client calls ----

void AttachSession::Next(Ready ready) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  ready_ = std::move(ready);
  Pump(actions);
}

void AttachSession::Send(AttachRequest request, Taken taken) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  if (phase_ == Phase::kNew) {
    if (request.has_start()) {
      phase_ = Phase::kStarting;
      actions.calls.push_back([self = shared_from_this(), start = request.start()]() mutable {
        self->engine_->BeginAttach(self, std::move(start));
      });
    } else {
      Fail(actions, MustStart());
    }
    actions.calls.push_back(
        [taken = std::move(taken), why = failure_.value_or(absl::OkStatus())] { taken(why); });
    return;
  }
  if (failure_) {
    actions.calls.push_back([taken = std::move(taken), why = *failure_] { taken(why); });
    return;
  }
  unsent_ = std::move(request);
  sent_ = 0;
  taken_ = std::move(taken);
  if (phase_ != Phase::kStarting) TakeInput(actions);
}

// Not the end of the container's input, which other clients may still write to: that is
// close_stdin, or stdin_once when this client goes away.
void AttachSession::CloseSend() {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  if (phase_ == Phase::kNew) Fail(actions, MustStart());
}

void AttachSession::Cancel() {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  if (phase_ == Phase::kOver) return;
  phase_ = Phase::kOver;
  Fail(actions, absl::CancelledError("the client went away"));
  actions.closed.push_back(std::move(socket_));
  actions.closed.push_back(std::move(input_));
  if (give_up_) actions.calls.push_back(std::exchange(give_up_, nullptr));
  if (runtime_ != nullptr) {
    actions.calls.push_back([session = this, runtime = runtime_] {
      absl::MutexLock lock(&runtime->mutex);
      runtime->pending_attachments.erase(session);
    });
  }
}

// ---- what the engine tells ----

void AttachSession::Attached(std::shared_ptr<Runtime> runtime, StreamEnd socket,
                             std::unique_ptr<LogReader> log) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  if (phase_ == Phase::kOver) {
    actions.closed.push_back(std::move(socket));
    return;
  }
  runtime_ = std::move(runtime);
  log_ = std::move(log);
  phase_ = Phase::kAttached;
  if (socket.open()) {
    // A second descriptor, because an epoll watch is of one and each direction has its own.
    UniqueFd copy(fcntl(socket.fd(), F_DUPFD_CLOEXEC, 0));
    if (copy) input_ = StreamEnd(engine_->loop(), std::move(copy));
    socket_ = std::move(socket);
  }
  TakeInput(actions);
  Pump(actions);
}

void AttachSession::Failed(absl::Status why) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  phase_ = Phase::kOver;
  Fail(actions, std::move(why));
}

// ---- output ----

void AttachSession::Deliver(Actions& actions,
                            absl::StatusOr<std::optional<AttachResponse>> message) {
  actions.calls.push_back([ready = std::exchange(ready_, nullptr),
                           message = std::move(message)]() mutable { ready(std::move(message)); });
}

void AttachSession::Fail(Actions& actions, absl::Status why) {
  if (!failure_) failure_ = std::move(why);
  if (ready_) Deliver(actions, *failure_);
  if (taken_) {
    unsent_.reset();
    actions.calls.push_back(
        [taken = std::exchange(taken_, nullptr), why = *failure_] { taken(why); });
  }
}

void AttachSession::Pump(Actions& actions) {
  if (!ready_) return;
  if (failure_) return Deliver(actions, *failure_);
  if (phase_ == Phase::kEnded) return Deliver(actions, std::nullopt);
  if (phase_ != Phase::kAttached) return;
  if (!from_log_.empty()) {
    AttachResponse response = std::move(from_log_.back());
    from_log_.pop_back();
    return Deliver(actions, std::move(response));
  }
  if (log_ != nullptr) return ReadLog(actions);
  if (!std::exchange(attached_told_, true)) {
    AttachResponse response;
    response.mutable_attached()->set_container_id(runtime_->id);
    return Deliver(actions, std::move(response));
  }
  if (socket_.open()) return ReceiveFrame(actions);
  if (exited_) {
    phase_ = Phase::kEnded;
    return Deliver(actions, std::move(*exited_));
  }
  OutputEnded(actions);
}

void AttachSession::ReadLog(Actions& actions) {
  if (std::exchange(reading_log_, true)) return;
  actions.calls.push_back([self = shared_from_this(), log = log_] {
    absl::Status submitted = self->engine_->Submit([self, log] { self->LogRead(log->Read()); });
    if (!submitted.ok()) self->LogRead(submitted);
  });
}

void AttachSession::LogRead(absl::StatusOr<node::v1::LogsResponse> read) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  reading_log_ = false;
  if (!read.ok()) {
    Fail(actions, Annotate(read.status(), "read log"));
    return;
  }
  if (read->entries().empty()) log_ = nullptr;
  for (const node::v1::LogEntry& entry : read->entries()) {
    from_log_.push_back(OutputResponse(entry.stream() == node::v1::LOG_STREAM_STDERR,
                                       entry.partial() ? entry.line() : entry.line() + "\n"));
  }
  std::reverse(from_log_.begin(), from_log_.end());
  Pump(actions);
}

void AttachSession::ReceiveFrame(Actions& actions) {
  while (true) {
    absl::StatusOr<Packet> packet = ReceivePacket(socket_.fd());
    if (absl::IsUnavailable(packet.status())) {
      absl::Status watched = socket_.Await(EPOLLIN, [weak = weak_from_this()] {
        if (auto self = weak.lock()) {
          Actions actions;
          absl::MutexLock lock(&self->mutex_);
          self->Pump(actions);
        }
      });
      if (!watched.ok()) Fail(actions, Annotate(watched, "read the container's output"));
      return;
    }
    std::optional<Frame> frame;
    if (packet.ok()) frame = ParseFrame(packet->message);
    // Without a frame the supervisor is gone, and what there was to tell with it.
    if (!packet.ok() || packet->message.empty() || (frame && frame->type == FrameType::kEnd)) {
      actions.closed.push_back(std::move(socket_));
      return OutputEnded(actions);
    }
    if (!frame) continue;  // of a later version
    if (frame->type == FrameType::kMissed) {
      AttachResponse response;
      response.set_missed_bytes(frame->missed_bytes);
      return Deliver(actions, std::move(response));
    }
    return Deliver(actions, OutputResponse(frame->type == FrameType::kStderr, frame->payload));
  }
}

void AttachSession::OutputEnded(Actions& actions) {
  if (std::exchange(awaiting_end_, true)) return;
  actions.calls.push_back([self = shared_from_this(), runtime = runtime_] {
    std::weak_ptr<AttachSession> weak = self;
    auto give_up = self->engine_->AwaitState(runtime->id, IsOver, kExitBound,
                                             [weak](const absl::StatusOr<Snapshot>& ended) {
                                               if (auto self = weak.lock()) {
                                                 self->ContainerEnded(ended);
                                               }
                                             });
    absl::MutexLock lock(&self->mutex_);
    if (!self->exited_ && !self->failure_) self->give_up_ = std::move(give_up);
  });
}

void AttachSession::ContainerEnded(const absl::StatusOr<Snapshot>& ended) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  give_up_ = nullptr;
  if (!ended.ok()) {
    Fail(actions, ended.status());
    return;
  }
  exited_ = ExitedResponse((*ended)->container());
  Pump(actions);
}

// ---- input ----

void AttachSession::TakeInput(Actions& actions) {
  if (!unsent_) return;
  if (unsent_->has_stdin() && !SendStdin(actions)) return;
  if (unsent_->has_close_stdin() && input_.open() &&
      !SendOrAwait(actions, MakeFrame(FrameType::kCloseStdin))) {
    return;
  }
  absl::Status handled = Handle(actions, *unsent_);
  unsent_.reset();
  if (taken_) {
    actions.calls.push_back([taken = std::exchange(taken_, nullptr), handled] { taken(handled); });
  }
}

bool AttachSession::SendStdin(Actions& actions) {
  // A container that has ended, or takes no input, drops it.
  while (input_.open() && sent_ < unsent_->stdin().size()) {
    std::string_view rest = unsent_->stdin();
    rest = rest.substr(sent_, kMaxFramePayload);
    if (!SendOrAwait(actions, MakeFrame(FrameType::kStdin, rest))) return false;
    sent_ += rest.size();
  }
  return true;
}

bool AttachSession::SendOrAwait(Actions& actions, const std::string& frame) {
  absl::Status sent = SendPacket(input_.fd(), frame);
  if (sent.ok()) return true;
  absl::Status watched = sent;
  if (absl::IsUnavailable(sent)) {
    watched = input_.Await(EPOLLOUT | EPOLLRDHUP, [weak = weak_from_this()] {
      if (auto self = weak.lock()) {
        Actions actions;
        absl::MutexLock lock(&self->mutex_);
        self->TakeInput(actions);
      }
    });
  }
  if (watched.ok()) return false;
  actions.closed.push_back(std::move(input_));
  return true;
}

absl::Status AttachSession::Handle(Actions& actions, const AttachRequest& request) {
  switch (request.message_case()) {
    case AttachRequest::kStart:
      Fail(actions, InvalidField("start", "must be sent once"));
      return *failure_;
    case AttachRequest::kStdin:
      if (request.stdin().size() <= kMaxInput) return absl::OkStatus();
      Fail(actions, InvalidField("stdin", "must be at most 1 MiB a message"));
      return *failure_;
    case AttachRequest::kResize: {
      const node::v1::TerminalSize& size = request.resize();
      if (size.width() < 1 || size.width() > 65535 || size.height() < 1 || size.height() > 65535) {
        Fail(actions, InvalidField("resize", "must be 1 to 65535 by 1 to 65535"));
        return *failure_;
      }
      actions.calls.push_back(
          [engine = engine_, runtime = runtime_, size] { engine->ResizeContainer(runtime, size); });
      return absl::OkStatus();
    }
    case AttachRequest::kSignal: {
      absl::StatusOr<int> signal = launch::ParseSignal(request.signal(), "signal");
      if (!signal.ok()) {
        Fail(actions, signal.status());
        return *failure_;
      }
      actions.calls.push_back([engine = engine_, runtime = runtime_, signal = *signal] {
        engine->SignalInit(runtime, signal, [](absl::Status) {});
      });
      return absl::OkStatus();
    }
    case AttachRequest::kCloseStdin:
    case AttachRequest::MESSAGE_NOT_SET:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace noded
