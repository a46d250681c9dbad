// image load, save and import, and export: tars as they are, by stream and file.
#include <errno.h>
#include <string.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cli/byte_file.h"
#include "clients/cli/call_signals.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"

namespace noded::cli {
namespace {

int Complain(const Io& io, absl::string_view what, const absl::Status& status) {
  io.Complain(absl::StrCat(what, ": ", status.message()));
  return kFailure;
}

// Sends the input to its end, a piece a message. What cannot be read ends the call.
template <typename Request>
absl::Status Send(InputFile& input, grpc::ClientWriterInterface<Request>& writer,
                  grpc::ClientContext& context) {
  Request request;
  while (true) {
    absl::StatusOr<std::string> piece = input.Read();
    if (!piece.ok()) {
      context.TryCancel();
      return piece.status();
    }
    if (piece->empty()) break;
    request.set_data(*std::move(piece));
    // noded has ended the call; Finish tells why.
    if (!writer.Write(request)) return absl::OkStatus();
  }
  writer.WritesDone();
  return absl::OkStatus();
}

// Writes a stream of bytes to a file; returns the exit status. A signal ends it in order, or an
// unfinished file would stay.
template <typename Response, typename Open>
int Receive(const std::string& file, Client& client, const Io& io, absl::string_view what,
            Open open) {
  OutputFile output;
  absl::Status opened = output.Open(file, io);
  if (!opened.ok()) return Complain(io, what, opened);
  SignalThread signals;
  CallSignals call_signals(signals);
  grpc::ClientContext context;
  client.SetDeadline(context);
  call_signals.Guard(&context, 0);
  auto reader = open(context);
  Response response;
  while (reader->Read(&response)) {
    if (output.error_number() == 0 && !output.Write(response.data())) context.TryCancel();
  }
  grpc::Status status = reader->Finish();
  call_signals.Guard(nullptr, 0);
  if (!status.ok() && call_signals.signal_number() != 0) {
    return kSignalBase + call_signals.signal_number();
  }
  if (output.error_number() == EPIPE) return kOutputClosed;
  if (output.error_number() != 0) {
    return Complain(
        io, what,
        absl::UnknownError(absl::StrCat("cannot write: ", strerror(output.error_number()))));
  }
  if (!status.ok()) return Fail(client, io, what, status, kFailure);
  absl::Status committed = output.Commit();
  return committed.ok() ? static_cast<int>(kOk) : Complain(io, what, committed);
}

}  // namespace

int Run(const ImageLoadOptions& options, Client& client, const Io& io) {
  InputFile input(io);
  absl::Status opened = input.Open(options.file, io);
  if (!opened.ok()) return Complain(io, "image load", opened);
  grpc::ClientContext context;
  client.SetDeadline(context);
  node::v1::LoadImagesResponse response;
  auto writer = client.images().LoadImages(&context, &response);
  absl::Status sent = Send(input, *writer, context);
  grpc::Status status = writer->Finish();
  if (!sent.ok()) return Complain(io, "image load", sent);
  if (!status.ok()) return Fail(client, io, "image load", status, kFailure);
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  std::string text;
  for (const node::v1::Image& image : response.images()) {
    for (const std::string& reference : image.references()) {
      absl::StrAppend(&text, "Loaded image: ", reference, "\n");
    }
    if (image.references().empty()) absl::StrAppend(&text, "Loaded image ID: ", image.id(), "\n");
  }
  return Print(io, text);
}

int Run(const ImageSaveOptions& options, Client& client, const Io& io) {
  const std::string what =
      absl::StrCat("image save ", absl::StrJoin(options.request.images(), " "));
  return Receive<node::v1::SaveImagesResponse>(
      options.file, client, io, what, [&](grpc::ClientContext& context) {
        return client.images().SaveImages(&context, options.request);
      });
}

int Run(const ImageImportOptions& options, Client& client, const Io& io) {
  InputFile input(io);
  absl::Status opened = input.Open(options.file, io);
  if (!opened.ok()) {
    // Docker fetches what looks like this.
    const bool is_url = absl::StrContains(options.file, "://");
    if (is_url)
      opened = absl::FailedPreconditionError("fetch it yourself: curl … | nodectl image import -");
    return Complain(io, "image import", opened);
  }
  grpc::ClientContext context;
  client.SetDeadline(context);
  node::v1::ImportImageResponse response;
  auto writer = client.images().ImportImage(&context, &response);
  node::v1::ImportImageRequest first;
  *first.mutable_start() = options.start;
  absl::Status sent;
  if (writer->Write(first)) sent = Send(input, *writer, context);
  grpc::Status status = writer->Finish();
  if (!sent.ok()) return Complain(io, "image import", sent);
  if (!status.ok()) return Fail(client, io, "image import", status, kFailure);
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  return Print(io, absl::StrCat(response.image().id(), "\n"));
}

int Run(const ExportOptions& options, Client& client, const Io& io) {
  const std::string what = absl::StrCat("export ", options.container);
  node::v1::ExportRequest request;
  request.set_container(options.container);
  return Receive<node::v1::ExportResponse>(
      options.file, client, io, what,
      [&](grpc::ClientContext& context) { return client.containers().Export(&context, request); });
}

}  // namespace noded::cli
