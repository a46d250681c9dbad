#include "server/options.h"

#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace noded::server {
namespace {

using ::testing::HasSubstr;

std::string WriteFile(const std::string& text) {
  std::string path = ::testing::TempDir() + "noded-options-XXXXXX";
  ::close(::mkstemp(path.data()));
  std::ofstream(path) << text;
  return path;
}

std::vector<std::string> Addresses(const Options& options) {
  std::vector<std::string> addresses;
  for (const Listener& listener : options.listen) addresses.push_back(listener.Address());
  return addresses;
}

TEST(ParseOptions, HasDefaults) {
  const auto options = ParseOptions({});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->engine.root, "/var/lib/noded");
  EXPECT_EQ(options->engine.state_dir, "/run/noded");
  EXPECT_EQ(options->engine.cgroup_parent, "/noded");
  EXPECT_FALSE(options->cgroup_parent_given);
  EXPECT_EQ(options->engine.cgroup_driver, "auto");
  EXPECT_EQ(options->engine.shim_path, "");
  EXPECT_EQ(options->engine.start_timeout, absl::Seconds(60));
  EXPECT_NE(options->engine.version, "");
  EXPECT_EQ(Addresses(*options), std::vector<std::string>{"unix:///run/noded/noded.sock"});
  EXPECT_FALSE(options->metrics_listen.has_value());
  EXPECT_EQ(options->engine.sample_interval, absl::ZeroDuration());
  EXPECT_TRUE(options->tls.empty());
  EXPECT_FALSE(options->insecure);
  EXPECT_EQ(options->log_level, LogLevel::kInfo);
  EXPECT_EQ(options->log_format, LogFormat::kText);
}

