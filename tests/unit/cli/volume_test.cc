// The commands of volumes against a fake node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/cli/exit_code.h"
#include "clients/cli/proto_time.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

class VolumeCommandsTest : public testing::Test {
 protected:
  FakeNode node_;
};

TEST_F(VolumeCommandsTest, CreatePrintsTheName) {
  node_.volumes().CreateVolume_ = [](const auto& request, auto* response) {
    response->mutable_volume()->set_name(request.name().empty() ? "0123" : request.name());
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"volume", "create", "data"}).out, "data\n");
  EXPECT_EQ(node_.Run({"volume", "create"}).out, "0123\n");
}

TEST_F(VolumeCommandsTest, ListTellsByWhom) {
  node_.volumes().ListVolumes_ = [](const auto& request, auto* response) {
    auto* volume = response->add_volumes();
    *volume->mutable_create_time() = ToProto(FakeNow() - absl::Seconds(5));
    if (request.page_token().empty()) {
      volume->set_name("data");
      volume->add_container_ids("aaaaaaaaaaaaaaaa");
      volume->add_container_ids("bbbbbbbbbbbbbbbb");
      response->set_next_page_token("2");
    } else {
      volume->set_name("other");
    }
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"volume", "ls"}).out,
            "VOLUME NAME   CREATED         USED BY\n"
            "data          5 seconds ago   aaaaaaaaaaaa,bbbbbbbbbbbb\n"
            "other         5 seconds ago   --\n");
  EXPECT_EQ(node_.Run({"volume", "ls", "-q"}).out, "data\nother\n");
  EXPECT_THAT(node_.Run({"volume", "ls", "-o", "json"}).out, HasSubstr("\"name\": \"other\""));
}

TEST_F(VolumeCommandsTest, InspectPrintsWhatItFinds) {
  node_.volumes().GetVolume_ = [](const auto& request, auto* response) {
    if (request.name() == "x") {
      return ErrorWith(StatusCode::NOT_FOUND, "no volume \"x\"", "VOLUME_NOT_FOUND");
    }
    response->mutable_volume()->set_name(request.name());
    return Status::OK;
  };
  Outcome outcome = node_.Run({"volume", "inspect", "a", "x", "b"});
  EXPECT_EQ(outcome.out, "[{\n \"name\": \"a\"\n},\n{\n \"name\": \"b\"\n}]\n");
  EXPECT_EQ(outcome.err,
            "nodectl: volume inspect x: no volume \"x\"\n  nodectl volume ls lists what is "
            "there.\n");
  EXPECT_EQ(outcome.exit_code, kFailure);
}

TEST_F(VolumeCommandsTest, RemoveGoesOnAndForceIsContent) {
  node_.volumes().RemoveVolume_ = [](const auto& request, auto*) {
    if (request.name() == "x") return ErrorWith(StatusCode::NOT_FOUND, "no", "VOLUME_NOT_FOUND");
    if (request.name() == "used") {
      return ErrorWith(StatusCode::FAILED_PRECONDITION, "web has it", "VOLUME_IN_USE");
    }
    return Status::OK;
  };
  Outcome outcome = node_.Run({"volume", "rm", "used", "a"});
  EXPECT_EQ(outcome.out, "a\n");
  EXPECT_THAT(outcome.err, HasSubstr("nodectl: volume rm used: web has it\n"));
  EXPECT_EQ(outcome.exit_code, kFailure);
  EXPECT_EQ(node_.Run({"volume", "rm", "-f", "x"}).exit_code, kOk);
}

TEST_F(VolumeCommandsTest, PruneAsks) {
  node_.volumes().PruneVolumes_ = [](const auto& request, auto* response) {
    EXPECT_FALSE(request.all());
    response->add_removed("0123");
    response->set_reclaimed_bytes(5000);
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"volume", "prune"}, "\n").exit_code, kFailure);
  EXPECT_EQ(node_.Run({"volume", "prune"}, "yes\n").out,
            "Deleted: 0123\nTotal reclaimed space: 5kB\n");
  EXPECT_EQ(node_.Run({"volume", "prune", "--force"}).exit_code, kOk);
}

TEST_F(VolumeCommandsTest, RemovingAContainerMayTakeItsVolumes) {
  node_.containers().Remove_ = [](const auto& request, auto*) {
    EXPECT_TRUE(request.volumes());
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"rm", "-v", "web"}).out, "web\n");
}

}  // namespace
}  // namespace noded::cli
