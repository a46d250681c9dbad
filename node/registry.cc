#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "node/base/string_view.h"
#include "node/container_state.h"
#include "node/memory_registry.h"
#include "node/record_json.h"

namespace noded {
namespace {

using node::v1::Container;
using node::v1::ContainerEventType;

constexpr absl::Duration kUpkeepInterval = absl::Seconds(1);

}  // namespace

MemoryRegistry::MemoryRegistry(StateStore* store, StateStore::Loaded loaded)
    : store_(store),
      log_(std::make_shared<ChangeLog>(loaded.next_revision - 1)),
      taken_(loaded.next_revision - 1),
      published_(loaded.next_revision - 1) {
  for (ContainerRecord& record : loaded.containers) Adopt(std::move(record));
  for (const auto& damaged : loaded.damaged) AdoptDamaged(damaged);
  std::sort(loaded.requests.begin(), loaded.requests.end(),
            [](const RequestRecord& a, const RequestRecord& b) {
              return a.expire_time().seconds() < b.expire_time().seconds();
            });
  {
    absl::MutexLock lock(&mutex_);
    for (const RequestRecord& record : loaded.requests) {
      requests_.Remember(record.request_id(),
                         absl::FromUnixSeconds(record.expire_time().seconds()));
    }
  }
  upkeep_ = std::thread([this] { Upkeep(); });
}

MemoryRegistry::~MemoryRegistry() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  upkeep_.join();
  SaveChanged();
  log_->Close();
}

void MemoryRegistry::Adopt(ContainerRecord record) {
  auto entry = std::make_shared<Entry>();
  absl::MutexLock lock(&mutex_);
  const Container& container = record.container();
  names_.emplace(container.name(), container.id());
  requests_.Hold(record.request_id(), container.id());
  entries_.emplace(container.id(), entry);
  entry->published = true;
  entry->snapshot = std::make_shared<const ContainerRecord>(std::move(record));
}

void MemoryRegistry::AdoptDamaged(const StateStore::Loaded::Damaged& damaged) {
  ContainerRecord record;
  record.set_schema_version(kRecordSchemaVersion);
  Container& container = *record.mutable_container();
  container.set_id(damaged.id);
  container.set_name(absl::StrCat("c-", damaged.id.substr(0, 12)));
  container.set_state(node::v1::CONTAINER_STATE_UNKNOWN);
  container.set_error(absl::StrCat("record could not be read: ", damaged.reason));
  container.set_log_directory(absl::StrCat(store_->ContainerDirectory(damaged.id), "/log"));
  container.set_revision(revision());
  if (!store_->Save(record).ok()) {
    absl::MutexLock lock(&mutex_);
    unsaved_.insert(damaged.id);
  }
  Adopt(std::move(record));
}

// --- changing
// -------------------------------------------------------------------------------------

MemoryRegistry::EntryPtr MemoryRegistry::FindEntry(const std::string& id) const {
  absl::ReaderMutexLock lock(&mutex_);
  auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second;
}

int64_t MemoryRegistry::TakeRevision() {
  absl::MutexLock lock(&mutex_);
  in_turn_.insert(++taken_);
  return taken_;
}

void MemoryRegistry::DropRevision(int64_t revision) {
  absl::MutexLock lock(&mutex_);
  in_turn_.erase(revision);
}

void MemoryRegistry::Publish(Entry& entry, const Snapshot& next, ContainerEventType type,
                             bool remove) {
  const int64_t revision = next->container().revision();
  LoggedChange logged = MakeChange(type, absl::Now(), next->container(), entry.constant);
  absl::MutexLock lock(&mutex_);
  auto my_turn = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return *in_turn_.begin() == revision;
  };
  mutex_.Await(absl::Condition(&my_turn));
  in_turn_.erase(revision);
  published_ = revision;
  if (remove) {
    EraseEntry(next->container());
  } else {
    entry.snapshot = next;
    entry.published = true;
  }
  log_->Append(std::move(logged));
  entry.observers->Push(remove ? nullptr : next);
}

void MemoryRegistry::EraseEntry(const Container& container) {
  auto found = entries_.find(container.id());
  requests_.Release(found->second->snapshot->request_id());
  auto name = names_.find(container.name());
  if (name != names_.end() && name->second == container.id()) names_.erase(name);
  unsaved_.erase(container.id());
  changed_.erase(container.id());
  entries_.erase(found);
}

