// diff and commit: what a container has changed.
#include "absl/strings/str_cat.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"

namespace noded::cli {
namespace {

absl::string_view Letter(node::v1::FileChangeKind kind) {
  switch (kind) {
    case node::v1::FILE_CHANGE_KIND_ADDED:
      return "A";
    case node::v1::FILE_CHANGE_KIND_CHANGED:
      return "C";
    case node::v1::FILE_CHANGE_KIND_DELETED:
      return "D";
    default:
      return "?";
  }
}

}  // namespace

int Run(const DiffOptions& options, Client& client, const Io& io) {
  node::v1::DiffRequest request;
  request.set_container(options.container);
  grpc::ClientContext context;
  client.SetDeadline(context);
  auto reader = client.containers().Diff(&context, request);
  node::v1::DiffResponse response;
  while (reader->Read(&response)) {
    std::string text;
    for (const node::v1::FileChange& change : response.changes()) {
      absl::StrAppend(&text, Letter(change.kind()), " ", Printable(change.path()), "\n");
    }
    if (options.global.output == OutputFormat::kJson) text = ToJson(response, false);
    if (!io.Out(text)) {
      context.TryCancel();
      return kOutputClosed;
    }
  }
  grpc::Status status = reader->Finish();
  if (status.ok()) return kOk;
  return Fail(client, io, absl::StrCat("diff ", options.container), status, kFailure);
}

int Run(const CommitOptions& options, Client& client, const Io& io) {
  node::v1::CommitContainerResponse response;
  grpc::Status status = client.Call(&ImageStub::CommitContainer, options.request, &response);
  if (!status.ok()) {
    return Fail(client, io, absl::StrCat("commit ", options.request.container()), status, kFailure);
  }
  if (options.global.output == OutputFormat::kJson) return Print(io, ToJson(response, true));
  return Print(io, absl::StrCat(response.image().id(), "\n"));
}

}  // namespace noded::cli
