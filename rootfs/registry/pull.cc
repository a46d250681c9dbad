#include "rootfs/registry/pull.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "rootfs/registry/quote.h"

namespace noded::registry {
namespace {

constexpr std::string_view kDocumentTypes[] = {oci::kOciManifest, oci::kOciIndex,
                                               oci::kDockerManifest, oci::kDockerIndex};
// A connection that is cut every few kB is gone on with at once; one that brings nearly nothing
// each time is not.
constexpr int64_t kProgressBytes = 1 << 10;

absl::Status Damaged(std::string_view why) {
  return WithReason(absl::DataLossError(AsAbsl(why)), reason::kContentDamaged);
}

bool IsDocumentType(std::string_view type) {
  for (std::string_view known : kDocumentTypes)
    if (type == known) return true;
  return false;
}

std::string AcceptHeader() {
  std::string header = "Accept: ";
  for (std::string_view type : kDocumentTypes) absl::StrAppend(&header, AsAbsl(type), ", ");
  return header + "*/*;q=0.1";
}

// What the answer says, or, when a server that knows nothing of images says something general, what
// the document says itself.
std::string MediaTypeOf(const HttpAnswer& answer) {
  std::string type = answer.Header("content-type");
  type = std::string(absl::StripAsciiWhitespace(type.substr(0, type.find(';'))));
  if (IsDocumentType(type)) return type;
  const auto document = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return type;
  const auto said = document.find("mediaType");
  if (said == document.end() || !said->is_string()) return type;
  const std::string& inside = said->get_ref<const std::string&>();
  return IsDocumentType(inside) ? inside : type;
}

absl::StatusOr<Resolved> CheckManifest(const oci::Reference& reference, HttpAnswer answer) {
  Resolved resolved;
  resolved.descriptor.digest = oci::Sha256::Of(answer.body);
  resolved.descriptor.size = static_cast<int64_t>(answer.body.size());
  const std::string& got = resolved.descriptor.digest.text();
  if (!reference.digest.empty() && got != reference.digest.text())
    return Damaged(absl::StrCat("sent other bytes, of digest ", got));
  // Of another algorithm it says nothing to us.
  const auto said = oci::Digest::Parse(answer.Header("docker-content-digest"));
  if (said.ok() && said->text() != got)
    return Damaged(absl::StrCat("sent bytes of digest ", got, " and called them ", said->text()));
  resolved.descriptor.media_type = MediaTypeOf(answer);
  if (!IsDocumentType(resolved.descriptor.media_type))
    return WithReason(
        absl::UnimplementedError(absl::StrCat("sent \"", Quoted(resolved.descriptor.media_type),
                                              "\", which is neither manifest nor index")),
        reason::kNotSupported);
  resolved.bytes = std::move(answer.body);
  return resolved;
}

// "bytes 100-199/200" or ".../*"; false when it is none.
bool ParseContentRange(std::string_view text, int64_t& first, int64_t& total) {
  absl::string_view rest = AsAbsl(text);
  if (!absl::ConsumePrefix(&rest, "bytes ")) return false;
  const size_t dash = rest.find('-'), slash = rest.find('/');
  if (dash == rest.npos || slash == rest.npos || slash < dash) return false;
  if (!absl::SimpleAtoi(rest.substr(0, dash), &first)) return false;
  total = -1;
  return rest.substr(slash + 1) == "*" || absl::SimpleAtoi(rest.substr(slash + 1), &total);
}

}  // namespace

absl::StatusOr<Resolved> FetchManifest(Session& session, const oci::Reference& reference) {
  HttpRequest request;
  request.url =
      session.At(absl::StrCat("/", reference.repository, "/manifests/", reference.target()));
  request.headers = {AcceptHeader()};
  request.max_body = oci::kMaxManifestBytes;
  const std::string what = absl::StrCat("manifest of ", reference.ToString());
  Exchange exchange = session.SendPatiently(request);
  if (exchange.failure != Failure::kNone || !exchange.answer.success())
    return session.Refusal(what, exchange);
  const std::string from = exchange.answer.from.Authority();
  auto resolved = CheckManifest(reference, std::move(exchange.answer));
  if (!resolved.ok()) return Annotate(resolved.status(), absl::StrCat(what, ": registry ", from));
  return resolved;
}

absl::StatusOr<int64_t> BeginOfAnswer(const HttpAnswer& answer, int64_t offset, int64_t size) {
  if (answer.status == 206) {
    int64_t first = 0, total = -1;
    if (!ParseContentRange(answer.Header("content-range"), first, total) || first != offset)
      return Damaged(absl::StrCat("sent another range than the one from ", offset));
    if (total >= 0 && total != size)
      return Damaged(absl::StrCat("has ", total, " bytes instead of ", size));
    return first;
  }
  int64_t length = 0;
  if (absl::SimpleAtoi(answer.Header("content-length"), &length) && length != size)
    return Damaged(absl::StrCat("has ", length, " bytes instead of ", size));
  return 0;
}

absl::Status BlobTransfer::Begin(const HttpAnswer& answer) {
  begun_ = true;
  ASSIGN_OR_RETURN(position_, BeginOfAnswer(answer, done_, descriptor_.size));
  return absl::OkStatus();
}

absl::Status BlobTransfer::Take(const HttpAnswer& answer, std::string_view bytes) {
  if (!begun_) RETURN_IF_ERROR(Begin(answer));
  if (static_cast<int64_t>(bytes.size()) > descriptor_.size - position_)
    return Damaged(absl::StrCat("has more than ", descriptor_.size, " bytes"));
  const int64_t end = position_ + static_cast<int64_t>(bytes.size());
  const int64_t known = std::max<int64_t>(done_ - position_, 0);
  position_ = end;
  if (end <= done_) return absl::OkStatus();
  sink_status_ = sink_(bytes.substr(known));
  if (sink_status_.ok()) done_ = end;
  return sink_status_;
}

absl::Status BlobTransfer::From(Session& session) {
  const std::string what =
      absl::StrCat("blob ", descriptor_.digest.text(), " of ", reference_.ToString());
  Retries retries = session.NewRetries();
  const BodySink take = [this](const HttpAnswer& answer, std::string_view bytes) {
    return Take(answer, bytes);
  };
  while (done_ < descriptor_.size) {
    HttpRequest request;
    request.url =
        session.At(absl::StrCat("/", reference_.repository, "/blobs/", descriptor_.digest.text()));
    if (done_ > 0) request.headers.push_back(absl::StrCat("Range: bytes=", done_, "-"));
    const int64_t before = done_;
    begun_ = false;
    Exchange exchange = session.Send(request, take);
    if (!sink_status_.ok()) return sink_status_;
    if (done_ == descriptor_.size && exchange.failure != Failure::kFinal) break;
    if (done_ - before >= kProgressBytes) retries.Progress();
    if (exchange.failure == Failure::kNone && exchange.answer.success()) {
      // Whole in the eyes of HTTP, and yet too short.
      if (!begun_) exchange.status = Begin(exchange.answer);
      exchange.failure = exchange.status.ok() ? Failure::kBroken : Failure::kFinal;
      if (exchange.status.ok())
        exchange.status =
            Damaged(absl::StrCat("ended after ", position_, " of ", descriptor_.size, " bytes"));
    }
    if (!retries.Again(exchange)) return session.Refusal(what, exchange);
  }
  return absl::OkStatus();
}

}  // namespace noded::registry
