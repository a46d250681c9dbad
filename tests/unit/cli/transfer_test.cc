// pull, push, and the pulls of run and create, against a fake node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/cli/exit_code.h"
#include "tests/unit/cli/fake_node.h"

namespace noded::cli {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;
using testing::StartsWith;

class TransferTest : public testing::Test {
 protected:
  TransferTest() {
    node_.Set("NODECTL_CONFIG", scratch_ / "config.json");
    node_.images().PullImage_ = [this](const auto& request, auto& writer) {
      pulled_.push_back(request);
      node::v1::PullImageResponse response;
      auto* progress = response.add_progress();
      progress->set_digest("sha256:aaaaaaaaaaaaaaaaaa");
      progress->set_state(node::v1::TRANSFER_STATE_DOWNLOADING);
      progress->set_total_bytes(1000);
      writer.Write(response);
      progress->set_current_bytes(500);
      writer.Write(response);
      progress->set_state(node::v1::TRANSFER_STATE_DONE);
      writer.Write(response);
      response.Clear();
      response.mutable_image()->set_id("sha256:1234");
      response.mutable_image()->set_manifest_digest("sha256:5678");
      response.mutable_image()->add_references("docker.io/library/other:1");
      response.mutable_image()->add_references("docker.io/library/busybox:latest");
      response.set_already_present(present_);
      writer.Write(response);
      here_ = true;
      return pull_error_;
    };
    node_.images().GetImage_ = [this](const auto&, auto* response) {
      response->mutable_image()->set_platform("linux/amd64");
      return here_ ? Status::OK : NotThere();
    };
    node_.containers().CreateContainer_ = [this](const auto&, auto* response) {
      ++creations_;
      response->mutable_container()->set_id("cccc");
      return here_ ? Status::OK : NotThere();
    };
    node_.containers().RunContainer_ = [this](const auto&, auto* response) {
      ++creations_;
      response->mutable_container()->set_id("cccc");
      return here_ ? Status::OK : NotThere();
    };
  }
  static Status NotThere() {
    return ErrorWith(StatusCode::NOT_FOUND, "no image \"busybox\"", "IMAGE_NOT_FOUND");
  }
  void Login(const std::string& registry) {
    ASSERT_EQ(node_.Run({"login", "-u", "me", "-p", "secret", registry}).exit_code, kOk);
  }

  ScratchDirectory scratch_;
  std::vector<node::v1::PullImageRequest> pulled_;
  bool present_ = false;
  bool here_ = false;
  int creations_ = 0;
  Status pull_error_;
  FakeNode node_;
};

TEST_F(TransferTest, PullPrintsLinesWhenPiped) {
  Outcome outcome = node_.Run({"pull", "--platform", "linux/arm64", "busybox"});
  EXPECT_EQ(outcome.out,
            "aaaaaaaaaaaa: Downloading 1kB\n"
            "aaaaaaaaaaaa: Done 1kB\n"
            "Digest: sha256:5678\n"
            "Status: Downloaded newer image for docker.io/library/busybox:latest\n"
            "docker.io/library/busybox:latest\n");
  EXPECT_EQ(outcome.exit_code, kOk);
  EXPECT_EQ(pulled_[0].ShortDebugString(), R"(image: "busybox" platform: "linux/arm64")");
  present_ = true;
  EXPECT_THAT(node_.Run({"pull", "busybox"}).out, HasSubstr("Status: Image is up to date for"));
}

TEST_F(TransferTest, QuietPullPrintsTheNameAndJsonTheMessages) {
  EXPECT_EQ(node_.Run({"pull", "-q", "busybox"}).out, "docker.io/library/busybox:latest\n");
  std::string json = node_.Run({"pull", "-o", "json", "busybox"}).out;
  EXPECT_THAT(json, StartsWith(R"({"progress":[{"digest":"sha256:aaaaaaaaaaaaaaaaaa","state")"));
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 4);
}

TEST_F(TransferTest, CredentialsGoWithTheNameOfTheirRegistryOnly) {
  Login("registry.lab:5000");
  node_.Run({"pull", "registry.lab:5000/app"});
  EXPECT_EQ(pulled_.back().credentials().ShortDebugString(),
            R"(username: "me" password: "secret")");
  Login("docker.io");
  for (const char* other : {"registry.lab/app", "app", "evil.lab/registry.lab:5000/app"}) {
    node_.Run({"pull", other});
    EXPECT_FALSE(pulled_.back().has_credentials()) << other;
  }
}

TEST_F(TransferTest, AFailedPullSaysWhatToDo) {
  pull_error_ = ErrorWith(StatusCode::PERMISSION_DENIED, "registry.lab: denied", "REGISTRY_DENIED");
  Outcome outcome = node_.Run({"pull", "registry.lab/app"});
  EXPECT_THAT(outcome.err, StartsWith("nodectl: pull registry.lab/app: registry.lab: denied\n"));
  EXPECT_THAT(outcome.err, HasSubstr("nodectl login REGISTRY"));
  EXPECT_EQ(outcome.exit_code, kFailure);
}

