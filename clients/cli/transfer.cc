// pull and push.
#include "clients/cli/transfer.h"

#include <functional>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "clients/cli/call_signals.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"
#include "clients/cli/registry_config.h"

namespace noded::cli {
namespace {

using node::v1::PullImageRequest;
using node::v1::PullImageResponse;
using node::v1::PushImageRequest;
using node::v1::PushImageResponse;

// Fills in the credentials; a file that cannot be understood is the call's failure.
template <typename Request>
grpc::Status AddCredentialsTo(Request& request, const RegistryFiles& files) {
  auto credentials = LoadCredentials(files, request.image());
  if (!credentials.ok()) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                        std::string(credentials.status().message()));
  }
  if (credentials->has_value()) *request.mutable_credentials() = **credentials;
  return grpc::Status::OK;
}

// Reads a transfer's answers to their end.
template <typename Reader, typename Response>
grpc::Status Drain(Reader& reader, grpc::ClientContext& context,
                   const std::function<bool(const Response&)>& on_answer, Response* last) {
  Response response;
  while (reader.Read(&response)) {
    if (!on_answer(response)) context.TryCancel();
    last->Swap(&response);
  }
  return reader.Finish();
}

// What both have in common: progress, signals, the words at the end.
class Transfer {
 public:
  Transfer(absl::string_view verb, const std::string& image, const GlobalOptions& global,
           bool quiet, Client& client, const Io& io)
      : what_(absl::StrCat(verb, " ", image)),
        json_(global.output == OutputFormat::kJson),
        quiet_(quiet),
        client_(client),
        io_(io),
        view_(io, io.out, io.out_is_tty),
        call_signals_(signals_) {
    call_signals_.Guard(&context_, 0);
  }

  grpc::ClientContext& context() { return context_; }

  template <typename Response>
  bool Show(const Response& response) {
    if (json_) {
      read_by_someone_ = io_.Out(ToJson(response, false));
    } else if (!quiet_) {
      read_by_someone_ = view_.Take(response.progress());
    }
    return read_by_someone_;
  }

  // Prints `words`, or what went wrong; returns the exit status.
  int Conclude(const grpc::Status& status, absl::string_view words) {
    call_signals_.Guard(nullptr, 0);
    if (!json_ && !quiet_) view_.Finish();
    if (!read_by_someone_) return kOutputClosed;
    if (!status.ok() && call_signals_.signal_number() != 0) {
      io_.Complain(absl::StrCat(what_, ": interrupted; the same command goes on where it ended"));
      return kSignalBase + call_signals_.signal_number();
    }
    if (!status.ok()) return Fail(client_, io_, what_, status, kFailure);
    return json_ ? static_cast<int>(kOk) : Print(io_, words);
  }

 private:
  const std::string what_;
  const bool json_;
  const bool quiet_;
  Client& client_;
  const Io& io_;
  TransferView view_;
  // Before the channel, whose threads must not take these signals.
  SignalThread signals_;
  grpc::ClientContext context_;
  CallSignals call_signals_;
  bool read_by_someone_ = true;
};

// The image's name as the store has it now.
std::string NameIn(const node::v1::Image& image, const std::string& asked) {
  for (const std::string& reference : image.references()) {
    if (reference == asked || absl::EndsWith(reference, absl::StrCat("/", asked)) ||
        absl::EndsWith(reference, absl::StrCat("/", asked, ":latest"))) {
      return reference;
    }
  }
  return asked;
}

}  // namespace

grpc::Status PullImage(Client& client, grpc::ClientContext& context, const RegistryFiles& files,
                       PullImageRequest request,
                       const std::function<bool(const PullImageResponse&)>& on_answer,
                       PullImageResponse* last) {
  grpc::Status status = AddCredentialsTo(request, files);
  if (!status.ok()) return status;
  client.SetDeadline(context);
  auto reader = client.images().PullImage(&context, request);
  return Drain(*reader, context, on_answer, last);
}

int Run(const PullOptions& options, Client& client, const Io& io) {
  const std::string& asked = options.request.image();
  Transfer transfer("pull", asked, options.global, options.quiet, client, io);
  PullImageResponse last;
  grpc::Status status = PullImage(
      client, transfer.context(), options.registry_files, options.request,
      [&](const PullImageResponse& response) { return transfer.Show(response); }, &last);
  const std::string name = NameIn(last.image(), asked);
  if (options.quiet) return transfer.Conclude(status, absl::StrCat(name, "\n"));
  return transfer.Conclude(status,
                           absl::StrCat("Digest: ", last.image().manifest_digest(), "\nStatus: ",
                                        last.already_present() ? "Image is up to date for "
                                                               : "Downloaded newer image for ",
                                        name, "\n", name, "\n"));
}

int Run(const PushOptions& options, Client& client, const Io& io) {
  const std::string& image = options.request.image();
  Transfer transfer("push", image, options.global, options.quiet, client, io);
  PushImageRequest request = options.request;
  PushImageResponse last;
  grpc::Status status = AddCredentialsTo(request, options.registry_files);
  if (status.ok()) {
    client.SetDeadline(transfer.context());
    auto reader = client.images().PushImage(&transfer.context(), request);
    status = Drain<decltype(*reader), PushImageResponse>(
        *reader, transfer.context(),
        [&](const PushImageResponse& response) { return transfer.Show(response); }, &last);
  }
  if (options.quiet) return transfer.Conclude(status, absl::StrCat(image, "\n"));
  return transfer.Conclude(status, absl::StrCat(image, ": digest: ", last.digest(), "\n"));
}

}  // namespace noded::cli
