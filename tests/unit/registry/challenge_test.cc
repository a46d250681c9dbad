#include "rootfs/registry/challenge.h"

#include <gtest/gtest.h>

namespace noded::registry {
namespace {

// "scheme{name=value,...}" of each.
std::string Picture(std::string_view header) {
  std::string picture;
  for (const Challenge& challenge : ParseChallenges(header)) {
    picture += challenge.scheme + "{";
    for (const auto& [name, value] : challenge.parameters) picture += name + "=" + value + ";";
    picture += "}";
  }
  return picture;
}

TEST(Challenge, WhatRegistriesSend) {
  EXPECT_EQ(Picture(R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",)"
                    R"(scope="repository:library/busybox:pull,push")"),
            "bearer{realm=https://auth.docker.io/token;"
            "scope=repository:library/busybox:pull,push;service=registry.docker.io;}");
  EXPECT_EQ(Picture(R"(Basic realm="basic-realm")"), "basic{realm=basic-realm;}");
  EXPECT_EQ(Picture("BASIC"), "basic{}");
}

TEST(Challenge, SeveralInOneHeader) {
  EXPECT_EQ(Picture(R"(Negotiate YWJj==, Basic realm="a", Bearer realm="b", service="c")"),
            "negotiate{}basic{realm=a;}bearer{realm=b;service=c;}");
}

TEST(Challenge, QuotesAndBlanks) {
  EXPECT_EQ(Picture(R"(Basic realm = "a \"quoted\", b\\" ,  x=y)"),
            R"(basic{realm=a "quoted", b\;x=y;})");
  EXPECT_EQ(Picture("Bearer realm=https://a.example/token,service=s"),
            "bearer{realm=https://a.example/token;service=s;}");
}

TEST(Challenge, WhatNobodyUnderstandsIsLeftAside) {
  EXPECT_EQ(Picture(""), "");
  EXPECT_EQ(Picture("realm=\"no scheme\""), "");
  EXPECT_EQ(Picture(",,, \x01\x02, Basic realm=\"a\""), "basic{realm=a;}");
  EXPECT_EQ(Picture("Basic realm=\"it does not end"), "basic{realm=it does not end;}");
  EXPECT_EQ(Picture("Basic realm="), "basic{}");
}

TEST(Challenge, CountsAreBounded) {
  std::string many, wide = "Basic a=1";
  for (int i = 0; i < 100; ++i) many += "Basic, ";
  for (int i = 0; i < 100; ++i) wide += ", a" + std::to_string(i) + "=1";
  EXPECT_EQ(ParseChallenges(many).size(), kMaxChallenges);
  EXPECT_EQ(ParseChallenges(wide)[0].parameters.size(), kMaxChallenges);
}

TEST(Challenge, APasswordIsNotSentInTheClearForARegistryOverTls) {
  const Url tls = *ParseUrl("https://registry.lan/v2"), plain = *ParseUrl("http://registry.lan/v2");
  EXPECT_EQ(CheckRealm(tls, *ParseUrl("https://auth.lan/token")), absl::OkStatus());
  EXPECT_EQ(CheckRealm(tls, *ParseUrl("http://auth.lan/token")).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CheckRealm(tls, *ParseUrl("http://127.0.0.1/token")), absl::OkStatus());
  EXPECT_EQ(CheckRealm(plain, *ParseUrl("http://auth.lan/token")), absl::OkStatus());
}

}  // namespace
}  // namespace noded::registry