TEST_F(TransferTest, AConfigThatCannotBeReadIsNamed) {
  WriteFile(scratch_ / "config.json", "{");
  Outcome outcome = node_.Run({"pull", "registry.lab/app"});
  EXPECT_THAT(outcome.err, HasSubstr("config.json: no JSON object"));
  EXPECT_EQ(outcome.exit_code, kFailure);
  EXPECT_TRUE(pulled_.empty());
}

TEST_F(TransferTest, PushShowsProgressAndDigest) {
  Login("host:5000");
  node_.images().PushImage_ = [](const auto& request, auto& writer) {
    EXPECT_EQ(request.image(), "host:5000/app:1");
    EXPECT_EQ(request.credentials().username(), "me");
    node::v1::PushImageResponse response;
    auto* progress = response.add_progress();
    progress->set_digest("sha256:aaaaaaaaaaaaaaaaaa");
    progress->set_state(node::v1::TRANSFER_STATE_PRESENT);
    writer.Write(response);
    response.Clear();
    response.set_digest("sha256:5678");
    writer.Write(response);
    return Status::OK;
  };
  EXPECT_EQ(node_.Run({"push", "host:5000/app:1"}).out,
            "aaaaaaaaaaaa: Present\nhost:5000/app:1: digest: sha256:5678\n");
  EXPECT_EQ(node_.Run({"push", "-q", "host:5000/app:1"}).out, "host:5000/app:1\n");
}

TEST_F(TransferTest, RunPullsWhatIsMissing) {
  Outcome outcome = node_.Run({"run", "-d", "--platform", "linux/amd64", "busybox"});
  EXPECT_EQ(outcome.out, "cccc\n") << "nothing of the pull";
  EXPECT_EQ(outcome.err,
            "Pulling busybox\naaaaaaaaaaaa: Downloading 1kB\naaaaaaaaaaaa: Done 1kB\n");
  EXPECT_EQ(outcome.exit_code, kOk);
  EXPECT_THAT(pulled_, testing::SizeIs(1));
  EXPECT_EQ(pulled_[0].platform(), "linux/amd64");
}

TEST_F(TransferTest, CreateAsksOnceWhenTheImageIsThere) {
  here_ = true;
  EXPECT_EQ(node_.Run({"create", "busybox"}).out, "cccc\n");
  EXPECT_EQ(creations_, 1);
  EXPECT_TRUE(pulled_.empty());
  here_ = false;
  EXPECT_EQ(node_.Run({"create", "busybox"}).out, "cccc\n");
  EXPECT_EQ(creations_, 3);
  EXPECT_THAT(pulled_, testing::SizeIs(1));
}

TEST_F(TransferTest, PullAlwaysPullsFirstAndNeverDoesNot) {
  here_ = true;
  node_.Run({"create", "--pull", "always", "busybox"});
  EXPECT_THAT(pulled_, testing::SizeIs(1));
  node_.Run({"create", "--pull", "always", "sha256:1234"});
  EXPECT_THAT(pulled_, testing::SizeIs(1)) << "an id is of no registry";
  here_ = false;
  Outcome outcome = node_.Run({"create", "--pull", "never", "busybox"});
  EXPECT_THAT(outcome.err, StartsWith("nodectl: create: no image \"busybox\"\n"));
  EXPECT_EQ(outcome.exit_code, kAgentError);
  EXPECT_THAT(pulled_, testing::SizeIs(1));
  EXPECT_EQ(node_.Run({"run", "--dry-run", "busybox"}).exit_code, kAgentError);
  EXPECT_THAT(pulled_, testing::SizeIs(1)) << "a dry run changes nothing";
}

TEST_F(TransferTest, AnotherPlatformIsPulled) {
  here_ = true;
  node_.Run({"create", "--platform", "linux/amd64", "busybox"});
  EXPECT_TRUE(pulled_.empty());
  node_.Run({"create", "--platform", "linux/arm64", "busybox"});
  ASSERT_THAT(pulled_, testing::SizeIs(1));
  EXPECT_EQ(pulled_[0].platform(), "linux/arm64");
}

TEST_F(TransferTest, ImagesThatAreMountedArePulledToo) {
  node_.Run({"create", "--mount", "type=image,src=data:1,dst=/d", "--rootfs", "/r", "true"});
  ASSERT_THAT(pulled_, testing::SizeIs(1));
  EXPECT_EQ(pulled_[0].image(), "data:1");
}

TEST_F(TransferTest, AFailedPullIsTheAgentsFailureForRun) {
  pull_error_ = ErrorWith(StatusCode::UNAVAILABLE, "cannot reach x", "REGISTRY_UNREACHABLE");
  for (const char* flag : {"--rm", "-d"}) {
    here_ = false;
    Outcome outcome = node_.Run({"run", flag, "busybox"});
    EXPECT_THAT(outcome.err, HasSubstr("nodectl: run: cannot reach x\n"));
    EXPECT_EQ(outcome.exit_code, kAgentError);
  }
}

}  // namespace
}  // namespace noded::cli