absl::Status MemoryRegistry::Reserve(const EntryPtr& entry, const Snapshot& snapshot) {
  const Container& container = snapshot->container();
  const std::string& request_id = snapshot->request_id();
  absl::MutexLock lock(&mutex_);
  // Before the name, because a repeat has the same name and must get the first one's answer.
  if (requests_.HolderOf(request_id) != nullptr || requests_.Remembers(request_id, absl::Now())) {
    return WithReason(absl::AlreadyExistsError("request_id is in use"), reason::kRequestIdReused);
  }
  if (entries_.contains(container.id())) {
    return absl::AlreadyExistsError(absl::StrCat("container ", container.id(), " exists"));
  }
  if (auto name = names_.find(container.name()); name != names_.end()) {
    return WithReason(absl::AlreadyExistsError(absl::StrCat(
                          "name \"", container.name(), "\" is in use by container ", name->second)),
                      reason::kNameInUse);
  }
  entry->snapshot = snapshot;
  entries_.emplace(container.id(), entry);
  names_.emplace(container.name(), container.id());
  requests_.Hold(request_id, container.id());
  return absl::OkStatus();
}

void MemoryRegistry::Unreserve(Entry& entry) {
  entry.removed = true;
  absl::MutexLock lock(&mutex_);
  EraseEntry(entry.snapshot->container());
  entry.observers->Push(nullptr);
}

absl::StatusOr<Snapshot> MemoryRegistry::Insert(ContainerRecord record) {
  record.set_schema_version(kRecordSchemaVersion);
  if (!IsContainerId(record.container().id()) || record.container().name().empty()) {
    return absl::InternalError("insert container: no id or no name");
  }
  const int64_t revision = TakeRevision();
  auto drop = absl::MakeCleanup([&] { DropRevision(revision); });
  record.mutable_container()->set_revision(revision);
  Snapshot snapshot = std::make_shared<const ContainerRecord>(std::move(record));
  auto entry = std::make_shared<Entry>();
  absl::Status saved;
  {
    // Before it can be found, so that nobody changes what is only reserved.
    absl::MutexLock changing(&entry->change);
    RETURN_IF_ERROR(Reserve(entry, snapshot));
    saved = store_->CoverRevision(revision);
    if (saved.ok()) saved = store_->Save(*snapshot);
    if (saved.ok()) {
      Publish(*entry, snapshot, node::v1::CONTAINER_EVENT_TYPE_CREATED);
      std::move(drop).Cancel();
    } else {
      Unreserve(*entry);
    }
  }
  entry->observers->Drain();
  if (!saved.ok()) return saved;
  return snapshot;
}

absl::StatusOr<Snapshot> MemoryRegistry::Change(
    const std::string& id, ContainerEventType type,
    absl::AnyInvocable<absl::Status(ContainerRecord&)> change, Saving saving) {
  EntryPtr entry = FindEntry(id);
  if (entry == nullptr) return ContainerNotFound(id);
  Snapshot next;
  {
    absl::MutexLock changing(&entry->change);
    if (entry->removed) return ContainerNotFound(id);
    Snapshot present = Get(id);
    auto edited = std::make_shared<ContainerRecord>(*present);
    RETURN_IF_ERROR(change(*edited));
    const Container& before = present->container();
    Container& after = *edited->mutable_container();
    if (!MayBecome(before.state(), after.state())) {
      return WithReason(
          absl::FailedPreconditionError(absl::StrCat(
              "container \"", before.name(), "\" is ", AsAbsl(StateName(before.state())),
              " and cannot become ", AsAbsl(StateName(after.state())))),
          reason::kWrongState);
    }
    // What it is found by stays.
    after.set_id(before.id());
    after.set_name(before.name());
    edited->set_request_id(present->request_id());
    const int64_t revision = TakeRevision();
    auto drop = absl::MakeCleanup([&] { DropRevision(revision); });
    after.set_revision(revision);
    absl::Status saved = store_->CoverRevision(revision);
    if (saving != Saving::kAfterwards && (saved.ok() || saving == Saving::kIfPossible)) {
      saved.Update(store_->Save(*edited));
    }
    if (!saved.ok() && saving == Saving::kFirst) return saved;
    next = std::move(edited);
    Publish(*entry, next, type);
    std::move(drop).Cancel();
    absl::MutexLock lock(&mutex_);
    if (saving == Saving::kAfterwards) {
      changed_.insert(id);
    } else if (saved.ok()) {
      unsaved_.erase(id);
    } else {
      unsaved_.insert(id);
    }
  }
  entry->observers->Drain();
  return next;
}

