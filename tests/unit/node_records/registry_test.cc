#include "node/registry.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/unit/node_records/fixture.h"

namespace noded {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(RegistryTest, FindsByIdPrefixAndName) {
  Insert(Id("abc1"), "web");
  Insert(Id("abc2"), "db");
  Insert(Id("def"), "abc2");  // a name that is a prefix of another's id
  struct {
    const char* title;
    std::string reference;
    std::string name;
  } kFound[] = {
      {"full id", Id("abc1"), "web"},   {"name", "db", "db"},
      {"prefix", "abc1", "web"},        {"exact name before prefix", "abc2", "abc2"},
      {"longer prefix", "abc2f", "db"}, {"shortest prefix", "d", "abc2"},
  };
  for (const auto& one : kFound) {
    auto found = registry->Find(one.reference);
    ASSERT_TRUE(found.ok()) << one.title << ": " << found.status();
    EXPECT_EQ((*found)->container().name(), one.name) << one.title;
  }
  EXPECT_THAT(registry->Find("").status(),
              AllOf(HasCode(absl::StatusCode::kInvalidArgument), NamesField("container")));
  EXPECT_THAT(registry->Find("abc").status(),
              AllOf(HasCode(absl::StatusCode::kInvalidArgument), HasReason("AMBIGUOUS_ID")));
  for (const std::string& unknown :
       {std::string("abd"), std::string("zzz"), Id("abc1") + "f", std::string(100000, 'x')}) {
    absl::Status status = registry->Find(unknown).status();
    EXPECT_THAT(status,
                AllOf(HasCode(absl::StatusCode::kNotFound), HasReason("CONTAINER_NOT_FOUND")));
    EXPECT_LT(status.message().size(), 200u);
  }
}

TEST_F(RegistryTest, NamesAndIdsAreUnique) {
  Insert(Id("a"), "web");
  EXPECT_THAT(registry->Insert(Record(Id("b"), "web")).status(),
              AllOf(HasCode(absl::StatusCode::kAlreadyExists), HasReason("NAME_IN_USE")));
  EXPECT_THAT(registry->Insert(Record(Id("a"), "other")).status(),
              HasCode(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(registry->All().size(), 1u);
  ASSERT_TRUE(registry->Remove(Id("a")).ok());
  Insert(Id("b"), "web");  // free again
}

TEST_F(RegistryTest, ChangesArePersistedAndSeen) {
  Snapshot before = Insert(Id("a"), "web");
  ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_CREATED).ok());
  EXPECT_EQ(before->container().state(), node::v1::CONTAINER_STATE_CREATING) << "immutable";
  EXPECT_EQ(registry->Get(Id("a"))->container().state(), node::v1::CONTAINER_STATE_CREATED);
  EXPECT_GT(registry->Get(Id("a"))->container().revision(), before->container().revision());
  Reopen();
  EXPECT_EQ(registry->Get(Id("a"))->container().state(), node::v1::CONTAINER_STATE_CREATED);
  EXPECT_EQ((*registry->Find("web"))->container().id(), Id("a"));
}

TEST_F(RegistryTest, RefusedChangesLeaveAllAsItWas) {
  Insert(Id("a"), "web");
  const int64_t revision = registry->revision();
  EXPECT_THAT(Become(Id("a"), node::v1::CONTAINER_STATE_RUNNING),
              AllOf(HasCode(absl::StatusCode::kFailedPrecondition), HasReason("WRONG_STATE")));
  EXPECT_THAT(registry
                  ->Change(Id("a"), node::v1::CONTAINER_EVENT_TYPE_UPDATED,
                           [](ContainerRecord& record) {
                             record.mutable_container()->set_error("half");
                             return absl::AbortedError("changed my mind");
                           })
                  .status(),
              HasCode(absl::StatusCode::kAborted));
  EXPECT_THAT(Become(Id("b"), node::v1::CONTAINER_STATE_CREATED),
              HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(registry->Get(Id("a"))->container().error(), "");
  EXPECT_EQ(registry->revision(), revision);
}

TEST_F(RegistryTest, WhatItIsFoundByCannotBeChanged) {
  Insert(Id("a"), "web", "request");
  ASSERT_TRUE(registry
                  ->Change(Id("a"), node::v1::CONTAINER_EVENT_TYPE_UPDATED,
                           [](ContainerRecord& record) {
                             record.mutable_container()->set_id("x");
                             record.mutable_container()->set_name("y");
                             record.clear_request_id();
                             return absl::OkStatus();
                           })
                  .ok());
  Snapshot after = registry->Get(Id("a"));
  EXPECT_EQ(after->container().id(), Id("a"));
  EXPECT_EQ(after->container().name(), "web");
  EXPECT_EQ(after->request_id(), "request");
}

// --- a disk that refuses
// --------------------------------------------------------------------------

TEST_F(RegistryTest, RefusedInsertLeavesNothing) {
  store->refuse_save = true;
  EXPECT_THAT(registry->Insert(Record(Id("a"), "web", "request")).status(),
              HasCode(absl::StatusCode::kResourceExhausted));
  store->refuse_save = false;
  EXPECT_TRUE(registry->All().empty());
  EXPECT_FALSE(registry->FindRequest("request", "digest")->has_value());
  Insert(Id("a"), "web", "request");
  store->refuse_revision = true;
  EXPECT_FALSE(registry->Insert(Record(Id("b"), "db")).ok());
}

TEST_F(RegistryTest, RefusedChangeIsNotPublishedUnlessItMustBe) {
  Insert(Id("a"), "web");
  store->refuse_save = true;
  EXPECT_THAT(Become(Id("a"), node::v1::CONTAINER_STATE_CREATED),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(registry->Get(Id("a"))->container().state(), node::v1::CONTAINER_STATE_CREATING);

  EXPECT_EQ(Become(Id("a"), node::v1::CONTAINER_STATE_CREATED, Saving::kIfPossible),
            absl::OkStatus());
  EXPECT_EQ(registry->Get(Id("a"))->container().state(), node::v1::CONTAINER_STATE_CREATED);

  // Saved by itself once the disk takes it.
  store->refuse_save = false;
  const int saves = store->saves;
  for (int i = 0; i < 6000 && store->saves == saves; ++i) absl::SleepFor(absl::Milliseconds(10));
  Reopen();
  EXPECT_EQ(registry->Get(Id("a"))->container().state(), node::v1::CONTAINER_STATE_CREATED);
}

TEST_F(RegistryTest, RefusedRemovalLeavesItListed) {
  Insert(Id("a"), "web", "request");
  store->refuse_delete = true;
  EXPECT_THAT(registry->Remove(Id("a")), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(registry->Find("web").ok());
  store->refuse_delete = false;
  store->refuse_request = true;
  EXPECT_FALSE(registry->Remove(Id("a")).ok());
  store->refuse_request = false;
  Reopen();
  EXPECT_TRUE(registry->Find("web").ok());
  EXPECT_EQ(registry->Remove(Id("a")), absl::OkStatus());
  EXPECT_THAT(registry->Remove(Id("a")), HasCode(absl::StatusCode::kNotFound));
  EXPECT_FALSE(std::filesystem::exists(store->ContainerDirectory(Id("a"))));
}

TEST_F(RegistryTest, DamagedRecordIsShownAsUnknown) {
  Insert(Id("a"), "web");
  Insert(Id("b"), "db");
  registry.reset();
  disk.reset();
  WriteFile(root / ("state/containers/" + Id("a") + "/container.json"), "{\"schema");
  for (int restart = 0; restart < 2; ++restart) {
    Reopen();
    ASSERT_EQ(registry->All().size(), 2u);
    auto found = registry->Find(Id("a"));
    ASSERT_TRUE(found.ok()) << found.status();
    const node::v1::Container& container = (*found)->container();
    EXPECT_EQ(container.state(), node::v1::CONTAINER_STATE_UNKNOWN);
    EXPECT_EQ(container.name(), "c-afffffffffff");
    EXPECT_THAT(container.error(), HasSubstr("torn or damaged"));
    EXPECT_EQ(container.log_directory(), store->ContainerDirectory(Id("a")) + "/log");
  }
  EXPECT_EQ(registry->Remove(Id("a")), absl::OkStatus());
}

// --- request ids
// ----------------------------------------------------------------------------------

TEST_F(RegistryTest, RequestIdIsAnsweredAsLongAsTheContainerLivesAndAfter) {
  EXPECT_FALSE(registry->FindRequest("request", "digest")->has_value());
  EXPECT_FALSE(registry->FindRequest("", "digest")->has_value());
  Insert(Id("a"), "web", "request");
  auto answer = [&]() -> std::string {
    auto found = registry->FindRequest("request", "digest");
    if (!found.ok()) return std::string(found.status().message());
    return found->has_value() ? (*found)->id() : "none";
  };
  EXPECT_EQ(answer(), Id("a"));
  Reopen();
  EXPECT_EQ(answer(), Id("a"));
  ASSERT_TRUE(registry->Remove(Id("a")).ok());
  EXPECT_EQ(answer(), Id("a"));
  Reopen();
  EXPECT_EQ(answer(), Id("a"));
  EXPECT_THAT(registry->FindRequest("request", "another").status(),
              AllOf(HasCode(absl::StatusCode::kInvalidArgument), HasReason("REQUEST_ID_REUSED")));
  EXPECT_THAT(registry->Insert(Record(Id("b"), "web", "request")).status(),
              AllOf(HasCode(absl::StatusCode::kAlreadyExists), HasReason("REQUEST_ID_REUSED")));
}

TEST_F(RegistryTest, FailedCreateForgetsItsRequestId) {
  Insert(Id("a"), "web", "request");
  ASSERT_TRUE(registry->Remove(Id("a"), /*forget=*/true).ok());
  EXPECT_FALSE(registry->FindRequest("request", "digest")->has_value());
  Insert(Id("b"), "web", "request");
}

TEST_F(RegistryTest, ExpiredRequestIdsAreForgottenOnDiskToo) {
  RequestRecord soon;
  soon.set_schema_version(1);
  soon.set_request_id("soon");
  soon.set_request_digest("digest");
  soon.mutable_container()->set_id(Id("a"));
  soon.mutable_expire_time()->set_seconds(absl::ToUnixSeconds(absl::Now()) + 2);
  ASSERT_TRUE(store->SaveRequest(soon).ok());
  Reopen();
  const bool known = registry->FindRequest("soon", "digest")->has_value();
  EXPECT_TRUE(known || absl::ToUnixSeconds(absl::Now()) >= soon.expire_time().seconds());
  for (int i = 0; i < 6000 && store->LoadRequest("soon").ok(); ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_TRUE(absl::IsNotFound(store->LoadRequest("soon").status()));
  EXPECT_FALSE(registry->FindRequest("soon", "digest")->has_value());
  Insert(Id("b"), "web", "soon");
}

// Of many callers with one request_id (or name) one gets the container, and all others hear of it.
TEST_F(RegistryTest, ConcurrentInsertsOfOneRequestMakeOneContainer) {
  for (int round = 0; round < 20; ++round) {
    const std::string request = absl::StrCat("request-", round);
    std::atomic<int> inserted = 0, repeated = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        auto mine = registry->Insert(
            Record(Id(absl::StrCat("a", round, "b", t)), absl::StrCat("name-", round), request));
        if (mine.ok()) {
          ++inserted;
          return;
        }
        EXPECT_THAT(mine.status(), HasReason("REQUEST_ID_REUSED"));
        auto found = registry->FindRequest(request, "digest");
        ASSERT_TRUE(found.ok()) << found.status();
        ASSERT_TRUE(found->has_value());
        ++repeated;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(inserted, 1);
    EXPECT_EQ(repeated, 7);
  }
}

// --- OnChange
// -------------------------------------------------------------------------------------

TEST_F(RegistryTest, OnChangeTellsThePresentThenEachChangeThenTheEnd) {
  Insert(Id("a"), "web");
  std::vector<std::string> seen;
  registry->OnChange(Id("a"), [&](const Snapshot& snapshot) {
    seen.push_back(snapshot ? node::v1::ContainerState_Name(snapshot->container().state())
                            : "removed");
    return false;
  });
  ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_CREATED).ok());
  ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_STARTING).ok());
  ASSERT_TRUE(registry->Remove(Id("a")).ok());
  EXPECT_THAT(seen, ElementsAre("CONTAINER_STATE_CREATING", "CONTAINER_STATE_CREATED",
                                "CONTAINER_STATE_STARTING", "removed"));
  bool gone = false;
  registry->OnChange(Id("a"), [&](const Snapshot& snapshot) { return gone = snapshot == nullptr; });
  EXPECT_TRUE(gone);
}

TEST_F(RegistryTest, OnChangeEndsWhenEnoughWasSeenOrItIsEnded) {
  Insert(Id("a"), "web");
  int first = 0, second = 0;
  registry->OnChange(Id("a"), [&](const Snapshot&) { return ++first == 2; });
  auto end = registry->OnChange(Id("a"), [&](const Snapshot&) { return ++second, false; });
  ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_CREATED).ok());
  end();
  end();
  ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_STARTING).ok());
  EXPECT_EQ(first, 2);
  EXPECT_EQ(second, 2);
}

