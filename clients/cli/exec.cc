// exec.
#include <optional>

#include "absl/strings/str_cat.h"
#include "clients/cli/attachment.h"
#include "clients/cli/call_signals.h"
#include "clients/cli/commands.h"
#include "clients/cli/error_text.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"
#include "clients/cli/relay.h"

namespace noded::cli {
namespace {

using node::v1::ExecRequest;
using node::v1::ExecResponse;
using Stream = grpc::ClientReaderWriterInterface<ExecRequest, ExecResponse>;

// What came of an Exec stream.
struct Outcome {
  std::optional<node::v1::ExecExited> exited;
  bool output_closed = false;
  grpc::Status status;
  int early_exit = -1;
};

bool Take(const ExecResponse& response, Relay& relay, Outcome& outcome) {
  switch (response.message_case()) {
    case ExecResponse::kStdout:
      return relay.Stdout(response.stdout());
    case ExecResponse::kStderr:
      return relay.Stderr(response.stderr());
    case ExecResponse::kExited:
      outcome.exited = response.exited();
      return true;
    default:
      return true;
  }
}

// Relays from `started` to the end of the stream.
absl::StatusOr<Outcome> RelayAll(const ExecOptions& options, const Io& io,
                                 grpc::ClientContext& context, Stream& stream,
                                 SignalThread& signals) {
  StreamFarEnd<ExecRequest, ExecResponse> far_end(stream);
  Relay::Escapes escapes;
  escapes.cancel = [&context] { context.TryCancel(); };
  // Input that the process does not read fills the stream. Going away is the signal that remains:
  // noded ends the process.
  escapes.signal_otherwise = [&context](const std::string&) { context.TryCancel(); };
  Relay relay(io, options.relay, far_end, signals, std::move(escapes));
  absl::Status terminal = relay.EnterTerminal();
  if (!terminal.ok()) {
    context.TryCancel();
    return terminal;
  }
  relay.Begin();
  Outcome outcome;
  ExecResponse response;
  while (stream.Read(&response)) {
    if (!outcome.output_closed && !Take(response, relay, outcome)) {
      outcome.output_closed = true;
      context.TryCancel();
    }
  }
  outcome.status = stream.Finish();
  context.TryCancel();  // over already; but a Write that still waits must not hold up the end
  relay.End();
  outcome.early_exit = relay.early_exit();
  return outcome;
}

int Conclude(const Outcome& outcome, const Client& client, const Io& io, const std::string& what) {
  if (outcome.output_closed) return kOutputClosed;
  if (outcome.exited) {
    if (outcome.exited->timed_out()) io.Complain(absl::StrCat(what, ": killed at its time limit"));
    int number = ExitNumber(outcome.exited->status());
    if (number >= 0) return number;
    io.Complain(absl::StrCat(what, ": how the process ended is not known"));
    return kAgentError;
  }
  if (outcome.early_exit >= 0) return outcome.early_exit;
  if (!outcome.status.ok())
    return Fail(client, io, what, outcome.status, ExitCodeOfStart(outcome.status));
  io.Complain(absl::StrCat(what, ": noded ended the stream before the process's exit"));
  return kAgentError;
}

}  // namespace

int Run(const ExecOptions& options, Client& client, const Io& io) {
  const std::string what = absl::StrCat("exec ", options.start.container());
  absl::Status terminal = CheckTerminal(options.relay, io);
  if (!terminal.ok()) {
    io.Complain(absl::StrCat("exec: ", terminal.message()));
    return kAgentError;
  }
  SignalThread signals;
  grpc::ClientContext context;
  client.SetDeadline(context);
  std::optional<CallSignals> set_up(std::in_place, signals);
  set_up->Guard(&context, 0);
  std::unique_ptr<Stream> stream = client.containers().Exec(&context);
  ExecRequest request;
  *request.mutable_start() = options.start;
  auto size = options.relay.tty ? TerminalSizeOf(io.out) : std::nullopt;
  if (size) *request.mutable_start()->mutable_process()->mutable_terminal_size() = *size;
  stream->Write(request);
  ExecResponse response;
  bool started = stream->Read(&response) && response.has_started();
  if (started && options.start.detach()) {
    // noded ends the stream now. Nothing more is to come, and cancelling would look like going
    // away.
    ExecResponse rest;
    while (stream->Read(&rest)) {
    }
    grpc::Status status = stream->Finish();
    if (!status.ok()) return Fail(client, io, what, status, kAgentError);
    bool json = options.global.output == OutputFormat::kJson;
    return json ? Print(io, ToJson(response.started(), true)) : kOk;
  }
  if (!started) {
    grpc::Status status = stream->Finish();
    if (set_up->signal_number() != 0) return kSignalBase + set_up->signal_number();
    return Fail(client, io, what, status, ExitCodeOfStart(status));
  }
  set_up.reset();
  absl::StatusOr<Outcome> outcome = RelayAll(options, io, context, *stream, signals);
  if (outcome.ok()) return Conclude(*outcome, client, io, what);
  io.Complain(absl::StrCat(what, ": ", outcome.status().message()));
  return kAgentError;
}

}  // namespace noded::cli
