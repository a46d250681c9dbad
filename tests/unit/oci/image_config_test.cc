#include "rootfs/oci/image_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace noded::oci {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr char kEmptyDigest[] =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// As Docker writes it, with the container that it was committed from, nulls and a health check.
constexpr char kDocker[] = R"({
  "architecture": "arm64", "variant": "v8", "os": "linux", "docker_version": "24.0.7",
  "author": "someone <someone@example.org>",
  "created": "2024-01-31T12:34:56.123456789+01:00",
  "container": "0123", "container_config": {"Hostname": "0123", "Cmd": ["/bin/sh"]},
  "config": {
    "Hostname": "", "Domainname": "", "User": "1000:1000", "AttachStdin": false,
    "ExposedPorts": {"443/tcp": {}, "80/tcp": {}},
    "Tty": false,
    "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"],
    "Cmd": ["serve", "--all"],
    "Healthcheck": {"Test": ["CMD-SHELL", "curl -f http://localhost/ || exit 1"],
                    "Interval": 30000000000, "Timeout": 1500000000, "Retries": 3},
    "ArgsEscaped": true, "Image": "sha256:123",
    "Volumes": {"/var/lib/data": {}, "/cache": {}},
    "WorkingDir": "/srv", "Entrypoint": ["/entry.sh"], "OnBuild": null,
    "Labels": {"org.example.version": "1.2", "empty": ""},
    "StopSignal": "SIGQUIT", "Shell": ["/bin/bash", "-c"]
  },
  "history": [
    {"created": "2024-01-01T00:00:00Z", "created_by": "/bin/sh -c #(nop) ADD file:1 in / "},
    {"created": "2024-01-31T12:34:56Z", "created_by": "CMD [\"serve\"]", "empty_layer": true,
     "author": "a", "comment": "buildkit.dockerfile.v0"}
  ],
  "rootfs": {"type": "layers", "diff_ids": [
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}
})";

TEST(ImageConfigTest, DockersFields) {
  const absl::StatusOr<ImageConfig> read = ParseImageConfig(kDocker);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(ToString(read->platform), "linux/arm64");
  EXPECT_EQ(read->author, "someone <someone@example.org>");
  EXPECT_EQ(absl::FormatTime(*read->created, absl::UTCTimeZone()),
            "2024-01-31T11:34:56.123456789+00:00");
  const RunConfig& config = read->config;
  EXPECT_EQ(config.user, "1000:1000");
  EXPECT_EQ(config.working_directory, "/srv");
  EXPECT_EQ(config.stop_signal, "SIGQUIT");
  EXPECT_THAT(config.env, ElementsAre("PATH=/usr/bin:/bin", "LANG=C.UTF-8"));
  EXPECT_THAT(config.entrypoint, ElementsAre("/entry.sh"));
  EXPECT_THAT(config.cmd, ElementsAre("serve", "--all"));
  EXPECT_THAT(config.shell, ElementsAre("/bin/bash", "-c"));
  EXPECT_THAT(config.exposed_ports, ElementsAre("443/tcp", "80/tcp"));
  EXPECT_THAT(config.volumes, ElementsAre("/cache", "/var/lib/data"));
  EXPECT_THAT(config.labels, ElementsAre(Pair("empty", ""), Pair("org.example.version", "1.2")));
  EXPECT_THAT(config.on_build, IsEmpty());
  const Healthcheck check{{"CMD-SHELL", "curl -f http://localhost/ || exit 1"},
                          absl::Seconds(30),
                          absl::Milliseconds(1500),
                          absl::ZeroDuration(),
                          3};
  EXPECT_EQ(config.healthcheck, check);
  ASSERT_EQ(read->history.size(), 2u);
  EXPECT_FALSE(read->history[0].empty_layer);
  EXPECT_TRUE(read->history[1].empty_layer);
  EXPECT_EQ(read->history[1].comment, "buildkit.dockerfile.v0");
  EXPECT_THAT(read->diff_ids, ElementsAre(*Digest::Parse(kEmptyDigest)));
}

TEST(ImageConfigTest, NullsAndNothing) {
  for (const char* json :
       {"{}", R"({"config":null,"rootfs":null,"history":null,"created":null,"os":null})",
        R"({"config":{"Env":null,"Cmd":null,"Labels":null,"Volumes":null,"Healthcheck":null}})",
        R"({"created":"0001-01-01T00:00:00Z"})"}) {
    const absl::StatusOr<ImageConfig> read = ParseImageConfig(json);
    ASSERT_TRUE(read.ok()) << json << read.status();
    EXPECT_THAT(read->config.env, IsEmpty());
    EXPECT_THAT(read->diff_ids, IsEmpty());
    EXPECT_FALSE(read->created.has_value());
    EXPECT_FALSE(read->config.healthcheck.has_value());
  }
}

