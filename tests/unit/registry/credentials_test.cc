#include "rootfs/registry/credentials.h"

#include <sys/stat.h>

#include "absl/strings/match.h"
#include "tests/unit/base/scratch.h"

namespace noded::registry {
namespace {

TEST(CredentialsOfConfigJson, TheUsualForms) {
  const auto found = ParseCredentials(R"({
    "auths": {
      "https://index.docker.io/v1/": {"auth": "YW5uOnMzY3JldDp4"},
      "lab.lan:5000": {"username": "bob", "password": "word"},
      "https://quay.io/v2/": {"identitytoken": "refresh", "auth": "PHRva2VuPjo="},
      "helped.lan": {}
    },
    "credsStore": "desktop"})");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->size(), 3u);
  EXPECT_TRUE(found->at("docker.io") == (Credentials{.username = "ann", .password = "s3cret:x"}));
  EXPECT_TRUE(found->at("lab.lan:5000") == (Credentials{.username = "bob", .password = "word"}));
  EXPECT_EQ(found->at("quay.io").identity_token, "refresh");
  EXPECT_TRUE(ParseCredentials("{}")->empty());
}

TEST(CredentialsOfConfigJson, WhatIsWrongIsNamedButNotShown) {
  for (const char* text :
       {"", "[]", R"({"auths": 1})", R"({"auths": {"a": "s3cret"}})",
        R"({"auths": {"a": {"auth": "s3cret!"}}})", R"({"auths": {"a": {"auth": "czNjcmV0"}}})",
        R"({"auths": {"a": {"username": "x", "password": "s3cret\r\nX: y"}}})",
        R"({"auths": {"a": {"username": 1}}})"}) {
    const auto status = ParseCredentials(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_FALSE(absl::StrContains(status.message(), "s3cret")) << status;
  }
}

using CredentialsFileTest = ScratchTest;

TEST_F(CredentialsFileTest, MissingIsNoneAndBrokenIsAnError) {
  EXPECT_TRUE(ReadCredentialsFile("")->by_registry.empty());
  EXPECT_TRUE(ReadCredentialsFile(Path("none"))->by_registry.empty());
  Write("broken", "{");
  const auto broken = ReadCredentialsFile(Path("broken"));
  EXPECT_EQ(broken.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(broken.status().message(), Path("broken"))) << broken.status();
}

TEST_F(CredentialsFileTest, TellsWhetherOthersMayReadIt) {
  Write("config.json", "{}");
  ASSERT_EQ(chmod(Path("config.json").c_str(), 0644), 0);
  EXPECT_TRUE(ReadCredentialsFile(Path("config.json"))->readable_by_others);
  ASSERT_EQ(chmod(Path("config.json").c_str(), 0600), 0);
  EXPECT_FALSE(ReadCredentialsFile(Path("config.json"))->readable_by_others);
}

TEST(CredentialsInText, AreReplaced) {
  const Credentials ann{.username = "ann", .password = "s3cret"};
  EXPECT_EQ(Redacted("ann:s3cret is YW5uOnMzY3JldA==, s3cret!", ann),
            "ann:[redacted] is [redacted], [redacted]!");
  EXPECT_EQ(Redacted("refresh", {.identity_token = "refresh"}), "[redacted]");
  EXPECT_EQ(Redacted("nothing", {}), "nothing");
}

}  // namespace
}  // namespace noded::registry
