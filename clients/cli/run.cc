// run, create and start.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cli/attachment.h"
#include "clients/cli/call_signals.h"
#include "clients/cli/commands.h"
#include "clients/cli/error_text.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/image_supply.h"
#include "clients/cli/output.h"

namespace noded::cli {
namespace {

using node::v1::CreateContainerRequest;
using node::v1::CreateContainerResponse;
using node::v1::RunContainerRequest;
using node::v1::RunContainerResponse;

// --cidfile: made before the container, so that an id never has nowhere to go; removed again unless
// it is filled.
class IdFile {
 public:
  explicit IdFile(std::string path) : path_(std::move(path)) {}
  ~IdFile() {
    if (file_.get() >= 0 && !filled_) unlink(path_.c_str());
  }
  // FAILED_PRECONDITION when it exists: it may be another container's.
  absl::Status Make() {
    if (path_.empty()) return absl::OkStatus();
    file_ = ScopedFd(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (file_.get() >= 0) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("--cidfile: cannot make ", path_, ": ", strerror(errno)));
  }
  void Fill(const std::string& id) {
    if (file_.get() < 0) return;
    filled_ = write(file_.get(), id.data(), id.size()) == static_cast<ssize_t>(id.size());
  }

 private:
  std::string path_;
  ScopedFd file_;
  bool filled_ = false;
};

CreateContainerRequest CreationOf(const RunContainerRequest& run) {
  CreateContainerRequest request;
  *request.mutable_spec() = run.spec();
  request.set_request_id(run.request_id());
  request.set_dry_run(run.dry_run());
  return request;
}

// The same spec with the size of the terminal that will show it.
void AddTerminalSize(const Io& io, node::v1::ContainerSpec& spec) {
  if (!spec.process().tty()) return;
  auto size = TerminalSizeOf(io.out);
  if (size) *spec.mutable_process()->mutable_terminal_size() = *size;
}

// What run -d and create print.
template <typename Response>
int PrintCreated(const RunOptions& options, const Io& io, const Response& response) {
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  if (options.request.dry_run()) return Print(io, absl::StrCat(response.launch_plan_json(), "\n"));
  return Print(io, absl::StrCat(response.container().id(), "\n"));
}

int Create(const RunOptions& options, Client& client, const Io& io, IdFile& id_file) {
  CreateContainerResponse response;
  const CreateContainerRequest request = CreationOf(options.request);
  grpc::Status status = ImageSupply(options, client, io, nullptr).Create([&] {
    return client.Call(&ContainerStub::CreateContainer, request, &response);
  });
  if (!status.ok()) return Fail(client, io, "create", status, kAgentError);
  if (!options.request.dry_run()) id_file.Fill(response.container().id());
  return PrintCreated(options, io, response);
}

int RunDetached(const RunOptions& options, Client& client, const Io& io, IdFile& id_file) {
  RunContainerResponse response;
  grpc::Status status = ImageSupply(options, client, io, nullptr).Create([&] {
    return client.Call(&ContainerStub::RunContainer, options.request, &response);
  });
  if (!status.ok()) return Fail(client, io, "run", status, ExitCodeOfStart(status));
  if (!options.request.dry_run()) id_file.Fill(response.container().id());
  return PrintCreated(options, io, response);
}

// The container that we made and could not start.
void Discard(Client& client, const std::string& id) {
  node::v1::RemoveRequest request;
  request.set_container(id);
  request.set_force(true);
  node::v1::RemoveResponse response;
  // Best effort: it may have removed itself, and the error that brought us here is the one to tell.
  client.Call(&ContainerStub::Remove, request, &response);
}

// With --rm the name should be free when we return, as scripts that run the same container again
// expect. Bounded, because a removal that takes longer is noded's to finish.
void AwaitRemoval(Client& client, const std::string& id) {
  constexpr absl::Duration kLongest = absl::Seconds(10);
  const absl::Time end = absl::Now() + kLongest;
  absl::Duration pause = absl::Milliseconds(2);
  node::v1::GetRequest request;
  request.set_container(id);
  while (absl::Now() < end) {
    node::v1::GetResponse response;
    if (!client.Call(&ContainerStub::Get, request, &response).ok()) return;
    absl::SleepFor(pause);
    pause = std::min(pause * 2, absl::Milliseconds(100));
  }
}

// Attaches to a container and starts it, in this order so that nothing of its output is missed. OK:
// it runs.
grpc::Status AttachAndStart(Client& client, Attachment& attachment, const std::string& id,
                            CallSignals& set_up) {
  node::v1::AttachStart attach;
  attach.set_container(id);
  grpc::Status status = attachment.Open(attach);
  if (!status.ok()) return status;
  node::v1::StartRequest request;
  request.set_container(id);
  node::v1::StartResponse response;
  grpc::ClientContext context;
  set_up.Guard(&context, 0);
  status = set_up.signal_number() != 0
               ? grpc::Status(grpc::StatusCode::CANCELLED, "interrupted")
               : client.Call(context, &ContainerStub::Start, request, &response);
  set_up.Guard(nullptr, 0);
  return status;
}

int RunAttached(const RunOptions& options, Client& client, const Io& io, IdFile& id_file) {
  SignalThread signals;
  CreateContainerRequest request = CreationOf(options.request);
  AddTerminalSize(io, *request.mutable_spec());
  CreateContainerResponse created;
  std::optional<CallSignals> set_up(std::in_place, signals);
  grpc::Status status = ImageSupply(options, client, io, &*set_up).Create([&] {
    grpc::ClientContext context;
    // The first signal waits for the answer, because without it we could not remove what has been
    // made.
    set_up->Guard(&context, 1);
    grpc::Status made = client.Call(context, &ContainerStub::CreateContainer, request, &created);
    set_up->Guard(nullptr, 0);
    return made;
  });
  if (!status.ok()) {
    if (set_up->signal_number() != 0) return kSignalBase + set_up->signal_number();
    return Fail(client, io, "run", status, kAgentError);
  }
  const std::string& id = created.container().id();
  id_file.Fill(id);
  Attachment attachment(client, io, options.relay, signals);
  if (created.container().start_count() > 0) {
    // A repeat of a request_id: it was started by the call that we repeat.
    node::v1::AttachStart attach;
    attach.set_container(id);
    status = attachment.Open(attach);
    if (!status.ok()) return Fail(client, io, "run", status, kAgentError);
  } else {
    status = AttachAndStart(client, attachment, id, *set_up);
    if (!status.ok()) {
      attachment.RestoreTerminal();
      Discard(client, id);
      if (set_up->signal_number() != 0) return kSignalBase + set_up->signal_number();
      return Fail(client, io, "run", status, ExitCodeOfStart(status));
    }
  }
  set_up.reset();
  int exit_code = attachment.Follow("run", false);
  if (options.request.spec().auto_remove() && attachment.exited()) AwaitRemoval(client, id);
  return exit_code;
}

int StartAttached(const StartOptions& options, Client& client, const Io& io) {
  const std::string& container = options.containers[0];
  const std::string what = absl::StrCat("start ", container);
  SignalThread signals;
  node::v1::GetRequest get;
  get.set_container(container);
  node::v1::GetResponse found;
  grpc::Status status = client.Call(&ContainerStub::Get, get, &found);
  if (!status.ok()) return Fail(client, io, what, status, kAgentError);
  RelayOptions relay = options.relay;
  relay.tty = found.container().spec().process().tty();
  relay.stdin = relay.stdin && found.container().spec().process().stdin();
  Attachment attachment(client, io, relay, signals);
  std::optional<CallSignals> set_up(std::in_place, signals);
  status = AttachAndStart(client, attachment, found.container().id(), *set_up);
  if (!status.ok()) {
    attachment.RestoreTerminal();
    if (set_up->signal_number() != 0) return kSignalBase + set_up->signal_number();
    return Fail(client, io, what, status, ExitCodeOfStart(status));
  }
  set_up.reset();
  return attachment.Follow(what, true);
}

}  // namespace

int Run(const RunOptions& options, Client& client, const Io& io) {
  const absl::string_view what = options.create_only ? "create" : "run";
  bool attached = !options.create_only && !options.detach && !options.request.dry_run();
  absl::Status status = attached ? CheckTerminal(options.relay, io) : absl::OkStatus();
  IdFile id_file(options.id_file);
  if (status.ok()) status = id_file.Make();
  if (!status.ok()) {
    io.Complain(absl::StrCat(what, ": ", status.message()));
    return kAgentError;
  }
  if (options.create_only) return Create(options, client, io, id_file);
  return attached ? RunAttached(options, client, io, id_file)
                  : RunDetached(options, client, io, id_file);
}

int Run(const StartOptions& options, Client& client, const Io& io) {
  if (options.attach) return StartAttached(options, client, io);
  int exit_code = kOk;
  for (const std::string& container : options.containers) {
    node::v1::StartRequest request;
    request.set_container(container);
    node::v1::StartResponse response;
    grpc::Status status = client.Call(&ContainerStub::Start, request, &response);
    if (!status.ok()) {
      exit_code = Fail(client, io, absl::StrCat("start ", container), status, kFailure);
    } else if (!io.Out(options.global.output == OutputFormat::kJson
                           ? ToJson(response, false)
                           : absl::StrCat(container, "\n"))) {
      return kOutputClosed;
    }
  }
  return exit_code;
}

}  // namespace noded::cli
