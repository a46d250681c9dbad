#include "node/event_loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "node/base/unique_fd.h"

namespace noded {
namespace {

class EventLoopTest : public ::testing::Test {
 protected:
  // Everything posted before has run when it returns.
  void Settle() {
    absl::Notification done;
    loop->Run([&] { done.Notify(); });
    done.WaitForNotification();
  }
  static UniqueFd Event(unsigned value = 0) {
    return UniqueFd(eventfd(value, EFD_NONBLOCK | EFD_CLOEXEC));
  }
  static void Raise(const UniqueFd& fd) {
    uint64_t one = 1;
    ASSERT_EQ(write(fd.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  }

  std::unique_ptr<EventLoop> loop = *EventLoop::Create();
};

TEST_F(EventLoopTest, RunsPostedCallbacksInOrderOnItsThread) {
  std::vector<int> order;
  bool on_thread = true;
  for (int i = 0; i < 1000; ++i) {
    loop->Run([&, i] {
      order.push_back(i);
      on_thread = on_thread && loop->OnLoopThread();
    });
  }
  Settle();
  ASSERT_EQ(order.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_TRUE(on_thread);
  EXPECT_FALSE(loop->OnLoopThread());
}

TEST_F(EventLoopTest, TimersFireInTheOrderOfTheirTimes) {
  std::vector<int> order;
  absl::Notification done;
  absl::Time begin = absl::Now();
  loop->RunAfter(absl::Milliseconds(60), [&] {
    order.push_back(3);
    done.Notify();
  });
  loop->RunAfter(absl::Milliseconds(20), [&] { order.push_back(1); });
  loop->RunAfter(absl::Milliseconds(40), [&] { order.push_back(2); });
  loop->RunAfter(absl::InfiniteDuration(), [&] { order.push_back(4); });
  loop->RunAfter(-absl::InfiniteDuration(), [&] { order.push_back(0); });
  done.WaitForNotification();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(60));
}

TEST_F(EventLoopTest, CancelledTimerDoesNotFireAndLetsGoOfItsCallback) {
  auto held = std::make_shared<int>(1);
  auto timer = loop->RunAfter(absl::Hours(1), [held] { ADD_FAILURE() << "fired"; });
  EXPECT_EQ(held.use_count(), 2);
  loop->Cancel(timer);
  EXPECT_EQ(held.use_count(), 1);
  loop->Cancel(timer);  // unknown now
  loop->Cancel(0);
}

TEST_F(EventLoopTest, OneShotComesOnceUntilRearmed) {
  UniqueFd fd = Event();
  std::atomic<int> came = 0;
  auto watch = loop->Watch(fd.get(), EPOLLIN | EPOLLONESHOT, [&](uint32_t events) {
    EXPECT_TRUE(events & EPOLLIN);
    ++came;
  });
  ASSERT_TRUE(watch.ok()) << watch.status();
  Raise(fd);
  Raise(fd);
  while (came < 1) absl::SleepFor(absl::Milliseconds(1));
  Settle();
  Settle();
  EXPECT_EQ(came, 1);  // though it is still readable
  loop->Rearm(*watch, EPOLLIN | EPOLLONESHOT);
  while (came < 2) absl::SleepFor(absl::Milliseconds(1));
  loop->Unwatch(*watch);
}

TEST_F(EventLoopTest, RefusesWhatCannotBeWatched) {
  EXPECT_FALSE(loop->Watch(-1, EPOLLIN, [](uint32_t) {}).ok());
  UniqueFd file(open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(loop->Watch(file.get(), EPOLLIN, [](uint32_t) {}).ok());
}

TEST_F(EventLoopTest, CallbackMayUnwatchItselfAndOthers) {
  UniqueFd a = Event(1);
  UniqueFd b = Event(1);
  absl::Mutex mutex;
  EventLoop::WatchId first = 0, second = 0;
  std::atomic<int> came = 0;
  auto ready = [&](uint32_t) {
    absl::MutexLock lock(&mutex);
    ++came;
    loop->Unwatch(first);
    loop->Unwatch(second);
  };
  {
    // Held until both are known, so that whichever comes first ends both.
    absl::MutexLock lock(&mutex);
    first = *loop->Watch(a.get(), EPOLLIN, ready);
    second = *loop->Watch(b.get(), EPOLLIN, ready);
  }
  while (came == 0) absl::SleepFor(absl::Milliseconds(1));
  Settle();
  Settle();
  EXPECT_EQ(came, 1);
}

// Descriptors are closed and reused while events are under way: after Unwatch nothing of the old
// watch may run, and its captured state may go.
TEST_F(EventLoopTest, NothingRunsAfterUnwatch) {
  for (int i = 0; i < 300; ++i) {
    UniqueFd fd = Event(1);
    auto alive = std::make_unique<std::atomic<bool>>(true);
    std::atomic<bool>* state = alive.get();
    auto watch = loop->Watch(fd.get(), EPOLLIN, [state](uint32_t) { EXPECT_TRUE(*state); });
    ASSERT_TRUE(watch.ok());
    if (i % 3 == 0) std::this_thread::yield();
    loop->Unwatch(*watch);
    *state = false;
    alive.reset();
  }
}

TEST_F(EventLoopTest, UnwatchWaitsForTheRunningCallback) {
  UniqueFd fd = Event(1);
  absl::Notification inside;
  std::atomic<bool> left = false;
  auto watch = loop->Watch(fd.get(), EPOLLIN | EPOLLONESHOT, [&](uint32_t) {
    inside.Notify();
    absl::SleepFor(absl::Milliseconds(50));
    left = true;
  });
  inside.WaitForNotification();
  loop->Unwatch(*watch);
  EXPECT_TRUE(left);
}

TEST_F(EventLoopTest, EndsWithCallbacksPending) {
  auto held = std::make_shared<int>(0);
  UniqueFd fd = Event();
  ASSERT_TRUE(loop->Watch(fd.get(), EPOLLIN, [held](uint32_t) {}).ok());
  loop->RunAfter(absl::Hours(1), [held] {});
  loop.reset();
  EXPECT_EQ(held.use_count(), 1);
}

// What a callback holds may call the loop when it is let go of.
TEST_F(EventLoopTest, HeldObjectsMayCallTheLoopWhileItEnds) {
  struct Caller {
    EventLoop* loop;
    ~Caller() {
      loop->Run([] {});
      loop->Cancel(loop->RunAfter(absl::Seconds(1), [] {}));
      loop->Unwatch(1);
    }
  };
  auto caller = std::make_shared<Caller>(loop.get());
  loop->RunAfter(absl::Hours(1), [caller] {});
  UniqueFd fd = Event();
  ASSERT_TRUE(loop->Watch(fd.get(), EPOLLIN, [caller](uint32_t) {}).ok());
  caller.reset();
  loop.reset();
}

TEST_F(EventLoopTest, ManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> ran = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        UniqueFd fd = Event(1);
        auto watch = loop->Watch(fd.get(), EPOLLIN | EPOLLONESHOT, [&](uint32_t) { ++ran; });
        loop->Cancel(loop->RunAfter(absl::Milliseconds(i % 3), [] {}));
        loop->Run([&] { ++ran; });
        loop->Unwatch(*watch);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Settle();
  EXPECT_GE(ran, 800);
}

}  // namespace
}  // namespace noded
