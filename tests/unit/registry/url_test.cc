#include "rootfs/registry/url.h"

#include <gtest/gtest.h>

namespace noded::registry {
namespace {

std::string Resolved(const char* base, const char* location) {
  const auto url = ResolveLocation(*ParseUrl(base), location);
  return url.ok() ? url->ToString() : std::string(url.status().message());
}

TEST(Url, PartsOfAnAddress) {
  const Url url = *ParseUrl("HTTPS://Registry.LAN:5000/v2/a?x=1&y=2");
  EXPECT_EQ(url.scheme, "https");
  EXPECT_EQ(url.host, "registry.lan");
  EXPECT_EQ(url.port, 5000);
  EXPECT_EQ(url.path, "/v2/a");
  EXPECT_EQ(url.query, "x=1&y=2");
  EXPECT_EQ(url.ToString(), "https://registry.lan:5000/v2/a?x=1&y=2");
  EXPECT_EQ(url.Shown(), "https://registry.lan:5000/v2/a") << "a query may be a signature";
}

TEST(Url, PortsThatGoWithoutSaying) {
  EXPECT_EQ(ParseUrl("http://a")->port, 80);
  EXPECT_EQ(ParseUrl("https://a")->port, 443);
  EXPECT_EQ(ParseUrl("https://a:443")->Authority(), "a");
  EXPECT_EQ(ParseUrl("http://a:443")->Authority(), "a:443");
  EXPECT_EQ(ParseUrl("http://[::1]:5000")->Authority(), "[::1]:5000");
}

TEST(Url, Refused) {
  for (const char* text : {"", "registry", "ftp://a/", "file:///etc/passwd", "http://",
                           "http://a b/", "http://a/\r\nX: y", "http://user:word@a/",
                           "http://user@a/", "http://a:0/", "http://a:99999/", "//a/"})
    EXPECT_EQ(ParseUrl(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  EXPECT_FALSE(ParseUrl("http://a/" + std::string(20'000, 'x')).ok());
}

TEST(Url, LocationsAreAbsoluteOrRelative) {
  constexpr char kBase[] = "https://r.lan:5000/v2/app/blobs/uploads/?x=1";
  EXPECT_EQ(Resolved(kBase, "/v2/app/blobs/uploads/7?state=z"),
            "https://r.lan:5000/v2/app/blobs/uploads/7?state=z");
  EXPECT_EQ(Resolved(kBase, "7"), "https://r.lan:5000/v2/app/blobs/uploads/7");
  EXPECT_EQ(Resolved(kBase, "https://store.lan/b?sig=1"), "https://store.lan/b?sig=1");
  EXPECT_EQ(Resolved(kBase, "//store.lan/b"), "https://store.lan/b");
  EXPECT_EQ(Resolved(kBase, "file:///etc/passwd"), "address is neither http nor https");
}

TEST(Url, Loopback) {
  for (const char* host : {"localhost", "127.0.0.1", "127.1.2.3", "[::1]"})
    EXPECT_TRUE(IsLoopback(host)) << host;
  for (const char* host :
       {"registry.lan", "128.0.0.1", "127.0.0.1.example", "127.evil.example", "127.0.0",
        "127.0.0.1.1", "127.0.0.256", "127.+0.0.1", "[::2]", "localhost.example", "1127.0.0.1", ""})
    EXPECT_FALSE(IsLoopback(host)) << host;
}

TEST(Url, WhereARedirectMayLead) {
  struct {
    const char *from, *to;
    bool allowed;
  } cases[] = {
      {"https://r.lan/", "https://store.lan/", true},
      {"https://r.lan/", "http://store.lan/", false},  // out of TLS
      {"http://r.lan/", "http://store.lan/", true},
      {"http://r.lan/", "https://store.lan/", true},
      {"http://r.lan/", "http://127.0.0.1:8080/", false},  // a service of this machine
      {"https://r.lan/", "https://localhost/", false},
      {"http://127.0.0.1:5000/", "http://127.0.0.1:5001/", true},
      {"https://localhost:5000/", "http://127.0.0.1:5001/", true},
      {"http://127.0.0.1:5000/", "https://store.lan/", true},
  };
  for (const auto& c : cases)
    EXPECT_EQ(CheckRedirect(*ParseUrl(c.from), *ParseUrl(c.to)).ok(), c.allowed)
        << c.from << " to " << c.to;
}

TEST(Url, AnotherPortIsAnotherOrigin) {
  const Url url = *ParseUrl("https://r.lan/");
  EXPECT_TRUE(url.SameOrigin(*ParseUrl("https://R.lan:443/other?x")));
  EXPECT_FALSE(url.SameOrigin(*ParseUrl("https://r.lan:444/")));
  EXPECT_FALSE(url.SameOrigin(*ParseUrl("http://r.lan:443/")));
  EXPECT_FALSE(url.SameOrigin(*ParseUrl("https://r.lan.example/")));
}

}  // namespace
}  // namespace noded::registry