TEST_F(RegistryTest, ObserverMayChangeAndRemoveTheContainerItSees) {
  Insert(Id("a"), "web");
  std::vector<std::string> seen;
  std::function<void()> end;
  end = registry->OnChange(Id("a"), [&](const Snapshot& snapshot) {
    seen.push_back(snapshot ? node::v1::ContainerState_Name(snapshot->container().state())
                            : "removed");
    if (!snapshot) {
      end();  // from within
    } else if (snapshot->container().state() == node::v1::CONTAINER_STATE_CREATED) {
      EXPECT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_REMOVING).ok());
      EXPECT_TRUE(registry->Remove(Id("a")).ok());
    }
    return false;
  });
  ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_CREATED).ok());
  EXPECT_THAT(seen, ElementsAre("CONTAINER_STATE_CREATING", "CONTAINER_STATE_CREATED",
                                "CONTAINER_STATE_REMOVING", "removed"));
}

TEST_F(RegistryTest, WhatIsSavedAfterwardsIsPublishedAtOnceAndNotLost) {
  Insert(Id("a"), "web");
  store->refuse_save = true;
  ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_CREATED, Saving::kAfterwards).ok());
  EXPECT_EQ(registry->Get(Id("a"))->container().state(), node::v1::CONTAINER_STATE_CREATED);
  store->refuse_save = false;
  ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_STARTING, Saving::kAfterwards).ok());
  Reopen();
  ASSERT_NE(registry->Get(Id("a")), nullptr);
  EXPECT_EQ(registry->Get(Id("a"))->container().state(), node::v1::CONTAINER_STATE_STARTING);
}

