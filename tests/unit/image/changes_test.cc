#include "rootfs/image/changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/base/status.h"

namespace noded::image {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

absl::Status Apply(std::vector<std::string> changes, oci::RunConfig& config) {
  google::protobuf::RepeatedPtrField<std::string> list(changes.begin(), changes.end());
  return ApplyChanges(list, config);
}

oci::RunConfig After(std::vector<std::string> changes) {
  oci::RunConfig config;
  absl::Status status = Apply(std::move(changes), config);
  EXPECT_TRUE(status.ok()) << status;
  return config;
}

TEST(ChangesTest, CommandsAsListsAndAsLines) {
  EXPECT_THAT(After({"CMD [\"sh\", \"-c\", \"a b\"]"}).cmd, ElementsAre("sh", "-c", "a b"));
  EXPECT_THAT(After({"cmd echo a b"}).cmd, ElementsAre("/bin/sh", "-c", "echo a b"));
  oci::RunConfig both = After({"CMD [\"x\"]", "ENTRYPOINT [\"/e\"]"});
  EXPECT_THAT(both.entrypoint, ElementsAre("/e"));
  EXPECT_THAT(both.cmd, ElementsAre("x")) << "of the same call, whichever comes first";
}

TEST(ChangesTest, ANewEntrypointDropsTheOldCmd) {
  oci::RunConfig config;
  config.cmd = {"old"};
  ASSERT_TRUE(Apply({"ENTRYPOINT [\"/e\"]"}, config).ok());
  EXPECT_THAT(config.cmd, IsEmpty());
}

TEST(ChangesTest, VariablesAndLabels) {
  oci::RunConfig config;
  config.env = {"A=1", "B=2"};
  ASSERT_TRUE(
      Apply({"ENV B=\"two words\" C='x'", "ENV D the rest of it", "LABEL a=b"}, config).ok());
  EXPECT_THAT(config.env, ElementsAre("A=1", "B=two words", "C=x", "D=the rest of it"));
  EXPECT_EQ(config.labels.at("a"), "b");
}

TEST(ChangesTest, TheOthers) {
  oci::RunConfig config = After({"EXPOSE 80 53/udp", "VOLUME /b /a", "VOLUME [\"/c d\"]", "USER me",
                                 "WORKDIR /a", "WORKDIR b", "STOPSIGNAL INT", "ONBUILD RUN x"});
  EXPECT_THAT(config.exposed_ports, ElementsAre("53/udp", "80/tcp"));
  EXPECT_THAT(config.volumes, ElementsAre("/a", "/b", "/c d"));
  EXPECT_EQ(config.user, "me");
  EXPECT_EQ(config.working_directory, "/a/b");
  EXPECT_EQ(config.stop_signal, "INT");
  EXPECT_THAT(config.on_build, ElementsAre("RUN x"));
}

TEST(ChangesTest, WhatIsWrongIsNamed) {
  oci::RunConfig config;
  absl::Status status = Apply({"CMD", "RUN x", "ENV A=1 =2", "ENV A=\"open", "USER ok"}, config);
  std::vector<FieldViolation> violations = FieldViolationsOf(status);
  ASSERT_EQ(violations.size(), 4u) << status;
  EXPECT_EQ(violations[0].field, "changes[0]");
  EXPECT_EQ(violations[1].field, "changes[1]");
  EXPECT_EQ(violations[3].field, "changes[3]");
}

}  // namespace
}  // namespace noded::image
