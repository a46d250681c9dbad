#include "rootfs/registry/authorizer.h"

#include <gtest/gtest.h>

#include "node/base/status.h"

namespace noded::registry {
namespace {

TEST(Authorizer, TokensOfServers) {
  EXPECT_EQ(ParseToken(R"({"token": "a.b-c", "expires_in": 300})")->text, "a.b-c");
  EXPECT_EQ(ParseToken(R"({"token": "a", "expires_in": 300})")->lifetime, absl::Seconds(300));
  EXPECT_EQ(ParseToken(R"({"access_token": "x"})")->text, "x");
  EXPECT_EQ(ParseToken(R"({"access_token": "x"})")->lifetime, absl::Seconds(60));
  EXPECT_EQ(ParseToken(R"({"token": "a", "expires_in": -1e300})")->lifetime, absl::ZeroDuration());
  EXPECT_EQ(ParseToken(R"({"token": "a", "expires_in": 1e300})")->lifetime, absl::Hours(24));
}

TEST(Authorizer, ATokenIsFitForAHeader) {
  for (const char* body : {"", "{}", "[]", R"({"token": ""})", R"({"token": 7})",
                           R"({"token": "a b"})", R"({"token": "a\nX: y"})", R"({"token": "é"})"}) {
    const auto token = ParseToken(body);
    EXPECT_EQ(token.status().code(), absl::StatusCode::kUnauthenticated) << body;
    EXPECT_EQ(ReasonOf(token.status()), reason::kRegistryDenied);
  }
}

TEST(Authorizer, AClientCertificateStaysWithItsHost) {
  const TlsFiles files{
      .ca_file = "/ca", .certificate_file = "/cert", .key_file = "/key", .skip_verify = true};
  const Url api = *ParseUrl("https://r.lan:5000/v2");
  EXPECT_EQ(FilesFor(files, api, *ParseUrl("https://r.lan:5000/other")), files);
  EXPECT_EQ(FilesFor(files, api, *ParseUrl("https://r.lan:5001/other")),
            TlsFiles{.ca_file = "/ca"});
}

TEST(Authorizer, Basic) {
  EXPECT_EQ(BasicAuthorization({.username = "Aladdin", .password = "open sesame"}),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");  // RFC 7617
}

TEST(Authorizer, NothingKnownIsNothingSent) {
  HttpPool pool("test", {absl::Seconds(1), absl::Seconds(1), absl::Seconds(1)});
  Authorizer authorizer(pool);
  Grant ann{.api = *ParseUrl("https://r.lan/v2"), .scopes = {"repository:a:pull"}};
  ann.credentials = {.username = "ann", .password = "s3cret"};
  Grant nobody = ann;
  nobody.credentials = {};
  const Cancel cancel;
  EXPECT_EQ(authorizer.Known(ann), "");
  const auto basic = authorizer.Obtain(ann, "Basic realm=\"x\"", cancel);
  ASSERT_TRUE(basic.ok()) << basic.status();
  EXPECT_EQ(authorizer.Known(ann), *basic);
  EXPECT_EQ(authorizer.Known(nobody), "") << "another caller";
  Grant other = ann;
  other.scopes = {"repository:b:pull"};
  EXPECT_EQ(authorizer.Known(other), "") << "another repository";
  authorizer.Forget(ann, "Basic older");
  EXPECT_EQ(authorizer.Known(ann), *basic);
  authorizer.Forget(ann, *basic);
  EXPECT_EQ(authorizer.Known(ann), "");

  EXPECT_EQ(authorizer.Obtain(nobody, "Basic realm=\"x\"", cancel).status().code(),
            absl::StatusCode::kUnauthenticated);
  for (const char* challenge :
       {"", "Negotiate", "Bearer realm=\"ftp://a/\"", "Bearer service=\"x\""})
    EXPECT_EQ(authorizer.Obtain(ann, challenge, cancel).status().code(),
              absl::StatusCode::kUnauthenticated)
        << challenge;
  EXPECT_EQ(authorizer.Obtain(ann, "Bearer realm=\"http://a.lan/\"", cancel).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace noded::registry
