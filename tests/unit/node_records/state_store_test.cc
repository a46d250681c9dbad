#include "node/state_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "absl/time/clock.h"
#include "node/record_json.h"
#include "tests/unit/node_records/fixture.h"

namespace noded {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class StateStoreTest : public ::testing::Test {
 protected:
  StateStoreTest() { Open(); }
  void Open() {
    store.reset();  // also syncs what waits
    auto opened = StateStore::Open(path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    store = *std::move(opened);
  }
  StateStore::Loaded Reload() {
    Open();
    auto loaded = store->Load();
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded.ok() ? *std::move(loaded) : StateStore::Loaded{};
  }
  std::string path() const { return dir / "state"; }
  std::string RecordPath(const std::string& id) const {
    return path() + "/containers/" + id + "/container.json";
  }
  // As another process leaves it: under its name only, so that no other name shows it too.
  void Replace(const std::string& id, const std::string& content) {
    fs::remove(RecordPath(id));
    fs::remove(RecordPath(id) + ".synced");
    WriteFile(RecordPath(id), content);
  }
  std::vector<std::string> Names(const std::string& directory) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path() + "/" + directory)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  TempDir dir;
  std::unique_ptr<StateStore> store;
};

TEST_F(StateStoreTest, SavedRecordsComeBack) {
  ContainerRecord web = Record(Id("a"), "web", "request-1");
  web.mutable_container()->set_revision(7);
  web.mutable_container()->mutable_exit_status()->set_code(0);  // set, and 0
  web.mutable_container()->mutable_create_time()->set_seconds(1700000000);
  web.mutable_container()->mutable_create_time()->set_nanos(123456789);
  (*web.mutable_container()->mutable_spec()->mutable_labels())["ключ"] = "\"quoted\"\n\x01";
  web.set_start_ticks(18446744073709551615u);
  ASSERT_TRUE(store->Save(web).ok());
  ASSERT_TRUE(store->Save(Record(Id("b"), "db")).ok());
  auto loaded = Reload();
  ASSERT_THAT(loaded.containers, SizeIs(2));
  EXPECT_EQ(loaded.containers[0].SerializeAsString(), web.SerializeAsString());
  EXPECT_EQ(loaded.containers[1].container().name(), "db");
  EXPECT_THAT(loaded.damaged, IsEmpty());
}

TEST_F(StateStoreTest, FilesAreReadableAndPrivate) {
  ASSERT_TRUE(store->Save(Record(Id("a"), "web")).ok());
  std::string json = ReadWhole(RecordPath(Id("a")));
  EXPECT_THAT(json, HasSubstr("\"schema_version\": 1"));
  EXPECT_THAT(json, HasSubstr("\"state\": \"CONTAINER_STATE_CREATING\""));
  for (const char* name : {"", "/containers", "/requests", "/damaged"}) {
    struct stat info;
    ASSERT_EQ(stat((path() + name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777, 0700u) << name;
  }
}

TEST_F(StateStoreTest, TheLastSaveWins) {
  ContainerRecord record = Record(Id("a"), "web");
  for (int i = 1; i <= 50; ++i) {
    record.mutable_container()->set_start_count(i);
    ASSERT_TRUE(store->Save(record).ok());
  }
  EXPECT_EQ(Reload().containers.at(0).container().start_count(), 50);
}

struct BadRecord {
  const char* title;
  std::string content;
  const char* reason;
};

TEST_F(StateStoreTest, WhatCannotBeReadIsSetAsideAndStopsNothing) {
  const std::string good = R"({"schema_version": 1, "container": {"id": ")" + Id("bad") +
                           R"(", "name": "x", "state": "CONTAINER_STATE_EXITED"}})";
  const BadRecord kBad[] = {
      {"empty", "", "torn or damaged"},
      {"truncated", good.substr(0, good.size() - 5), "torn or damaged"},
      {"truncated in the middle", good.substr(0, good.size() / 2), "torn or damaged"},
      {"zeros", std::string(4096, '\0'), "torn or damaged"},
      {"garbage", "\xff\xfe\x00garbage", "torn or damaged"},
      {"another JSON", "[1, 2]", "torn or damaged"},
      {"wrong type", R"({"schema_version": {}})", "torn or damaged"},
      {"deep", std::string(100000, '['), "torn or damaged"},
      {"no version", R"({"container": {"id": "x"}})", "no schema version"},
      {"later version", R"({"schema_version": 2, "anything": {"else": 1}})", "later than 1"},
      {"of another container",
       R"({"schema_version": 1, "container": {"id": "other", "name": "x"}})",
       "not of this container"},
      {"no name", R"({"schema_version": 1, "container": {"id": ")" + Id("bad") + R"("}})",
       "no name"},
      {"unknown state",
       R"({"schema_version": 1, "container": {"id": ")" + Id("bad") +
           R"(", "name": "x", "state": "CONTAINER_STATE_MELTED"}})",
       "no state"},
  };
  for (const BadRecord& bad : kBad) {
    SCOPED_TRACE(bad.title);
    ASSERT_TRUE(store->Save(Record(Id("0dd"), "healthy")).ok());
    Replace(Id("bad"), bad.content);
    auto loaded = Reload();
    ASSERT_THAT(loaded.containers, SizeIs(1));
    EXPECT_EQ(loaded.containers[0].container().name(), "healthy");
    ASSERT_THAT(loaded.damaged, SizeIs(1));
    EXPECT_EQ(loaded.damaged[0].id, Id("bad"));
    EXPECT_THAT(loaded.damaged[0].reason, HasSubstr(bad.reason));
    // Kept for a person to look at.
    auto aside = Names("damaged");
    ASSERT_THAT(aside, SizeIs(1));
    EXPECT_TRUE(aside[0].starts_with(Id("bad") + "-")) << aside[0];
    EXPECT_EQ(ReadWhole(path() + "/damaged/" + aside[0]), bad.content);
    EXPECT_FALSE(fs::exists(RecordPath(Id("bad"))));
    fs::remove(path() + "/damaged/" + aside[0]);
  }
}

