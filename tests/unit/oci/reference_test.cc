#include "rootfs/oci/reference.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "rootfs/oci/digest.h"

namespace noded::oci {
namespace {

std::string Full(std::string_view text) {
  absl::StatusOr<Reference> reference = ParseReference(text, "docker.io");
  return reference.ok() ? reference->ToString() : std::string(reference.status().message());
}

TEST(ReferenceTest, ShortNames) {
  EXPECT_EQ(Full("busybox"), "docker.io/library/busybox:latest");
  EXPECT_EQ(Full("busybox:1.36"), "docker.io/library/busybox:1.36");
  EXPECT_EQ(Full("grafana/loki"), "docker.io/grafana/loki:latest");
  EXPECT_EQ(Full("index.docker.io/busybox"), "docker.io/library/busybox:latest");
  EXPECT_EQ(ParseReference("app", "registry.lan:5000")->ToString(), "registry.lan:5000/app:latest");
}

TEST(ReferenceTest, Registries) {
  EXPECT_EQ(Full("localhost/a"), "localhost/a:latest");
  EXPECT_EQ(Full("localhost:5000/a/b-c/d__e:V1"), "localhost:5000/a/b-c/d__e:V1");
  EXPECT_EQ(Full("[::1]:5000/a"), "[::1]:5000/a:latest");
  EXPECT_EQ(Full("registry.lan/a.b:x"), "registry.lan/a.b:x");
}

TEST(ReferenceTest, Digests) {
  const std::string digest = Sha256::Of("x").text();
  EXPECT_EQ(Full("busybox@" + digest), "docker.io/library/busybox@" + digest);
  EXPECT_EQ(Full("h:1/b:2@" + digest), "h:1/b:2@" + digest);
  EXPECT_EQ(ParseReference("h:1/b:2@" + digest, "docker.io")->target(), digest);
}

TEST(ReferenceTest, TextIsTakenBack) {
  for (const char* text : {"busybox", "localhost:5000/a/b:c", "a/b/c", "[fe80::1]/x:1"}) {
    absl::StatusOr<Reference> once = ParseReference(text, "docker.io");
    ASSERT_TRUE(once.ok()) << once.status();
    EXPECT_EQ(*ParseReference(once->ToString(), "other"), *once);
  }
}

TEST(ReferenceTest, Familiar) {
  EXPECT_EQ(FamiliarName(*ParseReference("busybox", "docker.io")), "busybox:latest");
  EXPECT_EQ(FamiliarName(*ParseReference("a/b:1", "docker.io")), "a/b:1");
  EXPECT_EQ(FamiliarName(*ParseReference("localhost/a", "docker.io")), "localhost/a:latest");
}

TEST(ReferenceTest, BadOnesNameThePart) {
  for (const char* text : {"", "/", "a//b", "-a", "a-", "A", "a___b", "a..b", "a/",
                           "busybox:", "busybox:.x", "busybox@sha256:12", "UPPER.host/", "a b",
                           "a\nb", "host:port/a", "localhost:123456/a", "..:5/a"}) {
    absl::StatusOr<Reference> reference = ParseReference(text, "docker.io");
    EXPECT_EQ(reference.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_NE(Full("busybox:.x").find("tag"), std::string::npos);
  EXPECT_NE(Full("localhost:123456/a").find("registry"), std::string::npos);
  EXPECT_NE(Full(absl::StrCat("a/", std::string(300, 'b'))).find("repository"), std::string::npos);
}

TEST(DigestTest, KnownValuesAndSpelling) {
  const std::string empty =
      "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  EXPECT_EQ(Sha256::Of("").text(), empty);
  EXPECT_EQ(Digest::Parse(empty)->hex().size(), 64u);
  Sha256 sum;
  sum.Update("a");
  EXPECT_EQ(sum.Result(), Sha256::Of("a"));
  sum.Update("b");
  EXPECT_EQ(sum.Result(), Sha256::Of("ab"));
  std::string upper = empty;
  upper[10] = 'C';
  for (const std::string& text : {std::string(), std::string("sha256:"), upper, empty + "0",
                                  "sha512:" + empty.substr(7), "sha256:../" + empty.substr(10)}) {
    EXPECT_FALSE(Digest::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace noded::oci
