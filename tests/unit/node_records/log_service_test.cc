#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "node/event_loop.h"
#include "node/log_reader.h"
#include "node/worker_pool.h"
#include "tests/unit/node_records/fixture.h"

namespace noded {
namespace {

namespace fs = std::filesystem;
using node::v1::LogsRequest;
using node::v1::LogsResponse;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Stream = std::shared_ptr<ResponseStream<LogsResponse>>;

class LogServiceTest : public RegistryTest {
 protected:
  LogServiceTest() {
    auto created = LogService::Create(loop.get(), &pool, registry.get());
    EXPECT_TRUE(created.ok()) << created.status();
    service = *std::move(created);
    ContainerRecord record = Record(Id("a"), "web");
    record.mutable_container()->set_log_directory(directory());
    EXPECT_TRUE(registry->Insert(record).ok());
    Become({node::v1::CONTAINER_STATE_CREATED});
  }
  void Become(std::vector<node::v1::ContainerState> states) {
    for (auto state : states) {
      absl::Status status = RegistryTest::Become(Id("a"), state);
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  void Run() { Become({node::v1::CONTAINER_STATE_STARTING, node::v1::CONTAINER_STATE_RUNNING}); }
  void Exit() { Become({node::v1::CONTAINER_STATE_EXITED}); }

  std::string directory() { return root / "log"; }
  std::string File(int sequence) {
    return absl::StrCat(directory(), "/000000000", sequence, ".log");
  }
  static std::string Line(const std::string& text) {
    return "2024-03-01T00:00:00.000000000Z stdout F " + text + "\n";
  }
  Stream Logs(bool follow, absl::Time until = absl::InfiniteFuture()) {
    LogsRequest request;
    request.set_container("web");
    request.set_follow(follow);
    if (until != absl::InfiniteFuture()) {
      request.mutable_until()->set_seconds(absl::ToUnixSeconds(until));
    }
    auto stream = service->Logs(request);
    EXPECT_TRUE(stream.ok()) << stream.status();
    return *stream;
  }
  // Lines up to the end, or until `count` have come.
  static std::vector<std::string> Take(const Stream& stream, size_t count = SIZE_MAX) {
    std::vector<std::string> lines;
    while (lines.size() < count) {
      auto next = NextOf(*stream);
      EXPECT_TRUE(next.ok()) << next.status();
      if (!next.ok() || !next->has_value()) break;
      EXPECT_GT((*next)->entries_size(), 0) << "messages are never empty";
      for (const auto& entry : (*next)->entries()) lines.push_back(entry.line());
    }
    return lines;
  }

  std::unique_ptr<EventLoop> loop = *EventLoop::Create();
  WorkerPool pool{2, 100};
  std::unique_ptr<LogService> service;
};

TEST_F(LogServiceTest, WithoutFollowItEndsAtTheNewestLine) {
  EXPECT_THAT(Take(Logs(false)), IsEmpty());
  WriteFile(File(1), Line("one") + Line("two"));
  Run();
  EXPECT_THAT(Take(Logs(false)), ElementsAre("one", "two"));
}

TEST_F(LogServiceTest, UnknownContainerAndBadRequest) {
  LogsRequest request;
  request.set_container("nobody");
  EXPECT_THAT(service->Logs(request).status(), HasCode(absl::StatusCode::kNotFound));
  request.set_container("web");
  request.set_tail(-1);
  EXPECT_THAT(service->Logs(request).status(), NamesField("tail"));
}

TEST_F(LogServiceTest, FollowsFromBeforeTheStartToTheLastLine) {
  Stream stream = Logs(true);
  absl::Notification first;
  std::vector<std::string> lines;
  stream->Next([&](absl::StatusOr<std::optional<LogsResponse>> next) {
    ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
    lines.push_back((*next)->entries(0).line());
    first.Notify();
  });
  absl::SleepFor(absl::Milliseconds(20));
  Become({node::v1::CONTAINER_STATE_STARTING});
  WriteFile(File(1), Line("hello"));
  Become({node::v1::CONTAINER_STATE_RUNNING});
  first.WaitForNotification();
  EXPECT_THAT(lines, ElementsAre("hello"));

  AppendFile(File(1), Line("more"));
  EXPECT_THAT(Take(stream, 1), ElementsAre("more"));
  WriteFile(File(2), Line("rotated"));
  EXPECT_THAT(Take(stream, 1), ElementsAre("rotated"));
  AppendFile(File(2), Line("last words"));
  Exit();
  EXPECT_THAT(Take(stream), ElementsAre("last words"));
}

TEST_F(LogServiceTest, AWaitingFollowerIsWokenByTheFileAlone) {
  WriteFile(File(1), Line("one"));
  Run();
  Stream stream = Logs(true);
  EXPECT_THAT(Take(stream, 1), ElementsAre("one"));
  for (int i = 0; i < 20; ++i) {
    absl::Notification came;
    std::string line;
    stream->Next([&](absl::StatusOr<std::optional<LogsResponse>> next) {
      if (next.ok() && next->has_value()) line = (*next)->entries(0).line();
      came.Notify();
    });
    if (i % 2 == 0) absl::SleepFor(absl::Milliseconds(5));
    AppendFile(File(1), Line(absl::StrCat(i)));
    ASSERT_TRUE(came.WaitForNotificationWithTimeout(absl::Seconds(60)));
    EXPECT_EQ(line, absl::StrCat(i));
  }
  stream->Cancel();
}

TEST_F(LogServiceTest, FollowEndsWithTheContainerAlsoWhenNothingWasWritten) {
  Run();
  Stream stream = Logs(true);
  absl::Notification ended;
  stream->Next([&](absl::StatusOr<std::optional<LogsResponse>> next) {
    EXPECT_TRUE(next.ok() && !next->has_value()) << next.status();
    ended.Notify();
  });
  Exit();
  ended.WaitForNotification();
  EXPECT_FALSE(NextOf(*stream).ok()) << "nothing comes after the end";
  EXPECT_THAT(Take(Logs(true)), IsEmpty());
}

TEST_F(LogServiceTest, FollowEndsWhenTheContainerIsRemoved) {
  WriteFile(File(1), Line("one"));
  Run();
  Stream stream = Logs(true);
  EXPECT_THAT(Take(stream, 1), ElementsAre("one"));
  AppendFile(File(1), Line("two"));
  Exit();
  fs::remove_all(directory());
  ASSERT_TRUE(registry->Remove(Id("a")).ok());
  EXPECT_THAT(Take(stream), ElementsAre("two")) << "its file was open";
}

TEST_F(LogServiceTest, UntilEndsAFollower) {
  Run();
  const absl::Time until = absl::Now() + absl::Seconds(2);
  Stream stream = Logs(true, until);
  EXPECT_THAT(Take(stream), IsEmpty());
  EXPECT_GE(absl::Now(), absl::FromUnixSeconds(absl::ToUnixSeconds(until)));
  EXPECT_LT(absl::Now(), until + absl::Seconds(60));
}

TEST_F(LogServiceTest, CancelAnswersTheOutstandingNext) {
  Run();
  Stream stream = Logs(true);
  absl::Notification came;
  stream->Next([&](absl::StatusOr<std::optional<LogsResponse>> next) {
    EXPECT_THAT(next.status(), HasCode(absl::StatusCode::kCancelled));
    came.Notify();
  });
  stream->Cancel();
  came.WaitForNotification();
  stream->Cancel();
}

TEST_F(LogServiceTest, EndOfTheServiceEndsItsStreams) {
  Run();
  Stream stream = Logs(true);
  absl::Notification came;
  stream->Next([&](absl::StatusOr<std::optional<LogsResponse>> next) {
    EXPECT_THAT(next.status(), HasCode(absl::StatusCode::kUnavailable));
    came.Notify();
  });
  service.reset();
  came.WaitForNotification();
}

// A pool whose queue is full delays a reader, and never loses it.
TEST_F(LogServiceTest, FullPoolOnlyDelays) {
  WriteFile(File(1), Line("one"));
  WorkerPool small(1, 1);
  auto other = LogService::Create(loop.get(), &small, registry.get());
  ASSERT_TRUE(other.ok());
  absl::Notification go_on, started;
  ASSERT_TRUE(small
                  .Submit([&] {
                    started.Notify();
                    go_on.WaitForNotification();
                  })
                  .ok());
  started.WaitForNotification();
  ASSERT_TRUE(small.Submit([] {}).ok());
  LogsRequest request;
  request.set_container("web");
  auto stream = *(*other)->Logs(request);
  absl::Notification came;
  stream->Next([&](absl::StatusOr<std::optional<LogsResponse>> next) {
    ASSERT_TRUE(next.ok() && next->has_value()) << next.status();
    EXPECT_EQ((*next)->entries(0).line(), "one");
    came.Notify();
  });
  absl::SleepFor(absl::Milliseconds(120));
  EXPECT_FALSE(came.HasBeenNotified());
  go_on.Notify();
  came.WaitForNotification();
}

// Many followers of a log that is written and rotated until its container exits: each sees every
// line once, the last one too.
TEST_F(LogServiceTest, EveryFollowerSeesEveryLine) {
  constexpr int kLines = 3000, kFollowers = 8;
  Run();
  std::vector<std::vector<std::string>> seen(kFollowers);
  std::vector<std::thread> followers;
  for (int f = 0; f < kFollowers; ++f) {
    followers.emplace_back([&, f, stream = Logs(true)] { seen[f] = Take(stream); });
  }
  for (int i = 0; i < kLines; ++i) {
    const std::string file = File(1 + i / 1000);
    if (i % 1000 == 0) {
      WriteFile(file, Line(absl::StrCat(i)));
    } else {
      AppendFile(file, Line(absl::StrCat(i)));
    }
  }
  Exit();
  for (std::thread& thread : followers) thread.join();
  for (const auto& lines : seen) {
    ASSERT_EQ(lines.size(), static_cast<size_t>(kLines));
    for (int i = 0; i < kLines; ++i) ASSERT_EQ(lines[i], absl::StrCat(i));
  }
}

// One inotify descriptor however many follow, and none of their files stay open.
TEST_F(LogServiceTest, FollowersShareDescriptors) {
  WriteFile(File(1), Line("one"));
  Run();
  auto descriptors = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = descriptors();
  std::vector<Stream> streams;
  for (int i = 0; i < 20; ++i) {
    streams.push_back(Logs(true));
    EXPECT_THAT(Take(streams.back(), 1), ElementsAre("one"));
    streams.back()->Next([](absl::StatusOr<std::optional<LogsResponse>>) {});
  }
  EXPECT_LE(descriptors() - before, 20) << "the file each of them reads";
  for (const Stream& stream : streams) stream->Cancel();
  streams.clear();
  Exit();
  for (int i = 0; i < 6000 && descriptors() > before; ++i) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(descriptors(), before);
}

}  // namespace
}  // namespace noded
