#include "node/exec_session.h"

#include <signal.h>
#include <sys/epoll.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "node/base/status.h"
#include "node/engine_impl.h"

namespace noded {

using node::v1::ExecRequest;
using node::v1::ExecResponse;

namespace {

constexpr size_t kMaxOutput = 256 << 10;
constexpr size_t kMaxInput = 1 << 20;
// After the process's end, for children of it that still hold its output open.
constexpr absl::Duration kStragglerPause = absl::Seconds(2);
// What a terminal takes for the end of input at the beginning of a line (VEOF).
constexpr char kEndOfTransmission[] = "\x04";

absl::Status MustStart() { return InvalidField("start", "must be the first message"); }

}  // namespace

// ---- what the client calls ----

void ExecSession::Next(Ready ready) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  ready_ = std::move(ready);
  Pump(actions);
}

void ExecSession::Send(ExecRequest request, Taken taken) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  if (phase_ == Phase::kNew) {
    Begin(actions, std::move(request));
    actions.calls.push_back(
        [taken = std::move(taken), why = failure_.value_or(absl::OkStatus())] { taken(why); });
    return;
  }
  if (failure_) {
    actions.calls.push_back([taken = std::move(taken), why = *failure_] { taken(why); });
    return;
  }
  unsent_ = std::move(request);
  written_ = 0;
  taken_ = std::move(taken);
  if (phase_ != Phase::kStarting) TakeInput(actions);
}

void ExecSession::CloseSend() {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  half_closed_ = true;
  if (phase_ == Phase::kNew) Fail(actions, MustStart());
  // With a Send outstanding its bytes come first.
  if (phase_ == Phase::kRunning && !unsent_) CloseInput(actions);
}

void ExecSession::Cancel() {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  if (cancelled_) return;
  cancelled_ = true;
  bool running = phase_ == Phase::kRunning && !exit_ && !process_.detached;
  if (running) {
    actions.calls.push_back([engine = engine_, process = process_] {
      engine->EndExec(process.runtime, process.exec_id);
    });
  }
  Fail(actions, absl::CancelledError("the client went away"));
  CloseStreams(actions);
  if (phase_ != Phase::kStarting) phase_ = Phase::kOver;
}

// ---- what the engine tells ----

void ExecSession::Started(Process process, Streams streams) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  process_ = std::move(process);
  streams_ = std::move(streams);
  if (cancelled_) {
    // The client went away while this was under way.
    if (!process_.detached) {
      actions.calls.push_back([engine = engine_, process = process_] {
        engine->EndExec(process.runtime, process.exec_id);
      });
    }
    CloseStreams(actions);
    phase_ = Phase::kOver;
    return;
  }
  phase_ = Phase::kRunning;
  if (unsent_) {
    TakeInput(actions);
  } else if (half_closed_) {
    CloseInput(actions);
  }
  Pump(actions);
}

void ExecSession::Failed(absl::Status why) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  phase_ = Phase::kOver;
  Fail(actions, std::move(why));
}

void ExecSession::Exited(const node::shim::v1::ExecState& state) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  if (exit_) return;
  exit_ = state;
  Pump(actions);
}

// ---- output ----

void ExecSession::Deliver(Actions& actions, absl::StatusOr<std::optional<ExecResponse>> message) {
  actions.calls.push_back([ready = std::exchange(ready_, nullptr),
                           message = std::move(message)]() mutable { ready(std::move(message)); });
}

void ExecSession::Fail(Actions& actions, absl::Status why) {
  if (!failure_) failure_ = std::move(why);
  if (ready_) Deliver(actions, *failure_);
  if (taken_) {
    unsent_.reset();
    actions.calls.push_back(
        [taken = std::exchange(taken_, nullptr), why = *failure_] { taken(why); });
  }
}

void ExecSession::Pump(Actions& actions) {
  if (!ready_) return;
  if (failure_) return Deliver(actions, *failure_);
  if (exited_told_) return Deliver(actions, std::nullopt);
  if (phase_ != Phase::kRunning) return;
  ExecResponse response;
  if (!std::exchange(started_told_, true)) {
    response.mutable_started()->set_exec_id(process_.exec_id);
    response.mutable_started()->set_pid(process_.pid);
    // A detached one's end is nobody's to hear.
    exited_told_ = process_.detached;
    return Deliver(actions, std::move(response));
  }
  if (ReadOutput(actions, response)) {
    ++reads_;
    return Deliver(actions, std::move(response));
  }
  if (failure_) return Deliver(actions, *failure_);
  if (streams_.output.open() || streams_.error.open()) {
    if (exit_) AwaitStragglers();
    return;
  }
  if (!exit_) return;
  if (exit_->has_code()) {
    response.mutable_exited()->mutable_status()->set_code(exit_->code());
  } else if (exit_->has_signal()) {
    response.mutable_exited()->mutable_status()->set_signal(exit_->signal());
  }
  response.mutable_exited()->set_timed_out(exit_->timed_out());
  exited_told_ = true;
  CloseStreams(actions);
  TakeInput(actions);  // what still waited to be written is dropped
  Deliver(actions, std::move(response));
}

// Whether there was any; what has nothing yet is waited for, what has ended is closed.
bool ExecSession::ReadOutput(Actions& actions, ExecResponse& response) {
  StreamEnd* ends[] = {&streams_.output, &streams_.error};
  if (error_first_) std::swap(ends[0], ends[1]);
  for (StreamEnd* end : ends) {
    if (!end->open()) continue;
    bool is_error = end == &streams_.error;
    std::string* bytes = is_error ? response.mutable_stderr() : response.mutable_stdout();
    switch (ReadAvailable(end->fd(), kMaxOutput, *bytes)) {
      case ReadResult::kData:
        error_first_ = !is_error;
        return true;
      case ReadResult::kNothingYet:
        AwaitOutput(*end);
        break;
      case ReadResult::kEnd:
        actions.closed.push_back(std::move(*end));
        break;
    }
  }
  return false;
}