TEST(ParseOptions, TakesEachOption) {
  const auto options = ParseOptions({"--listen",
                                     "unix:///tmp/n.sock",
                                     "--listen=10.0.0.1:7000",
                                     "--root",
                                     "/srv/n",
                                     "--state-dir=/run/n",
                                     "--log-level",
                                     "warn",
                                     "--log-format=json",
                                     "--cgroup-parent",
                                     "/x/y",
                                     "--cgroup-driver",
                                     "v2",
                                     "--tls-cert",
                                     "c",
                                     "--tls-key",
                                     "k",
                                     "--tls-ca",
                                     "a",
                                     "--insecure",
                                     "--shim",
                                     "/opt/node-shim",
                                     "--start-timeout",
                                     "1m30s",
                                     "--no-pressure"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(Addresses(*options), (std::vector<std::string>{"unix:///tmp/n.sock", "10.0.0.1:7000"}));
  EXPECT_EQ(options->engine.root, "/srv/n");
  EXPECT_EQ(options->engine.state_dir, "/run/n");
  EXPECT_EQ(options->engine.cgroup_parent, "/x/y");
  EXPECT_TRUE(options->cgroup_parent_given);
  EXPECT_EQ(options->engine.cgroup_driver, "v2");
  EXPECT_EQ(options->engine.shim_path, "/opt/node-shim");
  EXPECT_EQ(options->engine.start_timeout, absl::Seconds(90));
  EXPECT_FALSE(options->engine.pressure);
  EXPECT_EQ(options->tls.certificate, "c");
  EXPECT_EQ(options->tls.key, "k");
  EXPECT_EQ(options->tls.ca, "a");
  EXPECT_TRUE(options->insecure);
  EXPECT_EQ(options->log_level, LogLevel::kWarning);
  EXPECT_EQ(options->log_format, LogFormat::kJson);
}

TEST(ParseOptions, SocketFollowsTheStateDirectory) {
  const auto options = ParseOptions({"--state-dir", "/run/second"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(Addresses(*options), std::vector<std::string>{"unix:///run/second/noded.sock"});
}

TEST(ParseOptions, TakesWhereToServeMetrics) {
  const auto tcp = ParseOptions({"--metrics-listen", "0.0.0.0:9633"});
  ASSERT_TRUE(tcp.ok()) << tcp.status();
  ASSERT_TRUE(tcp->metrics_listen.has_value());
  EXPECT_EQ(tcp->metrics_listen->Address(), "0.0.0.0:9633");
  EXPECT_EQ(tcp->engine.sample_interval, absl::Seconds(10));
  const auto v6 = ParseOptions({"--metrics-listen=[::1]:0", "--metrics-interval=1m"});
  ASSERT_TRUE(v6.ok()) << v6.status();
  EXPECT_EQ(v6->metrics_listen->Address(), "[::1]:0");
  EXPECT_EQ(v6->engine.sample_interval, absl::Minutes(1));
  const auto file = ParseConfig("metrics-listen = \"unix:///run/m.sock\"\n", "f");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metrics_listen->Address(), "unix:///run/m.sock");
  // Nobody would see the samples.
  const auto nowhere = ParseOptions({"--metrics-interval", "5s"});
  ASSERT_TRUE(nowhere.ok()) << nowhere.status();
  EXPECT_EQ(nowhere->engine.sample_interval, absl::ZeroDuration());
}

TEST(ParseOptions, RefusesWhatIsWrong) {
  const struct {
    std::vector<std::string> args;
    const char* says;
  } kCases[] = {
      {{"--bogus"}, "--bogus"},
      {{"stray"}, "stray"},
      {{"--listen", "127.0.0.1:1", "stray", "--insecure"}, "stray"},
      {{"--root"}, "--root"},
      {{"--root", "relative"}, "--root: must be an absolute path"},
      {{"--root", "/a/../b"}, "\"..\""},
      {{"--root", "/a", "--root", "/b"}, "--root"},
      {{"--state-dir", ""}, "--state-dir"},
      {{"--log-level", "loud"}, "--log-level: loud not in {debug,info,warn,error}"},
      {{"--log-format", "xml"}, "--log-format: xml not in {text,json}"},
      {{"--cgroup-driver", "v3"}, "--cgroup-driver: v3 not in {auto,v1,v2}"},
      {{"--cgroup-parent", "noded"}, "--cgroup-parent: must be an absolute path"},
      {{"--start-timeout", "soon"}, "--start-timeout: must be a duration from 1s to 1h, not soon"},
      {{"--start-timeout", "10ms"}, "--start-timeout"},
      {{"--start-timeout", "2h"}, "--start-timeout"},
      {{"--start-timeout", "inf"}, "--start-timeout"},
      {{"--metrics-listen", "nowhere"}, "--metrics-listen: listen address \"nowhere\""},
      {{"--metrics-listen", "host:99999"}, "the port must be a number from 0 to 65535"},
      {{"--metrics-listen", "node.lab:9633"}, "the host must be an IP address, not node.lab"},
      {{"--metrics-listen", "unix:///a", "--listen", "unix:///a"}, "is --listen's already"},
      {{"--metrics-interval", "10ms"}, "--metrics-interval: must be a duration from 1s to 1h"},
      {{"--metrics-interval", "often"}, "--metrics-interval: must be a duration from 1s to 1h"},
      {{"--tls-cert", "c"}, "all three or none"},
      {{"--tls-cert", "c", "--tls-key", "k"}, "all three or none"},
      {{"--listen", "nowhere"}, "listen address \"nowhere\": must be unix:///path or host:port"},
      {{"--listen", "0.0.0.0:7000"}, "TCP needs --tls-cert, --tls-key and --tls-ca"},
      {{"--listen", "127.0.0.1:7000"}, "or, on loopback, --insecure"},
      {{"--listen", "0.0.0.0:7000", "--insecure"}, "--insecure is for loopback addresses only"},
      {{"--listen", "unix:///a", "--listen", "unix:///a"}, "unix:///a is given twice"},
      {{"--config", "/nonexistent/noded.conf"}, "/nonexistent/noded.conf"},
      {{"--config", "/"}, "--config"},
  };
  for (const auto& c : kCases) {
    const auto options = ParseOptions(c.args);
    ASSERT_FALSE(options.ok()) << c.says;
    EXPECT_EQ(options.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(options.status().message()), HasSubstr(c.says));
  }
}

TEST(ParseOptions, AnswersHelpAndVersion) {
  const auto help = ParseOptions({"--help"});
  ASSERT_TRUE(help.ok()) << help.status();
  EXPECT_THAT(help->answer, HasSubstr("--cgroup-driver"));
  const auto version = ParseOptions({"--version"});
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_THAT(version->answer, HasSubstr("noded 0"));
  EXPECT_EQ(version->answer.back(), '\n');
}

TEST(ParseOptions, CommandLineWinsOverTheFile) {
  const std::string path = WriteFile(
      "root = \"/from/file\"\n"
      "state-dir = \"/run/file\"\n"
      "listen = [\"unix:///file-a\", \"unix:///file-b\"]\n"
      "insecure = true\n");
  const auto plain = ParseOptions({"--config", path});
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->engine.root, "/from/file");
  EXPECT_EQ(Addresses(*plain), (std::vector<std::string>{"unix:///file-a", "unix:///file-b"}));
  EXPECT_TRUE(plain->insecure);

  const auto both =
      ParseOptions({"--root=/from/line", "--config", path, "--listen", "unix:///line"});
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_EQ(both->engine.root, "/from/line");
  EXPECT_EQ(both->engine.state_dir, "/run/file");
  EXPECT_EQ(Addresses(*both), std::vector<std::string>{"unix:///line"});
  ::unlink(path.c_str());
}

TEST(ParseConfig, NamesTheLineOfEachMistake) {
  const struct {
    const char* text;
    const char* says;
  } kCases[] = {
      {"root = \"/a\"\n\nrot = \"/b\"\n", "f:3: unknown key \"rot\""},
      {"config = \"x\"", "f:1: unknown key \"config\""},
      {"help = true", "f:1: unknown key \"help\""},
      {"version = true", "f:1: unknown key \"version\""},
      {"\nlog-level = \"loud\"", "f:2: --log-level: loud not in"},
      {"insecure = 'perhaps'", "f:1: "},
      {"root = [\"/a\", \"/b\"]", "f:1: \"root\" takes one value, not an array"},
      {"root = []", "f:1: \"root\" takes one value, not an array"},
      {"root = relative", "f:1: --root: must be an absolute path"},
      {"[noded]", "f:1: there are no sections"},
      {"listen = \"0.0.0.0:1\"", "TCP needs"},
  };
  for (const auto& c : kCases) {
    const auto options = ParseConfig(c.text, "f");
    EXPECT_EQ(options.status().code(), absl::StatusCode::kInvalidArgument) << c.text;
    EXPECT_THAT(std::string(options.status().message()), HasSubstr(c.says)) << c.text;
  }
}

}  // namespace
}  // namespace noded::server