TEST(ImageConfigTest, OneWordMayBeAString) {
  const auto read = ParseImageConfig(R"({"config":{"Cmd":"/bin/sh","Entrypoint":"/init"}})");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->config.cmd, ElementsAre("/bin/sh"));
  EXPECT_THAT(read->config.entrypoint, ElementsAre("/init"));
}

TEST(ImageConfigTest, WhatIsWrittenIsReadBackAndAlwaysTheSame) {
  const ImageConfig config = *ParseImageConfig(kDocker);
  const std::string json = ToJson(config);
  const absl::StatusOr<ImageConfig> again = ParseImageConfig(json);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ToJson(*again), json);
  EXPECT_EQ(again->created, config.created);
  EXPECT_EQ(again->config.healthcheck, config.config.healthcheck);
  EXPECT_EQ(again->config.labels, config.config.labels);
  EXPECT_EQ(again->config.volumes, config.config.volumes);
  EXPECT_EQ(again->history.size(), 2u);
  EXPECT_THAT(json, HasSubstr(R"("created":"2024-01-31T11:34:56.123456789Z")"));
  EXPECT_THAT(json, HasSubstr(R"("Interval":30000000000)"));
  EXPECT_THAT(json, HasSubstr(R"("Volumes":{"/cache":{},"/var/lib/data":{}})"));
}

TEST(ImageConfigTest, OldTimesAreReadBack) {
  const auto read = ParseImageConfig(R"({"created":"0024-01-31T12:34:56Z"})");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(ParseImageConfig(ToJson(*read))->created, read->created);
}

TEST(ImageConfigTest, BytesThatAreNoTextDoNotThrow) {
  ImageConfig config;
  config.author = "\xff\xfe";
  EXPECT_THAT(ToJson(config), HasSubstr("\"author\":\"\xEF\xBF\xBD"));
}

TEST(ImageConfigTest, ErrorsNameThePlace) {
  const std::pair<const char*, const char*> bad[] = {
      {R"({"config":[]})", "image configuration: config: must be an object"},
      {R"({"config":{"Env":["A=b",7]}})", "config.Env[1]: must be a string"},
      {R"({"config":{"Labels":{"a":1}}})", "config.Labels.a: must be a string"},
      {R"({"config":{"Volumes":["/a"]}})", "config.Volumes: must be an object"},
      {R"({"config":{"Healthcheck":{"Interval":-1}}})", "Healthcheck.Interval: must not be neg"},
      {R"({"config":{"Healthcheck":{"Interval":"30s"}}})", "Interval: must be a whole number"},
      {R"({"config":{"Healthcheck":{"Retries":9999999999}}})", "Healthcheck.Retries: must be 0"},
      {R"({"created":"yesterday"})", "created: must be a time"},
      {R"({"created":"infinite-future"})", "created: must be a time"},
      {R"({"created":"99999999-01-01T00:00:00Z"})", "created: must be a time"},
      {R"({"created":"9999-12-31T23:59:59-10:00"})", "created: must be a time"},
      {R"({"rootfs":{"type":"squashfs"}})", "rootfs.type: must be \"layers\""},
      {R"({"rootfs":{"diff_ids":["sha256:../.."]}})", "rootfs.diff_ids[0]: digest"},
      {R"({"history":[{"empty_layer":"no"}]})", "history[0].empty_layer: must be true or false"},
  };
  for (const auto& [json, error] : bad) {
    const auto read = ParseImageConfig(json);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << json;
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(error));
  }
}

TEST(ChainIdTest, EachNamesAllBelow) {
  const std::vector<Digest> diffs = {Sha256::Of("a"), Sha256::Of("b"), Sha256::Of("c")};
  const std::vector<Digest> chain = ChainIds(diffs);
  ASSERT_EQ(chain.size(), 3u);
  EXPECT_EQ(chain[0], diffs[0]);
  EXPECT_EQ(chain[1], Sha256::Of(absl::StrCat(diffs[0].text(), " ", diffs[1].text())));
  EXPECT_EQ(chain[2], Sha256::Of(absl::StrCat(chain[1].text(), " ", diffs[2].text())));
  EXPECT_TRUE(ChainIds({}).empty());
}

}  // namespace
}  // namespace noded::oci