TEST_F(StateStoreTest, EveryTruncationIsNoticed) {
  ASSERT_TRUE(store->Save(Record(Id("a"), "web")).ok());
  const std::string whole = ReadWhole(RecordPath(Id("a")));
  for (size_t size = 0; size < whole.size(); ++size) {
    // The newline after the last brace is no part of it.
    const bool complete = whole.find_last_of('}') < size;
    ASSERT_EQ(DecodeContainerRecord(whole.substr(0, size), Id("a")).ok(), complete) << size;
  }
}

TEST_F(StateStoreTest, UnknownFieldsOfTheSameSchemaAreIgnored) {
  Replace(Id("a"), R"({"schema_version": 1, "new_field": [1, {"x": null}], "container": {"id": ")" +
                       Id("a") +
                       R"(", "name": "x", "state": "CONTAINER_STATE_EXITED", "newer": true}})");
  auto loaded = Reload();
  ASSERT_THAT(loaded.containers, SizeIs(1));
  EXPECT_EQ(loaded.containers[0].container().state(), node::v1::CONTAINER_STATE_EXITED);
}

TEST_F(StateStoreTest, DirectoryWithoutRecordIsDamaged) {
  fs::create_directories(path() + "/containers/" + Id("e"));
  auto loaded = Reload();
  ASSERT_THAT(loaded.damaged, SizeIs(1));
  EXPECT_EQ(loaded.damaged[0].reason, "no record");
}

TEST_F(StateStoreTest, WhatIsNoContainersDirectoryIsLeftAlone) {
  WriteFile(path() + "/containers/README", "hello");
  fs::create_directory_symlink("/etc", path() + "/containers/" + Id("1"));
  fs::create_directories(path() + "/containers/lost+found");
  auto loaded = Reload();
  EXPECT_THAT(loaded.containers, IsEmpty());
  EXPECT_THAT(loaded.damaged, IsEmpty());
  EXPECT_THAT(Names("containers"), SizeIs(3));
}