void ExecSession::AwaitOutput(StreamEnd& end) {
  absl::Status watched = end.Await(EPOLLIN, [weak = weak_from_this()] {
    if (auto self = weak.lock()) {
      Actions actions;
      absl::MutexLock lock(&self->mutex_);
      self->Pump(actions);
    }
  });
  // Out of memory or of watches: the client must not wait for what is never told.
  if (!watched.ok() && !failure_) failure_ = Annotate(watched, "read the process's output");
}

void ExecSession::AwaitStragglers() {
  if (std::exchange(awaiting_stragglers_, true)) return;
  engine_->loop()->RunAfter(kStragglerPause, [weak = weak_from_this(), reads = reads_] {
    if (auto self = weak.lock()) self->StragglersOver(reads);
  });
}

void ExecSession::StragglersOver(uint64_t reads) {
  Actions actions;
  absl::MutexLock lock(&mutex_);
  awaiting_stragglers_ = false;
  // Nothing came, and the client was ready for it.
  if (reads == reads_ && ready_) {
    actions.closed.push_back(std::move(streams_.output));
    actions.closed.push_back(std::move(streams_.error));
  }
  Pump(actions);
}

// ---- input ----

void ExecSession::Begin(Actions& actions, ExecRequest request) {
  if (!request.has_start()) return Fail(actions, MustStart());
  phase_ = Phase::kStarting;
  actions.calls.push_back([self = shared_from_this(), start = request.start()]() mutable {
    self->engine_->BeginExec(self, std::move(start));
  });
}

void ExecSession::TakeInput(Actions& actions) {
  if (!unsent_) return;
  if (unsent_->has_stdin() && streams_.input.open()) return WriteInput(actions);
  absl::Status handled = Handle(actions, *std::exchange(unsent_, std::nullopt));
  if (half_closed_) CloseInput(actions);
  if (taken_) {
    actions.calls.push_back([taken = std::exchange(taken_, nullptr), handled] { taken(handled); });
  }
}

absl::Status ExecSession::Handle(Actions& actions, ExecRequest request) {
  node::shim::v1::Request call;
  switch (request.message_case()) {
    case ExecRequest::kStart:
      Fail(actions, InvalidField("start", "must be sent once"));
      return *failure_;
    case ExecRequest::kCloseStdin:
      CloseInput(actions);
      return absl::OkStatus();
    case ExecRequest::kResize: {
      const node::v1::TerminalSize& size = request.resize();
      if (size.width() < 1 || size.width() > 65535 || size.height() < 1 || size.height() > 65535) {
        Fail(actions, InvalidField("resize", "must be 1 to 65535 by 1 to 65535"));
        return *failure_;
      }
      actions.calls.push_back([engine = engine_, process = process_, size] {
        engine->ResizeExec(process.runtime, process.exec_id, size);
      });
      return absl::OkStatus();
    }
    case ExecRequest::kSignal: {
      absl::StatusOr<int> signal = launch::ParseSignal(request.signal(), "signal");
      if (!signal.ok()) {
        Fail(actions, signal.status());
        return *failure_;
      }
      actions.calls.push_back([engine = engine_, process = process_, signal = *signal] {
        engine->SignalExec(process.runtime, process.exec_id, signal);
      });
      return absl::OkStatus();
    }
    // Bytes for a process that reads no more, or that never had an input, are dropped: that its
    // reader is gone is no error of who writes.
    case ExecRequest::kStdin:
    case ExecRequest::MESSAGE_NOT_SET:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

void ExecSession::WriteInput(Actions& actions) {
  if (unsent_->stdin().size() > kMaxInput) {
    return Fail(actions, InvalidField("stdin", "must be at most 1 MiB a message"));
  }
  std::string_view rest = unsent_->stdin();
  rest.remove_prefix(written_);
  WriteResult result = WriteAvailable(streams_.input.fd(), rest);
  written_ = unsent_->stdin().size() - rest.size();
  if (result == WriteResult::kSome) {
    absl::Status watched = streams_.input.Await(EPOLLOUT, [weak = weak_from_this()] {
      if (auto self = weak.lock()) {
        Actions actions;
        absl::MutexLock lock(&self->mutex_);
        self->TakeInput(actions);
      }
    });
    if (!watched.ok()) Fail(actions, Annotate(watched, "write the process's input"));
    return;
  }
  unsent_.reset();
  if (result == WriteResult::kClosed) actions.closed.push_back(std::move(streams_.input));
  if (half_closed_) CloseInput(actions);
  actions.calls.push_back([taken = std::exchange(taken_, nullptr)] { taken(absl::OkStatus()); });
}

void ExecSession::CloseInput(Actions& actions) {
  if (!streams_.input.open()) return;
  if (streams_.terminal) {
    // Closing our end would hang the terminal up; what is wanted is what Ctrl-D says.
    std::string_view end = kEndOfTransmission;
    WriteAvailable(streams_.input.fd(), end);
  }
  actions.closed.push_back(std::move(streams_.input));
}

void ExecSession::CloseStreams(Actions& actions) {
  actions.closed.push_back(std::move(streams_.input));
  actions.closed.push_back(std::move(streams_.output));
  actions.closed.push_back(std::move(streams_.error));
}

}  // namespace noded
