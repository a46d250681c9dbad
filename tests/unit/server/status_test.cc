#include "server/status.h"

#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "node/base/status.h"

namespace noded::server {
namespace {

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TEST(ToGrpcStatus, KeepsEachCode) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status =
        ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "why"));
    EXPECT_EQ(status.error_code(), code);
    EXPECT_EQ(status.error_message(), "why");
    EXPECT_EQ(CodeName(status.error_code()),
              absl::StatusCodeToString(static_cast<absl::StatusCode>(code)));
    EXPECT_EQ(status.error_details(), "") << "nothing to detail";
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_EQ(CodeName(grpc::StatusCode::OK), "OK");
}

TEST(ToGrpcStatus, TellsTheReason) {
  const grpc::Status status = ToGrpcStatus(
      WithReason(absl::NotFoundError("find container web"), reason::kContainerNotFound));
  const google::rpc::Status details = Details(status);
  // python's grpc_status refuses details that differ from the status they come with.
  EXPECT_EQ(details.code(), status.error_code());
  EXPECT_EQ(details.message(), status.error_message());
  ASSERT_EQ(details.details_size(), 1);
  EXPECT_EQ(details.details(0).type_url(), "type.googleapis.com/google.rpc.ErrorInfo");
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "CONTAINER_NOT_FOUND");
  EXPECT_EQ(info.domain(), "noded");
}

TEST(ToGrpcStatus, NamesEveryFieldViolation) {
  Violations violations;
  violations.Add("spec.name", "must not contain '/'");
  violations.Add("spec.process.argv", "must not be empty");
  const google::rpc::Status details = Details(ToGrpcStatus(violations.ToStatus()));
  google::rpc::BadRequest bad_request;
  bool found = false;
  for (const auto& any : details.details()) found |= any.UnpackTo(&bad_request);
  ASSERT_TRUE(found);
  ASSERT_EQ(bad_request.field_violations_size(), 2);
  EXPECT_EQ(bad_request.field_violations(0).field(), "spec.name");
  EXPECT_EQ(bad_request.field_violations(0).description(), "must not contain '/'");
  EXPECT_EQ(bad_request.field_violations(1).field(), "spec.process.argv");
}

// gRPC counts the message percent-encoded, the details in base64.
size_t TrailerBytes(const grpc::Status& status) {
  size_t bytes = status.error_details().size() * 4 / 3;
  for (const unsigned char c : status.error_message()) {
    bytes += c >= ' ' && c <= '~' && c != '%' ? 1 : 3;
  }
  return bytes;
}

TEST(ToGrpcStatus, FitsIntoAClientsHeaderLimitWhateverIsSaid) {
  Violations violations;
  for (int i = 0; i < 1000; ++i) violations.Add(std::string(500, 'f'), std::string(500, '\xFF'));
  for (const std::string& text : {std::string(100'000, 'x'), std::string(100'000, '%'),
                                  std::string(100'000, '\xC3'), std::string(100'000, '\n')}) {
    const grpc::Status status =
        ToGrpcStatus(Annotate(WithReason(violations.ToStatus(), std::string(5000, 'R')), text));
    EXPECT_LT(TrailerBytes(status), 7800u);
    EXPECT_GT(status.error_message().size(), 300u);
    EXPECT_GE(Details(status).details_size(), 2) << "the first violations are there";
  }
}

TEST(HeaderText, ReplacesWhatIsNotUtf8) {
  const std::string bad = "\xEF\xBF\xBD";
  const struct {
    std::string text, want;
  } kCases[] = {
      {"plain", "plain"},
      {"", ""},
      {"gr\xC3\xBC\xC3\x9F", "gr\xC3\xBC\xC3\x9F"},
      {"\xF0\x9F\x90\xB3", "\xF0\x9F\x90\xB3"},
      {"a\xFFz", "a" + bad + "z"},
      {"\xC3", bad},
      {"\xE2\x82", bad + bad},
      {"\xC0\xAF", bad + bad},                      // overlong '/'
      {"\xE0\x80\xAF", bad + bad + bad},            // overlong
      {"\xED\xA0\x80", bad + bad + bad},            // surrogate
      {"\xF4\x90\x80\x80", bad + bad + bad + bad},  // past U+10FFFF
      {std::string("a\0b", 3), std::string("a\0b", 3)},
  };
  for (const auto& c : kCases) EXPECT_EQ(HeaderText(c.text, 1000), c.want) << c.text;
}

TEST(HeaderText, CutsBetweenCharacters) {
  EXPECT_EQ(HeaderText("123456789", 9), "123456789");
  EXPECT_EQ(HeaderText("1234567890", 9), "123456...");
  // Two bytes of UTF-8 are six percent-encoded.
  EXPECT_EQ(HeaderText("\xC3\xBC\xC3\xBC\xC3\xBC", 18), "\xC3\xBC\xC3\xBC\xC3\xBC");
  EXPECT_EQ(HeaderText("\xC3\xBC\xC3\xBC\xC3\xBC", 17), "\xC3\xBC\xC3\xBC...");
  EXPECT_EQ(HeaderText("\xC3\xBC\xC3\xBC\xC3\xBC", 14), "\xC3\xBC...");
}

}  // namespace
}  // namespace noded::server