// Power loss as a file system without ordered data leaves it: the last rename is there, the data of
// the renamed file is not.
TEST_F(StateStoreTest, PowerLossLeavesTheVersionBefore) {
  ContainerRecord record = Record(Id("a"), "web");
  record.mutable_container()->set_start_count(1);
  ASSERT_TRUE(store->Save(record).ok());
  Open();  // ends the store: version 1 is on disk
  // Version 2, as the disk has it.
  fs::remove(RecordPath(Id("a")));
  WriteFile(RecordPath(Id("a")), std::string(700, '\0'));
  auto loaded = store->Load();
  ASSERT_TRUE(loaded.ok());
  ASSERT_THAT(loaded->containers, SizeIs(1));
  EXPECT_EQ(loaded->containers[0].container().start_count(), 1);
  EXPECT_THAT(loaded->damaged, IsEmpty());
  EXPECT_THAT(Names("damaged"), SizeIs(1));
}

TEST_F(StateStoreTest, BackgroundSyncKeepsTheDurableVersionUnderItsSecondName) {
  ContainerRecord record = Record(Id("a"), "web");
  ASSERT_TRUE(store->Save(record).ok());
  const std::string synced = RecordPath(Id("a")) + ".synced";
  for (int i = 0; i < 6000 && !fs::exists(synced); ++i) absl::SleepFor(absl::Milliseconds(10));
  ASSERT_TRUE(fs::exists(synced)) << "not synced within a minute";
  EXPECT_TRUE(fs::equivalent(synced, RecordPath(Id("a"))));
  Open();
  EXPECT_THAT(Names("containers/" + Id("a")),
              ElementsAre("container.json", "container.json.synced"));
}

TEST_F(StateStoreTest, LeftoversOfACrashAreRemoved) {
  ASSERT_TRUE(store->Save(Record(Id("a"), "web")).ok());
  WriteFile(RecordPath(Id("a")) + ".tmp", "{\"schema_ver");
  WriteFile(path() + "/containers/.removed-" + Id("b") + "/upper/file", "x");
  WriteFile(path() + "/requests/abc.json.tmp", "{");
  auto loaded = Reload();
  EXPECT_THAT(loaded.containers, SizeIs(1));
  EXPECT_THAT(loaded.damaged, IsEmpty());
  EXPECT_THAT(Names("containers"), ElementsAre(Id("a")));
  EXPECT_FALSE(fs::exists(RecordPath(Id("a")) + ".tmp"));
  EXPECT_THAT(Names("requests"), IsEmpty());
}

TEST_F(StateStoreTest, DeleteRemovesTheWholeDirectory) {
  ASSERT_TRUE(store->Save(Record(Id("a"), "web")).ok());
  WriteFile(path() + "/containers/" + Id("a") + "/upper/deep/er/file", "x");
  fs::create_directory_symlink("/etc", path() + "/containers/" + Id("a") + "/upper/link");
  EXPECT_EQ(store->Delete(Id("a")), absl::OkStatus());
  EXPECT_THAT(Names("containers"), IsEmpty());
  EXPECT_TRUE(fs::exists("/etc/passwd"));
  EXPECT_EQ(store->Delete(Id("a")), absl::OkStatus());  // a missing one is fine
  EXPECT_THAT(Reload().containers, IsEmpty());
}

TEST_F(StateStoreTest, IdsAreNoPaths) {
  for (const char* id : {"", ".", "..", "../x", "a/b", ".removed-x"}) {
    EXPECT_FALSE(store->Save(Record(id, "web")).ok()) << id;
    EXPECT_FALSE(store->Delete(id).ok()) << id;
  }
  EXPECT_TRUE(fs::exists(path() + "/containers"));
}

// A file where the directory should be: refused to everybody, root too.
TEST_F(StateStoreTest, RefusingDiskIsAnErrorAndLeavesTheOldRecord) {
  ContainerRecord record = Record(Id("a"), "web");
  ASSERT_TRUE(store->Save(record).ok());
  fs::create_directory(RecordPath(Id("a")) + ".tmp");
  record.mutable_container()->set_start_count(5);
  absl::Status saved = store->Save(record);
  EXPECT_FALSE(saved.ok());
  EXPECT_THAT(std::string(saved.message()), HasSubstr("save container " + Id("a")));
  fs::remove(RecordPath(Id("a")) + ".tmp");
  EXPECT_EQ(Reload().containers.at(0).container().start_count(), 0);

  WriteFile(path() + "/containers/" + Id("b"), "a file");
  EXPECT_FALSE(store->Save(Record(Id("b"), "db")).ok());
}

