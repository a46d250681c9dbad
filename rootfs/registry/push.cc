#include "rootfs/registry/push.h"

#include "absl/strings/str_cat.h"
#include "node/base/status.h"
#include "node/base/string_view.h"

namespace noded::registry {
namespace {

std::string BlobName(const oci::Reference& reference, const oci::Digest& digest) {
  return absl::StrCat("blob ", digest.text(), " of ", reference.ToString());
}

// The registry's own name for what it was sent, where it tells one.
absl::Status CheckDigest(const HttpAnswer& answer, const oci::Digest& sent) {
  const auto said = oci::Digest::Parse(answer.Header("docker-content-digest"));
  if (!said.ok() || *said == sent) return absl::OkStatus();
  return WithReason(absl::DataLossError(absl::StrCat("registry ", answer.from.Authority(),
                                                     " received it as ", said->text())),
                    reason::kContentDamaged);
}

void AddQuery(Url& url, std::string_view parameter) {
  absl::StrAppend(&url.query, url.query.empty() ? "" : "&", AsAbsl(parameter));
}

Url UploadsOf(const Session& session, const oci::Reference& reference) {
  return session.At(absl::StrCat("/", reference.repository, "/blobs/uploads/"));
}

// Where the answer says that the upload goes on.
absl::StatusOr<Url> UploadLocation(const HttpAnswer& answer) {
  ASSIGN_OR_RETURN(Url url, ResolveLocation(answer.from, answer.Header("location")));
  RETURN_IF_ERROR(CheckRedirect(answer.from, url));
  return url;
}

}  // namespace

absl::StatusOr<bool> HasBlob(Session& session, const oci::Reference& reference,
                             const oci::Digest& digest) {
  HttpRequest request;
  request.method = "HEAD";
  request.url = session.At(absl::StrCat("/", reference.repository, "/blobs/", digest.text()));
  const Exchange exchange = session.SendPatiently(request);
  if (exchange.failure == Failure::kNone && exchange.answer.success()) return true;
  if (exchange.failure == Failure::kNone && exchange.answer.status == 404) return false;
  return session.Refusal(BlobName(reference, digest), exchange);
}

absl::StatusOr<bool> MountBlob(Session& session, const oci::Reference& reference,
                               const oci::Digest& digest, const std::string& from) {
  HttpRequest request;
  request.method = "POST";
  request.url = UploadsOf(session, reference);
  AddQuery(request.url, absl::StrCat("mount=", digest.text(), "&from=", from));
  const Exchange exchange = session.SendPatiently(request);
  if (exchange.failure == Failure::kNone && exchange.answer.status == 201) return true;
  if (exchange.failure != Failure::kNone || exchange.answer.status != 202)
    return session.Refusal(BlobName(reference, digest), exchange);
  // It has begun an upload instead, which would stay there half begun.
  if (auto url = UploadLocation(exchange.answer); url.ok()) {
    HttpRequest end;
    end.method = "DELETE";
    end.url = *std::move(url);
    session.Send(end);
  }
  return false;
}

absl::Status UploadBlob(Session& session, const oci::Reference& reference,
                        const oci::Descriptor& descriptor, int fd,
                        RegistryClient::Progress progress) {
  const std::string what = BlobName(reference, descriptor.digest);
  Retries retries = session.NewRetries();
  for (;;) {
    HttpRequest begin;
    begin.method = "POST";
    begin.url = UploadsOf(session, reference);
    Exchange exchange = session.SendPatiently(begin);
    if (exchange.failure != Failure::kNone || exchange.answer.status != 202)
      return session.Refusal(what, exchange);
    auto location = UploadLocation(exchange.answer);
    if (!location.ok()) return Annotate(location.status(), absl::StrCat(what, ": upload location"));
    HttpRequest put;
    put.method = "PUT";
    put.url = *std::move(location);
    AddQuery(put.url, absl::StrCat("digest=", descriptor.digest.text()));
    put.headers = {"Content-Type: application/octet-stream"};
    put.body_fd = fd;
    put.body_fd_bytes = descriptor.size;
    put.sent = [&](int64_t bytes) { progress(bytes); };
    exchange = session.Send(put);
    if (exchange.failure == Failure::kNone && exchange.answer.success())
      return Annotate(CheckDigest(exchange.answer, descriptor.digest), what);
    if (!retries.Again(exchange)) return session.Refusal(what, exchange);
  }
}

absl::StatusOr<oci::Digest> PutManifest(Session& session, const oci::Reference& reference,
                                        const oci::Descriptor& descriptor, std::string_view bytes) {
  const std::string what = absl::StrCat("manifest of ", reference.ToString());
  const std::string& name = reference.tag.empty() ? descriptor.digest.text() : reference.tag;
  HttpRequest request;
  request.method = "PUT";
  request.url = session.At(absl::StrCat("/", reference.repository, "/manifests/", name));
  request.headers = {absl::StrCat("Content-Type: ", descriptor.media_type)};
  request.body = bytes;
  const Exchange exchange = session.SendPatiently(request);
  if (exchange.failure != Failure::kNone || !exchange.answer.success())
    return session.Refusal(what, exchange);
  if (absl::Status status = CheckDigest(exchange.answer, descriptor.digest); !status.ok())
    return Annotate(status, what);
  return descriptor.digest;
}

}  // namespace noded::registry
