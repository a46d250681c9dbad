#include "node/operation_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace noded {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A queue whose work is run by hand, so that a test decides what comes when.
class OperationQueueTest : public ::testing::Test {
 protected:
  static constexpr size_t kMost = 2;

  OperationQueueTest()
      : queue_(std::make_shared<OperationQueue>(
            [this](std::function<void()> work) { dispatched_.push_back(std::move(work)); },
            kMost)) {}

  // An operation that writes its name down and holds the queue until Finish(name).
  OperationQueue::Operation Named(const std::string& name) {
    return [this, name](OperationQueue::Finished finished) {
      began_.push_back(name);
      under_way_ = std::move(finished);
    };
  }
  void RunDispatched() {
    std::vector<std::function<void()>> work;
    work.swap(dispatched_);
    for (auto& one : work) one();
  }
  void Finish() {
    auto finished = std::move(under_way_);
    under_way_ = nullptr;
    finished();
  }

  std::vector<std::function<void()>> dispatched_;
  std::vector<std::string> began_;
  OperationQueue::Finished under_way_;
  std::shared_ptr<OperationQueue> queue_;
};

TEST_F(OperationQueueTest, RunsOneAfterAnotherInTheOrderOfComing) {
  ASSERT_TRUE(queue_->Run(Named("start")).ok());
  ASSERT_TRUE(queue_->Run(Named("exit")).ok());
  ASSERT_TRUE(queue_->Run(Named("remove")).ok());
  RunDispatched();
  EXPECT_THAT(began_, ElementsAre("start"));
  Finish();
  RunDispatched();
  EXPECT_THAT(began_, ElementsAre("start", "exit"));
  Finish();
  RunDispatched();
  EXPECT_THAT(began_, ElementsAre("start", "exit", "remove"));
}

TEST_F(OperationQueueTest, NothingRunsInTheCallItself) {
  ASSERT_TRUE(queue_->Run(Named("start")).ok());
  EXPECT_THAT(began_, IsEmpty());
}

TEST_F(OperationQueueTest, RefusesMoreThanItsBoundButNotWhatHasHappened) {
  ASSERT_TRUE(queue_->Run(Named("under way")).ok());
  RunDispatched();
  ASSERT_TRUE(queue_->Run(Named("waits")).ok());
  ASSERT_TRUE(queue_->Run(Named("waits too")).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(queue_->Run(Named("one too many"))));
  queue_->RunAlways(Named("exited"));
  for (int i = 0; i < 3; ++i) {
    Finish();
    RunDispatched();
  }
  EXPECT_THAT(began_, ElementsAre("under way", "waits", "waits too", "exited"));
}

TEST_F(OperationQueueTest, AnOperationThatIsDroppedHoldsUpNothing) {
  ASSERT_TRUE(queue_->Run([](OperationQueue::Finished) {}).ok());
  RunDispatched();  // returns without a call of Finished, whose last copy is gone then
  ASSERT_TRUE(queue_->Run(Named("next")).ok());
  RunDispatched();
  EXPECT_THAT(began_, ElementsAre("next"));
}

TEST_F(OperationQueueTest, FinishedTwiceCountsOnce) {
  ASSERT_TRUE(queue_->Run(Named("first")).ok());
  RunDispatched();
  ASSERT_TRUE(queue_->Run(Named("second")).ok());
  ASSERT_TRUE(queue_->Run(Named("third")).ok());
  auto finished = under_way_;
  finished();
  finished();
  RunDispatched();
  EXPECT_THAT(began_, ElementsAre("first", "second"));
}

}  // namespace
}  // namespace noded
