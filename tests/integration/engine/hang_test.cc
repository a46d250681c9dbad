// A file system that does not answer, as a network mount whose server is gone.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "node/base/unique_fd.h"
#include "tests/integration/engine/await.h"
#include "tests/integration/engine/fixture.h"
#include "tests/patience.h"

namespace noded::test {
namespace {

using node::v1::ContainerSpec;
using ::testing::HasSubstr;

class HangTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (IsSkipped()) return;
    fuse_ = UniqueFd(open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (!fuse_) GTEST_SKIP() << "needs /dev/fuse";
    hung_ = scratch_ + "/hung";
    std::filesystem::create_directory(hung_);
    // Nobody reads what the kernel asks on this descriptor.
    std::string options = absl::StrCat("fd=", fuse_.get(), ",rootmode=40000,user_id=0,group_id=0");
    if (mount("hung", hung_.c_str(), "fuse", 0, options.c_str()) != 0) {
      GTEST_SKIP() << "cannot mount fuse";
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) {
      fuse_.Reset();  // ends the connection: who waits gets an error
      umount2(hung_.c_str(), MNT_FORCE | MNT_DETACH);
    }
    EngineTest::TearDown();
  }

  UniqueFd fuse_;
  std::string hung_;
  bool mounted_ = false;
};

TEST_F(HangTest, HoldsUpWhoWantsItAndNobodyElse) {
  auto bystander = Run(Spec({"sleep", "1000"}));
  ASSERT_TRUE(bystander.ok()) << bystander.status();
  ContainerSpec spec = Spec({"true"});
  spec.add_mounts()->set_target("/mnt");
  spec.mutable_mounts(0)->mutable_bind()->set_source(hung_);
  node::v1::RunContainerRequest request;
  *request.mutable_spec() = spec;
  absl::Mutex mutex;
  std::vector<absl::Status> answers;
  constexpr size_t kCalls = 20;
  for (size_t i = 0; i < kCalls; ++i) {
    engine_->RunContainer(request, [&](absl::StatusOr<node::v1::RunContainerResponse> response) {
      absl::MutexLock lock(&mutex);
      answers.push_back(response.status());
    });
  }
  // All else goes on meanwhile.
  absl::Time before = absl::Now();
  EXPECT_EQ(Exec(bystander->id(), "echo here").out, "here\n");
  EXPECT_TRUE(Stop(bystander->id(), absl::ZeroDuration()).ok());
  EXPECT_LT(absl::Now() - before, Patience(absl::Seconds(3)));
  ASSERT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mutex);
    return answers.size() == kCalls;
  }));
  int named = 0;
  for (const absl::Status& answer : answers) {
    EXPECT_TRUE(absl::IsDeadlineExceeded(answer) || absl::IsUnavailable(answer)) << answer;
    named += absl::StrContains(answer.message(), hung_);
  }
  EXPECT_GT(named, 0);
  // It has been tried, so the next one is told at once, and a container that does not want it runs.
  before = absl::Now();
  absl::Status again = Run(spec).status();
  EXPECT_LT(absl::Now() - before, Patience(absl::Seconds(1)));
  EXPECT_FALSE(again.ok());
}

TEST_F(HangTest, OneHungPathLeavesRoomForOthers) {
  ContainerSpec spec = Spec({"true"});
  spec.add_mounts()->set_target("/mnt");
  spec.mutable_mounts(0)->mutable_bind()->set_source(hung_);
  absl::Status hung = Run(spec).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(hung)) << hung;
  EXPECT_THAT(std::string(hung.message()), HasSubstr(hung_));
  EXPECT_TRUE(absl::IsDeadlineExceeded(Run(spec).status()));
  EXPECT_TRUE(Run(Spec({"true"})).ok());
}

}  // namespace
}  // namespace noded::test
