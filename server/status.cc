#include "server/status.h"

#include <array>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "node/base/status.h"

namespace noded::server {
namespace {

// A client refuses trailers over 8 KiB by default and then sees RESOURCE_EXHAUSTED instead of our
// answer. The message travels twice: percent-encoded as grpc-message and, with the details, in
// base64 (four bytes for three).
constexpr size_t kMostMessageBytes = 2048;
constexpr size_t kMostDetailBytes = 4096;
constexpr size_t kMostViolationBytes = 256;

// grpc::StatusCode and absl::StatusCode are both google.rpc.Code.
static_assert(static_cast<int>(absl::StatusCode::kNotFound) == grpc::StatusCode::NOT_FOUND);
static_assert(static_cast<int>(absl::StatusCode::kUnauthenticated) ==
              grpc::StatusCode::UNAUTHENTICATED);

// Length of the well-formed UTF-8 sequence at the start of `text` (RFC 3629: no overlong forms, no
// surrogates, nothing past U+10FFFF), 0 when there is none.
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;  // bounds of the second byte
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  }
  if (length == 0 || text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return length;
}

// Bytes of one character in a grpc-message header: printable ASCII but '%' is itself.
size_t EncodedSize(std::string_view character) {
  const char c = character[0];
  return character.size() == 1 && c >= ' ' && c <= '~' && c != '%' ? 1 : 3 * character.size();
}

std::string DetailsOf(const absl::Status& status, const std::string& message) {
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  if (const auto reason = ReasonOf(status)) {
    google::rpc::ErrorInfo info;
    info.set_reason(HeaderText(*reason, kMostViolationBytes));
    info.set_domain("noded");
    details.add_details()->PackFrom(info);
  }
  google::rpc::BadRequest bad_request;
  for (const FieldViolation& violation : FieldViolationsOf(status)) {
    auto* added = bad_request.add_field_violations();
    added->set_field(HeaderText(violation.field, kMostViolationBytes));
    added->set_description(HeaderText(violation.description, kMostViolationBytes));
    // What does not fit is left out: the first violations are named whole.
    if (details.ByteSizeLong() + bad_request.ByteSizeLong() > kMostDetailBytes - 128) {
      bad_request.mutable_field_violations()->RemoveLast();
      break;
    }
  }
  if (bad_request.field_violations_size() > 0) details.add_details()->PackFrom(bad_request);
  return details.details_size() == 0 ? "" : details.SerializeAsString();
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message =
      HeaderText({status.message().data(), status.message().size()}, kMostMessageBytes);
  return {static_cast<grpc::StatusCode>(status.code()), message, DetailsOf(status, message)};
}

std::string_view CodeName(grpc::StatusCode code) {
  static constexpr std::array<std::string_view, 17> kNames = {"OK",
                                                              "CANCELLED",
                                                              "UNKNOWN",
                                                              "INVALID_ARGUMENT",
                                                              "DEADLINE_EXCEEDED",
                                                              "NOT_FOUND",
                                                              "ALREADY_EXISTS",
                                                              "PERMISSION_DENIED",
                                                              "RESOURCE_EXHAUSTED",
                                                              "FAILED_PRECONDITION",
                                                              "ABORTED",
                                                              "OUT_OF_RANGE",
                                                              "UNIMPLEMENTED",
                                                              "INTERNAL",
                                                              "UNAVAILABLE",
                                                              "DATA_LOSS",
                                                              "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < kNames.size() ? kNames[index] : "UNKNOWN";
}

std::string HeaderText(std::string_view text, size_t most_encoded_bytes) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD", kCut = "...";
  std::string result;
  size_t encoded = 0;
  size_t fits = 0;  // length of `result` that leaves room for kCut
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    const std::string_view character = length == 0 ? kReplacement : text.substr(0, length);
    encoded += EncodedSize(character);
    if (encoded > most_encoded_bytes) {
      result.resize(fits);
      return result.append(kCut);
    }
    result.append(character);
    if (encoded + kCut.size() <= most_encoded_bytes) fits = result.size();
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

}  // namespace noded::server