TEST_F(StateStoreTest, RootThatWasReplacedIsAnError) {
  fs::remove_all(path() + "/containers");
  absl::Status saved = store->Save(Record(Id("a"), "web"));
  EXPECT_FALSE(saved.ok());
  EXPECT_FALSE(absl::IsNotFound(saved)) << "a host's ENOENT is not a client's NOT_FOUND";
}

TEST_F(StateStoreTest, RequestsAreRememberedUntilTheyExpire) {
  auto request = [](const std::string& id, absl::Time expires) {
    RequestRecord record;
    record.set_schema_version(1);
    record.set_request_id(id);
    record.set_request_digest("d");
    record.mutable_container()->set_id(Id("a"));
    record.mutable_expire_time()->set_seconds(absl::ToUnixSeconds(expires));
    return record;
  };
  const std::string slashes = "../../etc/passwd\n";
  ASSERT_TRUE(store->SaveRequest(request(slashes, absl::Now() + absl::Minutes(5))).ok());
  ASSERT_TRUE(store->SaveRequest(request("old", absl::Now() - absl::Seconds(1))).ok());
  WriteFile(path() + "/requests/torn.json", "{");
  auto loaded = Reload();
  ASSERT_THAT(loaded.requests, SizeIs(1));
  EXPECT_EQ(loaded.requests[0].request_id(), slashes);
  EXPECT_THAT(Names("requests"), SizeIs(1));
  EXPECT_THAT(Names("damaged"), SizeIs(1));
  auto one = store->LoadRequest(slashes);
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(one->container().id(), Id("a"));
  EXPECT_TRUE(store->DeleteRequest(slashes).ok());
  EXPECT_TRUE(absl::IsNotFound(store->LoadRequest(slashes).status()));
}

TEST_F(StateStoreTest, RevisionsAreNeverGivenOutTwice) {
  int64_t last = 0;
  for (int restart = 0; restart < 4; ++restart) {
    const int64_t next = Reload().next_revision;
    EXPECT_GT(next, last);
    for (last = next; last < next + 25'000; ++last) {
      ASSERT_TRUE(store->CoverRevision(last).ok());
    }
  }
}

TEST_F(StateStoreTest, LostRevisionFileIsPassedByFar) {
  ContainerRecord record = Record(Id("a"), "web");
  record.mutable_container()->set_revision(4711);
  EXPECT_EQ(Reload().next_revision, 1);
  ASSERT_TRUE(store->Save(record).ok());
  for (const char* content : {"", "garbage", "-5", "99999999999999999999"}) {
    WriteFile(path() + "/revision", content);
    EXPECT_GT(Reload().next_revision, 4711) << content;
  }
  WriteFile(path() + "/revision", "12\n");  // lower than what was given out
  EXPECT_EQ(Reload().next_revision, 4712);
  fs::remove(path() + "/revision");
  EXPECT_GT(Reload().next_revision, 100'000);
}

TEST_F(StateStoreTest, SecondDaemonIsToldWhoHasTheRoot) {
  absl::Status second = StateStore::Open(path()).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.message()), HasSubstr(std::to_string(getpid())));
  EXPECT_THAT(std::string(second.message()), HasSubstr("another noded has it"));
}

TEST_F(StateStoreTest, LockIsGivenBackWhenItsHolderIsKilled) {
  store.reset();
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  pid_t child = fork();
  if (child == 0) {
    auto held = StateStore::Open(path());
    char ok = held.ok() ? 'y' : 'n';
    (void)!write(ready[1], &ok, 1);
    pause();
  }
  char ok = 0;
  ASSERT_EQ(read(ready[0], &ok, 1), 1);
  EXPECT_EQ(ok, 'y');
  EXPECT_FALSE(StateStore::Open(path()).ok());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  EXPECT_TRUE(StateStore::Open(path()).ok());
}

TEST(StateStore, RootMustBeAnAbsolutePath) {
  for (const char* root : {"", "relative", "/tmp/x/"}) {
    EXPECT_EQ(StateStore::Open(root).status().code(), absl::StatusCode::kInvalidArgument) << root;
  }
  EXPECT_FALSE(StateStore::Open("/proc/nothing/here").ok());
}

}  // namespace
}  // namespace noded