TEST_F(RegistryTest, SaveChangedSavesWhatIsOwedOnce) {
  Insert(Id("a"), "web");
  const int before = store->saves;
  ASSERT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_CREATED, Saving::kAfterwards).ok());
  EXPECT_EQ(store->saves, before);
  registry->SaveChanged();
  registry->SaveChanged();
  EXPECT_EQ(store->saves, before + 1);
}

TEST_F(RegistryTest, EndedObserverIsNotCalledAnyMore) {
  Insert(Id("a"), "web");
  std::atomic<bool> stop = false;
  std::thread changer([&] {
    while (!stop) EXPECT_TRUE(Become(Id("a"), node::v1::CONTAINER_STATE_CREATING).ok());
  });
  for (int i = 0; i < 200; ++i) {
    auto alive = std::make_unique<std::atomic<bool>>(true);
    std::atomic<bool>* state = alive.get();
    int64_t last = 0;
    auto end = registry->OnChange(Id("a"), [state, &last](const Snapshot& snapshot) {
      EXPECT_TRUE(*state);
      EXPECT_GT(snapshot->container().revision(), last) << "in order, each once";
      last = snapshot->container().revision();
      return false;
    });
    end();
    *state = false;
  }
  stop = true;
  changer.join();
}

// --- many at once
// ---------------------------------------------------------------------------------

