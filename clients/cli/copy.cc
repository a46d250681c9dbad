// cp.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "clients/cli/byte_file.h"
#include "clients/cli/commands.h"
#include "clients/cli/copy_path.h"
#include "clients/cli/error_text.h"
#include "clients/cli/exit_code.h"
#include "clients/cli/output.h"
#include "clients/cli/tar_pack.h"
#include "clients/cli/tar_unpack.h"

namespace noded::cli {
namespace {

using node::v1::CopyFromRequest;
using node::v1::CopyFromResponse;
using node::v1::CopyToRequest;
using node::v1::CopyToResponse;
using node::v1::FileStat;

constexpr char kStandardStream[] = "-";

// Why a copy did not come about: noded's answer, or ours.
struct Failure {
  grpc::Status answer;
  absl::Status own;
};

FileKind KindOf(mode_t mode) { return S_ISDIR(mode) ? FileKind::kDirectory : FileKind::kFile; }

// What is here; a link is what it leads to.
FileKind LocalKind(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 ? KindOf(status.st_mode) : FileKind::kMissing;
}

// The name of a source that "." or ".." names, too.
std::string LocalName(const CopyPath& path) {
  if (!path.is_directory) return LastPartOf(path.path);
  char resolved[PATH_MAX];
  return realpath(path.path.c_str(), resolved) == nullptr ? LastPartOf(path.path)
                                                          : LastPartOf(resolved);
}

// One cp. Each part returns false when it has left why in failure_.
class Copy {
 public:
  Copy(const CopyOptions& options, Client& client, const Io& io)
      : options_(options),
        client_(client),
        io_(io),
        remote_(CopyPathOf(options.container_path)),
        local_(CopyPathOf(options.local_path)) {}

  int Run() {
    const bool streams = options_.local_path == kStandardStream;
    bool done = false;
    if (options_.to_container) {
      done = streams ? SendStream() : SendFiles();
    } else {
      done = streams ? ReceiveStream() : ReceiveFiles();
    }
    for (const std::string& file : left_out_) io_.Complain(absl::StrCat("cp: left out: ", file));
    if (done) return kOk;
    if (output_closed_) return kOutputClosed;
    const std::string what = absl::StrCat("cp ", options_.container, ":", options_.container_path);
    if (failure_.own.ok()) return Fail(client_, io_, what, failure_.answer, kFailure);
    io_.Complain(absl::StrCat(what, ": ", failure_.own.message()));
    return kFailure;
  }

 private:
  using FromReader = grpc::ClientReaderInterface<CopyFromResponse>;

  bool SendStream();
  bool SendFiles();
  bool ReceiveStream();
  bool ReceiveFiles();
  bool Unpack(FromReader& reader, grpc::ClientContext& context, const FileStat& source);
  // Makes `start` and what `send` gives to the sink out of a CopyTo.
  bool Send(const std::string& directory,
            const std::function<absl::Status(const TarSink& sink)>& send);
  // What is at a path of the container; a missing one is no failure.
  bool Probe(const std::string& path, bool follow, FileKind* kind, FileStat* found);
  // The same of the destination, whose link is replaced by where it leads.
  bool ProbeDestination(FileKind* kind);
  CopyFromRequest SourceRequest() const {
    CopyFromRequest request;
    request.set_container(options_.container);
    request.set_path(remote_.path);
    // A "/" at its end asks for the directory and not for the link to it.
    request.set_follow_link(options_.follow_link || remote_.is_directory);
    return request;
  }
  bool Refuse(absl::Status status) {
    failure_.own = std::move(status);
    return false;
  }
  bool Answer(grpc::Status status) {
    failure_.answer = std::move(status);
    return failure_.answer.ok();
  }

