// What the tests of this room share: a directory that goes away, records, a store on a disk that
// refuses on request, and streams read to their end.
#ifndef TESTS_UNIT_NODE_RECORDS_FIXTURE_H_
#define TESTS_UNIT_NODE_RECORDS_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "node/base/status.h"
#include "node/registry.h"
#include "node/state_store.h"
#include "node/streams.h"

namespace noded {

class TempDir {
 public:
  TempDir() {
    // In memory where there is such a place: what is synced waits for no disk that others use.
    const bool memory = access("/dev/shm", W_OK) == 0;
    std::string pattern = (memory ? "/dev/shm" : std::filesystem::temp_directory_path().string()) +
                          "/noded-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline void WriteFile(const std::string& path, const std::string& content) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}
inline void AppendFile(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::app) << content;
}
inline std::string ReadWhole(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

// Padded to the 64 digits of a real one.
inline std::string Id(std::string digits) {
  digits.resize(64, 'f');
  return digits;
}

inline ContainerRecord Record(const std::string& id, const std::string& name,
                              const std::string& request_id = "",
                              const std::string& digest = "digest") {
  ContainerRecord record;
  record.set_schema_version(1);
  node::v1::Container& container = *record.mutable_container();
  container.set_id(id);
  container.set_name(name);
  container.set_state(node::v1::CONTAINER_STATE_CREATING);
  container.mutable_spec()->set_name(name);
  container.mutable_spec()->mutable_root()->set_host_directory("/srv/root");
  container.mutable_spec()->mutable_process()->add_argv("/bin/true");
  if (!request_id.empty()) {
    record.set_request_id(request_id);
    record.set_request_digest(digest);
  }
  return record;
}

// Fails what it is told to, and passes the rest on.
class RefusingStore : public StateStore {
 public:
  explicit RefusingStore(StateStore* real) : real_(real) {}

  std::atomic<bool> refuse_save{false};
  std::atomic<bool> refuse_delete{false};
  std::atomic<bool> refuse_request{false};
  std::atomic<bool> refuse_revision{false};
  std::atomic<int> saves{0};

  absl::StatusOr<Loaded> Load() override { return real_->Load(); }
  absl::Status Save(const ContainerRecord& record) override {
    ++saves;
    return refuse_save ? NoSpace() : real_->Save(record);
  }
  absl::Status Delete(const std::string& id) override {
    return refuse_delete ? NoSpace() : real_->Delete(id);
  }
  absl::Status SaveRequest(const RequestRecord& record) override {
    return refuse_request ? NoSpace() : real_->SaveRequest(record);
  }
  absl::StatusOr<RequestRecord> LoadRequest(const std::string& request_id) override {
    return real_->LoadRequest(request_id);
  }
  absl::Status DeleteRequest(const std::string& id) override { return real_->DeleteRequest(id); }
  absl::Status CoverRevision(int64_t revision) override {
    return refuse_revision ? NoSpace() : real_->CoverRevision(revision);
  }
  const std::string& root() const override { return real_->root(); }
  std::string ContainerDirectory(const std::string& id) const override {
    return real_->ContainerDirectory(id);
  }

 private:
  static absl::Status NoSpace() {
    return absl::ResourceExhaustedError("save: no space left on device");
  }
  StateStore* const real_;
};

// A registry over a root of its own; Reopen is what a restart of noded does.
class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() { Reopen(); }

  void Reopen() {
    registry.reset();
    store.reset();
    disk.reset();
    auto opened = StateStore::Open(root / "state");
    ASSERT_TRUE(opened.ok()) << opened.status();
    disk = *std::move(opened);
    store = std::make_unique<RefusingStore>(disk.get());
    auto loaded = store->Load();
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    auto created = Registry::Create(store.get(), *std::move(loaded));
    ASSERT_TRUE(created.ok()) << created.status();
    registry = *std::move(created);
  }

  Snapshot Insert(const std::string& id, const std::string& name,
                  const std::string& request_id = "") {
    auto inserted = registry->Insert(Record(id, name, request_id));
    EXPECT_TRUE(inserted.ok()) << inserted.status();
    return inserted.ok() ? *inserted : nullptr;
  }
  absl::Status Become(const std::string& id, node::v1::ContainerState state,
                      Saving saving = Saving::kFirst) {
    return registry
        ->Change(
            id, node::v1::CONTAINER_EVENT_TYPE_UPDATED,
            [&](ContainerRecord& record) {
              record.mutable_container()->set_state(state);
              return absl::OkStatus();
            },
            saving)
        .status();
  }

  TempDir root;
  std::unique_ptr<StateStore> disk;
  std::unique_ptr<RefusingStore> store;
  std::unique_ptr<Registry> registry;
};

// The next message of a stream; the test fails when none comes within a minute.
template <typename Response>
absl::StatusOr<std::optional<Response>> NextOf(ResponseStream<Response>& stream) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable came;
    std::optional<absl::StatusOr<std::optional<Response>>> result;
  };
  auto shared = std::make_shared<Shared>();
  stream.Next([shared](absl::StatusOr<std::optional<Response>> result) {
    std::lock_guard lock(shared->mutex);
    shared->result = std::move(result);
    shared->came.notify_all();
  });
  std::unique_lock lock(shared->mutex);
  if (!shared->came.wait_for(lock, std::chrono::seconds(60),
                             [&] { return shared->result.has_value(); })) {
    stream.Cancel();
    return absl::DeadlineExceededError("no message within a minute");
  }
  return *std::move(shared->result);
}

MATCHER_P(HasCode, code, "") { return arg.code() == code; }
MATCHER_P(HasReason, reason, "") { return ReasonOf(arg) == std::string(reason); }
MATCHER_P(NamesField, field, "") {
  for (const FieldViolation& one : FieldViolationsOf(arg)) {
    if (one.field == field) return true;
  }
  return false;
}

}  // namespace noded

#endif  // TESTS_UNIT_NODE_RECORDS_FIXTURE_H_
