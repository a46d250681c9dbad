#include "clients/cli/attachment.h"

#include "absl/strings/str_cat.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"

namespace noded::cli {

using node::v1::AttachRequest;
using node::v1::AttachResponse;

Attachment::Attachment(Client& client, const Io& io, const RelayOptions& options,
                       SignalThread& signals)
    : client_(client), io_(io), options_(options), signals_(signals) {}

Attachment::~Attachment() {
  // A stream that was not followed to its end: nothing may wait for it.
  context_.TryCancel();
  if (relay_) relay_->End();
}

grpc::Status Attachment::Open(const node::v1::AttachStart& start) {
  container_ = start.container();
  client_.SetDeadline(context_);
  stream_ = client_.containers().Attach(&context_);
  AttachRequest request;
  *request.mutable_start() = start;
  stream_->Write(request);
  AttachResponse response;
  if (!stream_->Read(&response)) return stream_->Finish();
  if (!response.has_attached()) {
    return grpc::Status(grpc::StatusCode::INTERNAL, "noded's first answer was not \"attached\"");
  }
  far_end_.emplace(*stream_);
  Relay::Escapes escapes;
  escapes.cancel = [this] { Cancel(); };
  escapes.signal_otherwise = [this](const std::string& name) {
    // Input that the process does not read fills the stream; Kill goes beside it.
    node::v1::KillRequest kill;
    kill.set_container(container_);
    kill.set_signal(name);
    node::v1::KillResponse killed;
    client_.Call(&ContainerStub::Kill, kill, &killed);
  };
  relay_.emplace(io_, options_, *far_end_, signals_, std::move(escapes));
  absl::Status terminal = relay_->EnterTerminal();
  if (terminal.ok()) return grpc::Status::OK;
  return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, std::string(terminal.message()));
}

void Attachment::RestoreTerminal() {
  if (relay_) relay_->RestoreTerminal();
}

bool Attachment::Take(const AttachResponse& response) {
  switch (response.message_case()) {
    case AttachResponse::kStdout:
      return relay_->Stdout(response.stdout());
    case AttachResponse::kStderr:
      return relay_->Stderr(response.stderr());
    case AttachResponse::kMissedBytes:
      io_.Complain(
          absl::StrCat("output came faster than it was read here: ", response.missed_bytes(),
                       " bytes are missing; nodectl logs has them"));
      return true;
    case AttachResponse::kExited:
      exited_ = response.exited();
      return true;
    default:
      return true;
  }
}

int Attachment::Follow(absl::string_view what, bool announce_size) {
  relay_->Begin();
  if (announce_size && options_.tty) {
    if (auto size = TerminalSizeOf(io_.out)) far_end_->Resize(*size);
  }
  AttachResponse response;
  bool read_by_someone = true;
  while (stream_->Read(&response)) {
    if (read_by_someone && !Take(response)) {
      read_by_someone = false;
      Cancel();
    }
  }
  grpc::Status status = stream_->Finish();
  context_.TryCancel();  // over already; but a Write that still waits must not hold up the end
  relay_->End();
  if (!read_by_someone) return kOutputClosed;
  return Conclude(what, status);
}

int Attachment::Conclude(absl::string_view what, const grpc::Status& status) {
  if (exited_) {
    int number = ExitNumber(exited_->status());
    if (number >= 0) return number;
    io_.Complain(absl::StrCat(what, ": how the container ended is not known"));
    return kAgentError;
  }
  if (relay_->early_exit() == kOk) io_.Err("\nnodectl: detached; the container goes on\n");
  if (relay_->early_exit() >= 0) return relay_->early_exit();
  if (!status.ok()) return Fail(client_, io_, what, status, kAgentError);
  io_.Complain(absl::StrCat(what, ": noded ended the stream before the container's exit"));
  return kAgentError;
}

absl::Status CheckTerminal(const RelayOptions& options, const Io& io) {
  if (!options.tty || !options.stdin || io.in_is_tty) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "--tty: standard input is not a terminal; leave out -t, or -i");
}

int Run(const AttachOptions& options, Client& client, const Io& io) {
  const std::string what = absl::StrCat("attach ", options.start.container());
  SignalThread signals;
  node::v1::GetRequest get;
  get.set_container(options.start.container());
  node::v1::GetResponse found;
  grpc::Status status = client.Call(&ContainerStub::Get, get, &found);
  if (!status.ok()) return Fail(client, io, what, status, kAgentError);
  RelayOptions relay = options.relay;
  relay.tty = found.container().spec().process().tty();
  relay.stdin = relay.stdin && found.container().spec().process().stdin();
  Attachment attachment(client, io, relay, signals);
  status = attachment.Open(options.start);
  if (!status.ok()) return Fail(client, io, what, status, kAgentError);
  return attachment.Follow(what, true);
}

}  // namespace noded::cli