absl::Status MemoryRegistry::RememberRequest(const ContainerRecord& record) {
  if (record.request_id().empty()) return absl::OkStatus();
  RequestRecord request;
  request.set_schema_version(kRecordSchemaVersion);
  request.set_request_id(record.request_id());
  request.set_request_digest(record.request_digest());
  *request.mutable_container() = record.container();
  absl::MutexLock files(&request_files_);
  const absl::Time expires = absl::Now() + RequestMemory::kKept;
  request.mutable_expire_time()->set_seconds(absl::ToUnixSeconds(expires));
  RETURN_IF_ERROR(store_->SaveRequest(request));
  absl::MutexLock lock(&mutex_);
  requests_.Remember(record.request_id(), expires);
  return absl::OkStatus();
}

absl::Status MemoryRegistry::Remove(const std::string& id, bool forget) {
  EntryPtr entry = FindEntry(id);
  if (entry == nullptr) return ContainerNotFound(id);
  {
    absl::MutexLock changing(&entry->change);
    if (entry->removed) return ContainerNotFound(id);
    Snapshot present = Get(id);
    // First, because a crash must leave the record or the memory of it, or a repeat of the request
    // would make a second container.
    if (!forget) RETURN_IF_ERROR(RememberRequest(*present));
    if (absl::Status deleted = store_->Delete(id); !deleted.ok()) {
      // Part of the directory may be gone, the record too.
      if (!store_->Save(*present).ok()) {
        absl::MutexLock lock(&mutex_);
        unsaved_.insert(id);
      }
      return deleted;
    }
    entry->removed = true;
    auto last = std::make_shared<ContainerRecord>(*present);
    // Taken only now, because a large directory takes its time and others wait for their turn.
    const int64_t revision = TakeRevision();
    last->mutable_container()->set_revision(revision);
    // It is gone: when the disk refuses the bound, that must be told all the same.
    (void)store_->CoverRevision(revision);
    Publish(*entry, last, node::v1::CONTAINER_EVENT_TYPE_REMOVED, /*remove=*/true);
  }
  entry->observers->Drain();
  return absl::OkStatus();
}

// --- upkeep
// ---------------------------------------------------------------------------------------

void MemoryRegistry::Upkeep() {
  while (true) {
    std::set<std::string> unsaved;
    {
      absl::MutexLock lock(&mutex_);
      auto wanted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !unsaved_.empty() || requests_.remembers_any();
      };
      mutex_.Await(absl::Condition(&wanted));
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kUpkeepInterval)) return;
      unsaved = unsaved_;
    }
    Save(unsaved);
    ForgetRequests();
  }
}

void MemoryRegistry::SaveChanged() {
  std::set<std::string> changed;
  {
    absl::MutexLock lock(&mutex_);
    changed.swap(changed_);
  }
  Save(changed);
}

void MemoryRegistry::Save(const std::set<std::string>& ids) {
  for (const std::string& id : ids) {
    EntryPtr entry = FindEntry(id);
    if (entry == nullptr) continue;
    absl::MutexLock changing(&entry->change);
    Snapshot present = entry->removed ? nullptr : Get(id);
    if (present == nullptr) continue;
    const bool saved = store_->Save(*present).ok();
    absl::MutexLock lock(&mutex_);
    if (saved) {
      unsaved_.erase(id);
    } else {
      unsaved_.insert(id);
    }
  }
}

void MemoryRegistry::ForgetRequests() {
  absl::MutexLock files(&request_files_);
  std::vector<std::string> forgotten;
  {
    absl::MutexLock lock(&mutex_);
    forgotten = requests_.Forget(absl::Now());
  }
  // What stays behind is deleted at the next start.
  for (const std::string& request_id : forgotten) (void)store_->DeleteRequest(request_id);
}

absl::StatusOr<std::unique_ptr<Registry>> Registry::Create(StateStore* store,
                                                           StateStore::Loaded loaded) {
  return std::make_unique<MemoryRegistry>(store, std::move(loaded));
}

}  // namespace noded
