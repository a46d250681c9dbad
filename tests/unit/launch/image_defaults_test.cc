#include "node/launch/image_defaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/base/status.h"
#include "tests/unit/launch/plan_text.h"
#include "tests/unit/launch/specs.h"

namespace noded::launch {
namespace {

using node::v1::ContainerSpec;
using node::v1::ImageConfig;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ImageConfig Config() {
  ImageConfig config;
  config.add_entrypoint("/entry");
  config.add_cmd("serve");
  config.add_cmd("--now");
  return config;
}

ContainerSpec OfImage() {
  ContainerSpec spec;
  spec.mutable_root()->set_image("app:1");
  return spec;
}

TEST(ImageDefaults, TheCommandIsTheImagesUnlessGiven) {
  ContainerSpec spec = OfImage();
  ASSERT_TRUE(ApplyImageConfig(Config(), spec).ok());
  EXPECT_THAT(spec.process().argv(), ElementsAre("/entry", "serve", "--now"));

  spec = OfImage();
  spec.mutable_process()->add_argv("check");
  ASSERT_TRUE(ApplyImageConfig(Config(), spec).ok());
  EXPECT_THAT(spec.process().argv(), ElementsAre("/entry", "check"));
}

TEST(ImageDefaults, AnEntrypointOfTheSpecsGoesWithoutTheImagesCmd) {
  ContainerSpec spec = OfImage();
  spec.mutable_process()->add_entrypoint("sh");
  ASSERT_TRUE(ApplyImageConfig(Config(), spec).ok());
  EXPECT_THAT(spec.process().argv(), ElementsAre("sh"));
  EXPECT_THAT(spec.process().entrypoint(), IsEmpty()) << "it has become a part of argv";

  spec = OfImage();
  spec.mutable_process()->set_no_entrypoint(true);
  spec.mutable_process()->add_argv("ls");
  ASSERT_TRUE(ApplyImageConfig(Config(), spec).ok());
  EXPECT_THAT(spec.process().argv(), ElementsAre("ls"));
}

TEST(ImageDefaults, WithoutAnyCommandTheFieldIsNamed) {
  ContainerSpec spec = OfImage();
  absl::Status status = ApplyImageConfig(ImageConfig(), spec);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("image app:1 has no command of its own"));
  EXPECT_EQ(FieldViolationsOf(status).at(0).field, "spec.process.argv");
}

TEST(ImageDefaults, TheSpecsVariablesGoOverTheImages) {
  ImageConfig config = Config();
  for (const char* entry : {"PATH=/opt/bin", "A=1", "B=2"}) config.add_env(entry);
  ContainerSpec spec = OfImage();
  spec.mutable_process()->add_env("A=mine");
  ASSERT_TRUE(ApplyImageConfig(config, spec).ok());
  EXPECT_THAT(spec.process().env(), ElementsAre("PATH=/opt/bin", "B=2", "A=mine"));
}

TEST(ImageDefaults, WhatTheSpecLeavesOpenIsFilledIn) {
  ImageConfig config = Config();
  config.set_user("app:staff");
  config.set_working_directory("/srv");
  config.set_stop_signal("SIGINT");
  (*config.mutable_labels())["a"] = "image";
  (*config.mutable_labels())["b"] = "image";
  ContainerSpec spec = OfImage();
  (*spec.mutable_labels())["a"] = "spec";
  ASSERT_TRUE(ApplyImageConfig(config, spec).ok());
  EXPECT_EQ(spec.process().user().name(), "app:staff");
  EXPECT_EQ(spec.process().working_directory(), "/srv");
  EXPECT_EQ(spec.stop_signal(), "SIGINT");
  EXPECT_EQ(spec.labels().at("a"), "spec");
  EXPECT_EQ(spec.labels().at("b"), "image");

  spec = OfImage();
  spec.mutable_process()->mutable_user()->set_uid(7);
  spec.mutable_process()->set_working_directory("/mine");
  spec.set_stop_signal("TERM");
  ASSERT_TRUE(ApplyImageConfig(config, spec).ok());
  EXPECT_EQ(spec.process().user().name(), "");
  EXPECT_EQ(spec.process().working_directory(), "/mine");
  EXPECT_EQ(spec.stop_signal(), "TERM");
}

TEST(ImageDefaults, EachVolumeWithoutAMountIsAnAnonymousOne) {
  ImageConfig config = Config();
  config.add_volumes("/data");
  config.add_volumes("/logs/");
  ContainerSpec spec = OfImage();
  node::v1::Mount* mine = spec.add_mounts();
  mine->set_target("/logs");
  mine->mutable_tmpfs();
  ASSERT_TRUE(ApplyImageConfig(config, spec).ok());
  ASSERT_EQ(spec.mounts_size(), 2);
  EXPECT_EQ(spec.mounts(1).target(), "/data");
  EXPECT_TRUE(spec.mounts(1).has_volume());
  EXPECT_EQ(spec.mounts(1).volume().name(), "");
}

TEST(ImageDefaults, AConfigurationThatBreaksARuleIsNamed) {
  ImageConfig config = Config();
  config.set_working_directory("not/absolute");
  ContainerSpec spec = OfImage();
  absl::Status status = ApplyImageConfig(config, spec);
  EXPECT_THAT(status.message(), HasSubstr("with the configuration of image app:1: "));
  EXPECT_EQ(FieldViolationsOf(status).at(0).field, "spec.process.working_directory");
}

TEST(ImageDefaults, MountsOfVolumesAndImagesInThePlan) {
  ContainerSpec spec = MinimalSpec();
  node::v1::Mount* volume = spec.add_mounts();
  volume->set_target("/data");
  volume->mutable_volume()->set_name("db");
  node::v1::Mount* image = spec.add_mounts();
  image->set_target("/tools");
  image->mutable_image()->set_image("tools");
  Inputs inputs = PlainInputs();
  inputs.mount_layers = {{0, {"/volumes/db"}}, {1, {"/layers/b", "/layers/a"}}};
  absl::StatusOr<node::shim::v1::LaunchPlan> plan = CompileLaunchPlan(spec, inputs);
  ASSERT_TRUE(plan.ok()) << plan.status();
  std::vector<std::string> sources = SourceLines(*plan);
  EXPECT_THAT(sources, testing::Contains(HasSubstr("/volumes/db")));
  EXPECT_THAT(sources, testing::Contains(HasSubstr("overlay /layers/b:/layers/a upper= work=")));
}

}  // namespace
}  // namespace noded::launch
