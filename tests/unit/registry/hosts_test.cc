#include "rootfs/registry/hosts.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/unit/base/scratch.h"

namespace noded::registry {
namespace {

// "api pull,resolve,push [mirror] [guessed]" of each, by the rules.
std::string Picture(const std::vector<std::string>& rules, const std::string& registry) {
  const auto config = HostsConfig::Parse(rules);
  if (!config.ok()) return std::string(config.status().message());
  const auto hosts = config->HostsOf(registry);
  if (!hosts.ok()) return std::string(hosts.status().message());
  std::string picture;
  for (const Host& host : *hosts)
    absl::StrAppend(&picture, host.api.ToString(), host.pull ? " pull" : "",
                    host.resolve ? " resolve" : "", host.push ? " push" : "",
                    host.mirror ? " mirror" : "", host.scheme_is_guessed ? " guessed" : "", "\n");
  return picture;
}

TEST(Hosts, WithoutRulesTheRegistryItself) {
  EXPECT_EQ(Picture({}, "lab.lan:5000"), "https://lab.lan:5000/v2 pull resolve push guessed\n");
  EXPECT_EQ(Picture({}, "docker.io"),
            "https://registry-1.docker.io/v2 pull resolve push guessed\n");
}

TEST(Hosts, MirrorsInOrderThenTheRegistry) {
  EXPECT_EQ(Picture({"docker.io https://one.lan", "quay.io https://q.lan",
                     "docker.io http://two.lan:5000/hub pull"},
                    "docker.io"),
            "https://one.lan/v2 pull resolve mirror\n"
            "http://two.lan:5000/hub/v2 pull mirror\n"
            "https://registry-1.docker.io/v2 pull resolve push guessed\n");
}

TEST(Hosts, ARuleThatNamesTheRegistryStandsForIt) {
  EXPECT_EQ(Picture({"lab.lan:5000 http://lab.lan:5000"}, "lab.lan:5000"),
            "http://lab.lan:5000/v2 pull resolve push\n");
  EXPECT_EQ(Picture({"lab.lan http://lab.lan"}, "lab.lan"),
            "http://lab.lan/v2 pull resolve push\n");
  EXPECT_EQ(Picture({"lab.lan:5000 https://lab.lan"}, "lab.lan:5000"),
            "https://lab.lan/v2 pull resolve mirror\n"
            "https://lab.lan:5000/v2 pull resolve push guessed\n")
      << "another port is another host";
}

TEST(Hosts, NothingAfterLast) {
  EXPECT_EQ(Picture({"docker.io https://one.lan pull,resolve,push last"}, "docker.io"),
            "https://one.lan/v2 pull resolve push mirror\n");
}

TEST(Hosts, OptionsOfAHost) {
  const auto config = HostsConfig::Parse(
      {"a.lan https://b.lan/v2/ ca=/c cert=/d key=/e skip-verify \"header=X-Key: a b\""});
  ASSERT_TRUE(config.ok()) << config.status();
  const Host host = config->HostsOf("a.lan")->front();
  EXPECT_EQ(host.api.path, "/v2");
  EXPECT_EQ(
      host.tls,
      (TlsFiles{.ca_file = "/c", .certificate_file = "/d", .key_file = "/e", .skip_verify = true}));
  EXPECT_EQ(host.headers, std::vector<std::string>{"X-Key: a b"});
  EXPECT_EQ(host.CredentialsName(), "b.lan");
  EXPECT_EQ(config->HostsOf("a.lan")->back().CredentialsName(), "a.lan");
}

TEST(Hosts, RulesThatAreWrong) {
  struct {
    std::vector<std::string> rules;
    const char* why;
  } cases[] = {
      {{""}, "REGISTRY URL"},
      {{"docker.io"}, "REGISTRY URL"},
      {{"docker.io one.lan"}, "URL"},
      {{"docker.io ftp://one.lan"}, "neither http nor https"},
      {{"docker.io https://u:p@one.lan"}, "user or password"},
      {{"docker.io https://one.lan?x=1"}, "query"},
      {{"a/b https://one.lan"}, "no host"},
      {{"docker.io https://one.lan pull,fetch"}, "\"fetch\""},
      {{"docker.io https://one.lan cert=/a"}, "need each other"},
      {{"docker.io http://one.lan skip-verify"}, "plain http"},
      {{"docker.io https://one.lan header=x"}, "NAME: VALUE"},
      {{"docker.io https://one.lan \"header=x: y"}, "quote"},
      {{"docker.io https://one.lan \"header=x: y\r\nz: a\""}, "control character"},
      {{"docker.io https://one.lan last", "docker.io https://two.lan"}, "says last"},
  };
  for (const auto& c : cases) {
    const auto config = HostsConfig::Parse(c.rules);
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << c.rules.back();
    EXPECT_TRUE(absl::StrContains(config.status().message(), c.why)) << config.status();
  }
  EXPECT_FALSE(HostsConfig().HostsOf("no/host").ok());
}

TEST(Hosts, AHeaderIsNotToldInAnError) {
  const auto config = HostsConfig::Parse({"a.lan https://b.lan \"header=X: s3cret\" wrong"});
  EXPECT_FALSE(absl::StrContains(config.status().message(), "s3cret")) << config.status();
}

using HostFiles = ScratchTest;

TEST_F(HostFiles, FilesThatAreThereByHost) {
  Write("lab.lan:5000/ca.crt", "");
  Write("lab.lan:5000/client.cert", "");
  Host host = HostsConfig().HostsOf("lab.lan:5000")->front();
  EXPECT_EQ(FilesOf(host, dir_), (TlsFiles{.ca_file = Path("lab.lan:5000/ca.crt")}))
      << "a certificate without its key is none";
  Write("lab.lan:5000/client.key", "");
  EXPECT_EQ(FilesOf(host, dir_).key_file, Path("lab.lan:5000/client.key"));
  host.tls.ca_file = "/own.crt";
  EXPECT_EQ(FilesOf(host, dir_).ca_file, "/own.crt") << "the rule goes first";
  EXPECT_EQ(FilesOf(HostsConfig().HostsOf("other.lan")->front(), dir_), TlsFiles());
}

}  // namespace
}  // namespace noded::registry
