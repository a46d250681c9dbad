#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "node/change_log.h"
#include "tests/unit/node_records/fixture.h"

namespace noded {
namespace {

using node::v1::WatchRequest;
using node::v1::WatchResponse;
using ::testing::AllOf;
using ::testing::ElementsAre;

class WatchTest : public RegistryTest {
 protected:
  std::shared_ptr<ResponseStream<WatchResponse>> Watch(int64_t from, const std::string& name = "") {
    WatchRequest request;
    request.set_from_revision(from);
    request.mutable_filter()->set_name(name);
    return registry->Watch(request);
  }
  static WatchResponse Take(ResponseStream<WatchResponse>& stream) {
    auto next = NextOf(stream);
    EXPECT_TRUE(next.ok()) << next.status();
    return next.ok() && next->has_value() ? **next : WatchResponse();
  }
  // "CREATED web@3"
  static std::string Text(const node::v1::ContainerEvent& event) {
    std::string type = node::v1::ContainerEventType_Name(event.type());
    return absl::StrCat(type.substr(sizeof("CONTAINER_EVENT_TYPE_") - 1), " ",
                        event.container().name(), "@", event.revision());
  }
  static std::vector<std::string> Texts(const WatchResponse& response) {
    std::vector<std::string> texts;
    for (const auto& event : response.events()) texts.push_back(Text(event));
    return texts;
  }
};

TEST_F(WatchTest, SnapshotsFirstThenChanges) {
  Insert(Id("b"), "web");                                                // 1
  Insert(Id("a"), "db");                                                 // 2
  ASSERT_TRUE(Become(Id("b"), node::v1::CONTAINER_STATE_CREATED).ok());  // 3
  auto stream = Watch(0);
  WatchResponse first = Take(*stream);
  EXPECT_THAT(Texts(first), ElementsAre("SNAPSHOT db@2", "SNAPSHOT web@3"));
  EXPECT_EQ(first.revision(), 3);
  EXPECT_EQ(first.events(1).container().spec().process().argv(0), "/bin/true");

  ASSERT_TRUE(registry->Remove(Id("a")).ok());
  WatchResponse second = Take(*stream);
  EXPECT_THAT(Texts(second), ElementsAre("REMOVED db@4"));
  EXPECT_EQ(second.revision(), 4);
  EXPECT_EQ(second.events(0).container().spec().name(), "db") << "its last state, whole";
}

TEST_F(WatchTest, EmptyNodeIsToldAtOnce) {
  auto stream = Watch(0);
  WatchResponse first = Take(*stream);
  EXPECT_EQ(first.events_size(), 0);
  EXPECT_EQ(first.revision(), 0);
  Insert(Id("a"), "web");
  EXPECT_THAT(Texts(Take(*stream)), ElementsAre("CREATED web@1"));
}

TEST_F(WatchTest, FromARevisionOnInclusive) {
  Insert(Id("a"), "web");
  Insert(Id("b"), "db");
  Insert(Id("c"), "cache");
  EXPECT_THAT(Texts(Take(*Watch(2))), ElementsAre("CREATED db@2", "CREATED cache@3"));
  EXPECT_THAT(Texts(Take(*Watch(1))),
              ElementsAre("CREATED web@1", "CREATED db@2", "CREATED cache@3"));
  auto future = Watch(5);
  absl::Notification came;
  future->Next([&](absl::StatusOr<std::optional<WatchResponse>> next) {
    ASSERT_TRUE(next.ok());
    EXPECT_THAT(Texts(**next), ElementsAre("UPDATED web@5"));
    came.Notify();
  });
  ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_CREATED).ok());   // 4: not wanted
  ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_STARTING).ok());  // 5
  came.WaitForNotification();
}

TEST_F(WatchTest, FilterKeepsTheRest) {
  Insert(Id("a"), "web");
  auto stream = Watch(0, "db");
  EXPECT_EQ(Take(*stream).events_size(), 0);
  Insert(Id("b"), "cache");
  Insert(Id("c"), "db");
  WatchResponse next = Take(*stream);
  EXPECT_THAT(Texts(next), ElementsAre("CREATED db@3"));
  EXPECT_EQ(next.revision(), 3);
}

TEST_F(WatchTest, BadRequestsAreToldByTheStream) {
  auto negative = NextOf(*Watch(-1));
  EXPECT_THAT(negative.status(),
              AllOf(HasCode(absl::StatusCode::kInvalidArgument), NamesField("from_revision")));
  WatchRequest request;
  request.mutable_filter()->add_states(node::v1::CONTAINER_STATE_UNSPECIFIED);
  EXPECT_THAT(NextOf(*registry->Watch(request)).status(), NamesField("filter.states[0]"));
}