TEST_F(RegistryTest, ConcurrentChangesOfOneContainerAreAllApplied) {
  Insert(Id("a"), "web");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(registry
                        ->Change(Id("a"), node::v1::CONTAINER_EVENT_TYPE_UPDATED,
                                 [](ContainerRecord& record) {
                                   auto& container = *record.mutable_container();
                                   container.set_start_count(container.start_count() + 1);
                                   return absl::OkStatus();
                                 })
                        .ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registry->Get(Id("a"))->container().start_count(), 400);
  Reopen();
  EXPECT_EQ(registry->Get(Id("a"))->container().start_count(), 400);
}

// A change that is stuck holds up neither readers nor other containers.
TEST_F(RegistryTest, StuckChangeDelaysNobodyElse) {
  Insert(Id("a"), "stuck");
  Insert(Id("b"), "free");
  absl::Notification inside, go_on;
  std::thread stuck([&] {
    EXPECT_TRUE(registry
                    ->Change(Id("a"), node::v1::CONTAINER_EVENT_TYPE_UPDATED,
                             [&](ContainerRecord&) {
                               inside.Notify();
                               go_on.WaitForNotification();
                               return absl::OkStatus();
                             })
                    .ok());
  });
  inside.WaitForNotification();
  EXPECT_TRUE(registry->Find("stuck").ok());
  EXPECT_EQ(registry->List({})->containers_size(), 2);
  EXPECT_TRUE(Become(Id("b"), node::v1::CONTAINER_STATE_CREATED).ok());
  EXPECT_TRUE(registry->Remove(Id("b")).ok());
  Insert(Id("c"), "new");
  go_on.Notify();
  stuck.join();
}

TEST_F(RegistryTest, InsertChangeAndRemoveUnderThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string id = Id(absl::StrCat("f", t, "e", i));
        ASSERT_TRUE(registry->Insert(Record(id, absl::StrCat("c-", t, "-", i))).ok());
        ASSERT_TRUE(Become(id, node::v1::CONTAINER_STATE_CREATED).ok());
        registry->All();
        if (i % 2 == 1) continue;
        ASSERT_TRUE(registry->Remove(id).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registry->All().size(), 100u);
  std::set<int64_t> revisions;
  for (const Snapshot& one : registry->All()) revisions.insert(one->container().revision());
  EXPECT_EQ(revisions.size(), 100u) << "revisions are unique";
  Reopen();
  EXPECT_EQ(registry->All().size(), 100u);
}

}  // namespace
}  // namespace noded