  const CopyOptions& options_;
  Client& client_;
  const Io& io_;
  CopyPath remote_;
  CopyPath local_;
  Failure failure_;
  std::vector<std::string> left_out_;
  bool output_closed_ = false;
};

bool Copy::Send(const std::string& directory,
                const std::function<absl::Status(const TarSink& sink)>& send) {
  grpc::ClientContext context;
  client_.SetDeadline(context);
  CopyToResponse response;
  auto writer = client_.containers().CopyTo(&context, &response);
  CopyToRequest request;
  request.mutable_start()->set_container(options_.container);
  request.mutable_start()->set_path(directory);
  request.mutable_start()->set_keep_owner(options_.archive);
  absl::Status sent;
  if (writer->Write(request)) {
    sent = send([&](absl::string_view bytes) {
      request.set_data(std::string(bytes));
      return writer->Write(request);  // false: noded has ended the call; Finish tells why
    });
  }
  if (sent.ok()) {
    writer->WritesDone();
  } else {
    context.TryCancel();
  }
  grpc::Status status = writer->Finish();
  return sent.ok() ? Answer(status) : Refuse(sent);
}

bool Copy::SendStream() {
  InputFile input(io_);
  absl::Status opened = input.Open("", io_);
  if (!opened.ok()) return Refuse(opened);
  return Send(remote_.path, [&](const TarSink& sink) -> absl::Status {
    while (true) {
      absl::StatusOr<std::string> piece = input.Read();
      if (!piece.ok()) return piece.status();
      if (piece->empty() || !sink(*piece)) return absl::OkStatus();
    }
  });
}

bool Copy::SendFiles() {
  const bool follow = options_.follow_link || local_.is_directory;
  struct stat source = {};
  if ((follow ? stat : lstat)(local_.path.c_str(), &source) != 0) {
    return Refuse(
        absl::NotFoundError(absl::StrCat("cannot look at ", local_.path, ": ", strerror(errno))));
  }
  FileKind kind = FileKind::kMissing;
  if (!ProbeDestination(&kind)) return false;
  absl::StatusOr<CopyTarget> target =
      PlaceCopy(local_, KindOf(source.st_mode), LocalName(local_), remote_, kind);
  if (!target.ok()) return Refuse(target.status());
  return Send(target->directory, [&](const TarSink& sink) {
    return PackTar(local_.path, target->name, follow, sink, &left_out_);
  });
}

bool Copy::Probe(const std::string& path, bool follow, FileKind* kind, FileStat* found) {
  CopyFromRequest request;
  request.set_container(options_.container);
  request.set_path(path);
  request.set_follow_link(follow);
  grpc::ClientContext context;
  client_.SetDeadline(context);
  auto reader = client_.containers().CopyFrom(&context, request);
  CopyFromResponse response;
  const bool answered = reader->Read(&response) && response.has_stat();
  // Only what it is was of interest. An error must not become CANCELLED.
  if (answered) context.TryCancel();
  grpc::Status status = reader->Finish();
  if (answered) {
    *found = response.stat();
    *kind = KindOf(found->mode());
    return true;
  }
  *kind = FileKind::kMissing;
  if (status.error_code() == grpc::StatusCode::NOT_FOUND &&
      ReasonOf(status) != "CONTAINER_NOT_FOUND") {
    return true;
  }
  if (status.ok()) {
    status = grpc::Status(grpc::StatusCode::INTERNAL, "noded's first answer was not \"stat\"");
  }
  return Answer(status);
}

bool Copy::ProbeDestination(FileKind* kind) {
  FileStat found;
  if (!Probe(remote_.path, remote_.is_directory, kind, &found)) return false;
  if (*kind == FileKind::kMissing || !S_ISLNK(found.mode())) return true;
  // A link is written through, as cp does it. Where it leads within the container only noded can
  // tell; by its name the entry can then be called.
  const std::string& target = found.link_target();
  const std::string parent = ParentOf(remote_.path);
  const std::string path = absl::StartsWith(target, "/")
                               ? target
                               : absl::StrCat(parent == "/" ? "" : parent, "/", target);
  if (!Probe(path, true, kind, &found)) return false;
  remote_.path = CopyPathOf(path).path;
  return true;
}

bool Copy::ReceiveStream() {
  OutputFile output;
  absl::Status opened = output.Open("", io_);
  if (!opened.ok()) return Refuse(opened);
  grpc::ClientContext context;
  client_.SetDeadline(context);
  auto reader = client_.containers().CopyFrom(&context, SourceRequest());
  CopyFromResponse response;
  while (reader->Read(&response)) {
    if (output.error_number() == 0 && !output.Write(response.data())) context.TryCancel();
  }
  grpc::Status status = reader->Finish();
  output_closed_ = output.error_number() == EPIPE;
  if (output.error_number() == 0) return Answer(status);
  return Refuse(
      absl::UnknownError(absl::StrCat("cannot write: ", strerror(output.error_number()))));
}

bool Copy::ReceiveFiles() {
  grpc::ClientContext context;
  client_.SetDeadline(context);
  auto reader = client_.containers().CopyFrom(&context, SourceRequest());
  CopyFromResponse response;
  bool unpacked = true;
  if (reader->Read(&response) && response.has_stat()) {
    unpacked = Unpack(*reader, context, response.stat());
  }
  if (!unpacked) context.TryCancel();
  while (reader->Read(&response)) {  // what stands behind the tar's end
  }
  grpc::Status status = reader->Finish();
  // A tar that ends early is damaged, but why the call ended says more.
  if (unpacked || (!status.ok() && status.error_code() != grpc::StatusCode::CANCELLED)) {
    failure_.own = absl::OkStatus();
    return Answer(status);
  }
  return false;
}

bool Copy::Unpack(FromReader& reader, grpc::ClientContext& context, const FileStat& source) {
  const FileKind kind = LocalKind(local_.path);
  // That of "/" has no name; what is in it has none in front, either.
  const std::string root = source.name() == "/" || source.name() == "." ? "" : source.name();
  absl::StatusOr<CopyTarget> target = PlaceCopy(remote_, KindOf(source.mode()), root, local_, kind);
  if (!target.ok()) return Refuse(target.status());
  if (kind == FileKind::kFile) {
    // A link is written through, as cp does it.
    char resolved[PATH_MAX];
    if (realpath(local_.path.c_str(), resolved) != nullptr) {
      *target = {ParentOf(resolved), LastPartOf(resolved)};
    }
  }
  ScopedFd directory(open(target->directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) {
    return Refuse(absl::FailedPreconditionError(
        absl::StrCat("cannot open the directory ", target->directory, ": ", strerror(errno))));
  }
  UnpackRules rules;
  rules.root = root;
  rules.name = target->name;
  rules.keep_owner = options_.archive;
  CopyFromResponse response;
  bool ended = false;
  auto next = [&]() -> absl::string_view {
    while (!ended) {
      ended = !reader.Read(&response);
      if (!ended && !response.data().empty()) return response.data();
    }
    return "";
  };
  absl::Status status = UnpackTar(next, directory.get(), rules, &left_out_);
  return status.ok() || Refuse(status);
}

}  // namespace

int Run(const CopyOptions& options, Client& client, const Io& io) {
  return Copy(options, client, io).Run();
}

}  // namespace noded::cli