TEST_F(WatchTest, CancelAnswersTheOutstandingNext) {
  auto stream = Watch(1);
  absl::Notification came;
  stream->Next([&](absl::StatusOr<std::optional<WatchResponse>> next) {
    EXPECT_THAT(next.status(), HasCode(absl::StatusCode::kCancelled));
    came.Notify();
  });
  stream->Cancel();
  came.WaitForNotification();
  stream->Cancel();
  EXPECT_THAT(NextOf(*stream).status(), HasCode(absl::StatusCode::kCancelled));
}

TEST_F(WatchTest, StreamOutlivesTheRegistry) {
  auto stream = Watch(1);
  absl::Notification came;
  stream->Next([&](absl::StatusOr<std::optional<WatchResponse>> next) {
    EXPECT_THAT(next.status(), HasCode(absl::StatusCode::kUnavailable));
    came.Notify();
  });
  registry.reset();
  came.WaitForNotification();
  EXPECT_FALSE(NextOf(*stream).ok());
}

TEST_F(WatchTest, RevisionsOfBeforeARestartAreCompacted) {
  Insert(Id("a"), "web");
  Reopen();
  EXPECT_THAT(NextOf(*Watch(1)).status(),
              AllOf(HasCode(absl::StatusCode::kOutOfRange), HasReason("REVISION_COMPACTED")));
  auto list = registry->List({});
  auto stream = Watch(list->revision() + 1);
  Insert(Id("b"), "db");
  EXPECT_EQ(Take(*stream).events_size(), 1);
}

TEST_F(WatchTest, OneThatFellOutOfTheKeptChangesIsTold) {
  Insert(Id("a"), "web");
  auto slow = Watch(1);
  auto at_edge = Watch(2);
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_CREATING).ok());
  }
  EXPECT_THAT(NextOf(*slow).status(), HasReason("REVISION_COMPACTED"));
  int64_t expected = 2;
  while (expected <= 10'001) {
    WatchResponse response = Take(*at_edge);
    ASSERT_GT(response.events_size(), 0);
    EXPECT_LE(response.events_size(), 256) << "messages are bounded";
    for (const auto& event : response.events()) ASSERT_EQ(event.revision(), expected++);
  }
}

TEST_F(WatchTest, MessagesAreBoundedInBytes) {
  for (int i = 0; i < 40; ++i) {
    ContainerRecord record = Record(Id(absl::StrCat("a", 10 + i)), absl::StrCat("c", i));
    (*record.mutable_container()->mutable_spec()->mutable_annotations())["big"] =
        std::string(100'000, 'x');
    ASSERT_TRUE(registry->Insert(record).ok());
  }
  for (int64_t from : {0, 1}) {
    auto stream = Watch(from);
    int events = 0, messages = 0;
    while (events < 40) {
      WatchResponse response = Take(*stream);
      ASSERT_GT(response.events_size(), 0);
      EXPECT_LE(response.ByteSizeLong(), 1'100'000u);
      events += response.events_size();
      ++messages;
      if (from == 0) {
        EXPECT_EQ(response.revision(), events < 40 ? 0 : 40);
      }
    }
    EXPECT_GE(messages, 4);
  }
}

TEST(ChangeLog, ProgressNoticeComesWhenNothingChanges) {
  auto log = std::make_shared<ChangeLog>(
      7, ChangeLog::Options{.progress_interval = absl::Milliseconds(50)});
  auto stream = log->WatchFrom(8, {});
  for (int i = 0; i < 3; ++i) {
    auto next = NextOf(*stream);
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_EQ((*next)->events_size(), 0);
    EXPECT_EQ((*next)->revision(), 7);
  }
  // Also to a watcher whose filter keeps busy changes from it.
  node::v1::ContainerFilter filter;
  filter.set_name("quiet");
  auto filtered = log->WatchFrom(8, filter);
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    std::shared_ptr<const std::string> constant;
    node::v1::Container container;
    container.set_name("busy");
    for (int64_t revision = 8; !stop; ++revision) {
      container.set_revision(revision);
      log->Append(
          MakeChange(node::v1::CONTAINER_EVENT_TYPE_UPDATED, absl::Now(), container, constant));
      absl::SleepFor(absl::Milliseconds(5));
    }
  });
  auto next = NextOf(*filtered);
  stop = true;
  busy.join();
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ((*next)->events_size(), 0);
  EXPECT_GT((*next)->revision(), 7);
  log->Close();
}

TEST(ChangeLog, ChangesOfOneContainerShareWhatDoesNotChange) {
  node::v1::Container container = Record(Id("a"), "web").container();
  container.set_revision(5);
  container.mutable_exit_status()->set_code(0);
  container.add_exec_ids("x");
  container.mutable_create_time()->set_seconds(99);
  std::shared_ptr<const std::string> constant;
  LoggedChange one = MakeChange(node::v1::CONTAINER_EVENT_TYPE_UPDATED, absl::FromUnixSeconds(3),
                                container, constant);
  EXPECT_EQ(one.ToEvent().container().SerializeAsString(), container.SerializeAsString());
  EXPECT_EQ(one.ToEvent().time().seconds(), 3);
  container.set_state(node::v1::CONTAINER_STATE_EXITED);
  LoggedChange two =
      MakeChange(node::v1::CONTAINER_EVENT_TYPE_EXITED, absl::Now(), container, constant);
  EXPECT_EQ(one.constant, two.constant);
  EXPECT_LT(two.rest.size(), 60u);
  container.mutable_spec()->set_hostname("other");
  LoggedChange three =
      MakeChange(node::v1::CONTAINER_EVENT_TYPE_UPDATED, absl::Now(), container, constant);
  EXPECT_NE(three.constant, two.constant);
  EXPECT_EQ(three.ToEvent().container().SerializeAsString(), container.SerializeAsString());
}

