#include "node/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <memory>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "node/base/status.h"

namespace noded {
namespace {

TEST(WorkerPool, RunsOnAllThreadsAtOnce) {
  WorkerPool pool(3, 10);
  std::barrier all_there(3);
  absl::BlockingCounter done(3);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pool.Submit([&] {
                      all_there.arrive_and_wait();
                      done.DecrementCount();
                    })
                    .ok());
  }
  done.Wait();
}

TEST(WorkerPool, RefusesWhatWouldWaitBeyondItsBound) {
  WorkerPool pool(1, 2);
  absl::Notification started, go_on;
  std::atomic<int> ran = 0;
  ASSERT_TRUE(pool.Submit([&] {
                    started.Notify();
                    go_on.WaitForNotification();
                  })
                  .ok());
  started.WaitForNotification();
  EXPECT_TRUE(pool.Submit([&] { ++ran; }).ok());
  EXPECT_TRUE(pool.Submit([&] { ++ran; }).ok());
  absl::Status refused = pool.Submit([&] { ran += 100; });
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), "LIMIT_REACHED");
  go_on.Notify();
}

TEST(WorkerPool, RunsWhatIsQueuedBeforeItEnds) {
  std::atomic<int> ran = 0;
  {
    WorkerPool pool(1, 1000);
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(pool.Submit([&] { ++ran; }).ok());
  }
  EXPECT_EQ(ran, 500);
}

}  // namespace
}  // namespace noded