// Many change, some watch from different places and fall behind and resume: each must see exactly
// the changes that were made, in the order of their revisions.
TEST_F(WatchTest, NothingIsLostOrRepeatedUnderConcurrentChanges) {
  constexpr int kThreads = 4, kRounds = 60, kChangesARound = 4;
  constexpr int64_t kLast = kThreads * kRounds * kChangesARound;

  auto follow = [&](bool resume) {
    std::vector<std::string> seen;
    int64_t at = 0;
    auto stream = Watch(1);
    while (at < kLast) {
      WatchResponse response = Take(*stream);
      for (const auto& event : response.events()) {
        EXPECT_GT(event.revision(), at);
        EXPECT_EQ(event.revision(), event.container().revision());
        at = event.revision();
        seen.push_back(Text(event));
      }
      EXPECT_EQ(response.revision(), at);
      if (response.events_size() == 0) break;
      if (resume) {
        stream->Cancel();
        stream = Watch(at + 1);
      }
    }
    return seen;
  };
  std::vector<std::vector<std::string>> seen(3);
  std::vector<std::thread> watchers;
  for (int w = 0; w < 3; ++w) watchers.emplace_back([&, w] { seen[w] = follow(w == 2); });

  std::vector<std::thread> changers;
  for (int t = 0; t < kThreads; ++t) {
    changers.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) {
        const std::string id = Id(absl::StrCat("a", t, "b", i));
        Insert(id, absl::StrCat("c-", t, "-", i));
        EXPECT_TRUE(Become(id, node::v1::CONTAINER_STATE_CREATED).ok());
        EXPECT_FALSE(Become(id, node::v1::CONTAINER_STATE_RUNNING).ok());  // leaves no mark
        EXPECT_TRUE(Become(id, node::v1::CONTAINER_STATE_STARTING).ok());
        EXPECT_TRUE(registry->Remove(id).ok());
      }
    });
  }
  for (std::thread& thread : changers) thread.join();
  for (std::thread& thread : watchers) thread.join();

  ASSERT_EQ(seen[0].size(), static_cast<size_t>(kLast));
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0], seen[2]);
  std::map<std::string, std::string> lives;
  for (const std::string& text : seen[0]) {
    const std::string name = text.substr(text.find(' ') + 1, text.find('@') - text.find(' ') - 1);
    lives[name] += text.substr(0, 1);
  }
  EXPECT_EQ(lives.size(), static_cast<size_t>(kThreads * kRounds));
  for (const auto& [name, life] : lives) EXPECT_EQ(life, "CUUR") << name;
}

// Snapshots and changes together are the state: what a watcher that mirrors them holds is what List
// shows.
TEST_F(WatchTest, MirrorOfSnapshotsAndChangesIsTheState) {
  for (int i = 0; i < 30; ++i) Insert(Id(absl::StrCat("a", 10 + i)), absl::StrCat("old-", i));
  std::atomic<bool> begun = false;
  std::thread changer([&] {
    for (int i = 0; i < 200; ++i) {
      const std::string id = Id(absl::StrCat("a", 10 + i % 30));
      if (i % 7 == 3) {
        (void)registry->Remove(id);
      } else {
        (void)Become(id, node::v1::CONTAINER_STATE_CREATED);
      }
      if (i == 20) begun = true;
    }
    Insert(Id("f"), "last");
  });
  while (!begun) std::this_thread::yield();
  auto stream = Watch(0);
  std::map<std::string, int64_t> mirror;
  bool last = false;
  while (!last) {
    const WatchResponse response = Take(*stream);
    for (const auto& event : response.events()) {
      const std::string& id = event.container().id();
      if (event.type() == node::v1::CONTAINER_EVENT_TYPE_REMOVED) {
        EXPECT_EQ(mirror.erase(id), 1u) << "removed, but never seen";
      } else {
        EXPECT_GT(event.revision(), mirror[id]);
        mirror[id] = event.revision();
      }
      last = last || event.container().name() == "last";
    }
  }
  changer.join();
  std::map<std::string, int64_t> state;
  for (const Snapshot& one : registry->All()) {
    state[one->container().id()] = one->container().revision();
  }
  EXPECT_EQ(mirror, state);
}

}  // namespace
}  // namespace noded
