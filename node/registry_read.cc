#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "node/container_filter.h"
#include "node/memory_registry.h"

namespace noded {
namespace {

using node::v1::Container;
using node::v1::ListRequest;
using node::v1::ListResponse;
using node::v1::WatchRequest;
using node::v1::WatchResponse;

constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;
constexpr size_t kMaxPageBytes = 1 << 20;
constexpr size_t kMaxQuoted = 128;

absl::Status RequestIdReused() {
  return WithReason(InvalidField("request_id", "was used before, for a different request"),
                    reason::kRequestIdReused);
}

// A stream that only tells why there is none.
class FailedWatch : public ResponseStream<WatchResponse> {
 public:
  explicit FailedWatch(absl::Status status) : status_(std::move(status)) {}
  void Next(Ready ready) override { ready(status_); }
  void Cancel() override {}

 private:
  const absl::Status status_;
};

}  // namespace

absl::Status ContainerNotFound(const std::string& reference) {
  const std::string which = reference.size() <= kMaxQuoted
                                ? absl::StrCat("no container \"", reference, "\"")
                                : "no container of this name or id";
  return WithReason(absl::NotFoundError(which), reason::kContainerNotFound);
}

absl::StatusOr<Snapshot> MemoryRegistry::Find(const std::string& reference) const {
  if (reference.empty())
    return InvalidField("container", "must be an id, a prefix of one or a name");
  absl::ReaderMutexLock lock(&mutex_);
  auto found = entries_.find(reference);
  if (found == entries_.end()) {
    auto name = names_.find(reference);
    if (name != names_.end()) found = entries_.find(name->second);
  }
  if (found == entries_.end()) {
    found = entries_.lower_bound(reference);
    const auto end = entries_.end();
    if (found == end || !found->first.starts_with(reference)) return ContainerNotFound(reference);
    if (auto next = std::next(found); next != end && next->first.starts_with(reference)) {
      return WithReason(
          InvalidField("container",
                       absl::StrCat("\"", reference, "\" is the beginning of more than one id")),
          reason::kAmbiguousId);
    }
  }
  if (found == entries_.end() || !found->second->published) return ContainerNotFound(reference);
  return found->second->snapshot;
}

Snapshot MemoryRegistry::Get(const std::string& id) const {
  absl::ReaderMutexLock lock(&mutex_);
  auto found = entries_.find(id);
  return found == entries_.end() || !found->second->published ? nullptr : found->second->snapshot;
}

std::vector<Snapshot> MemoryRegistry::All() const {
  std::vector<Snapshot> all;
  absl::ReaderMutexLock lock(&mutex_);
  all.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) {
    if (entry->published) all.push_back(entry->snapshot);
  }
  return all;
}

absl::StatusOr<std::optional<Container>> MemoryRegistry::FindRequest(
    const std::string& request_id, const std::string& digest) const {
  Snapshot held;
  {
    absl::ReaderMutexLock lock(&mutex_);
    const std::string* holder = requests_.HolderOf(request_id);
    if (holder == nullptr && !requests_.Remembers(request_id, absl::Now())) return std::nullopt;
    if (holder != nullptr) held = entries_.at(*holder)->snapshot;
  }
  if (held != nullptr) {
    if (held->request_digest() != digest) return RequestIdReused();
    return held->container();
  }
  auto record = store_->LoadRequest(request_id);
  if (absl::IsNotFound(record.status())) return std::nullopt;  // it has just expired
  if (!record.ok()) return Annotate(record.status(), "look up request");
  if (record->request_digest() != digest) return RequestIdReused();
  return std::move(*record->mutable_container());
}

absl::StatusOr<ListResponse> MemoryRegistry::List(const ListRequest& request) const {
  Violations violations;
  CheckFilter(request.filter(), violations);
  if (request.page_size() < 0 || request.page_size() > kMaxPageSize) {
    violations.Add("page_size",
                   absl::StrCat("must be 1 to ", kMaxPageSize, ", or 0 for ", kDefaultPageSize));
  }
  std::string after;
  if (!request.page_token().empty()) {
    auto decoded = DecodePageToken(request.page_token(), request.filter());
    if (!decoded) {
      violations.Add("page_token", "must be a next_page_token that came with the same filter");
    }
    after = decoded.value_or("");
  }
  RETURN_IF_ERROR(violations.ToStatus());

  ListResponse response;
  const size_t wanted = request.page_size() == 0 ? kDefaultPageSize : request.page_size();
  std::vector<Snapshot> page;  // and one more, which tells that there is a next page
  {
    absl::ReaderMutexLock lock(&mutex_);
    response.set_revision(published_);
    auto entry = entries_.upper_bound(after);
    auto end = entries_.end();
    if (auto name = names_.find(request.filter().name()); name != names_.end()) {
      entry = after < name->second ? entries_.find(name->second) : end;
      if (entry != end) end = std::next(entry);
    } else if (!request.filter().name().empty()) {
      entry = end;
    }
    for (; entry != end && page.size() <= wanted; ++entry) {
      if (!entry->second->published) continue;
      if (!Matches(request.filter(), entry->second->snapshot->container())) continue;
      page.push_back(entry->second->snapshot);
    }
  }
  size_t bytes = 0;
  for (const Snapshot& snapshot : page) {
    bytes += snapshot->container().ByteSizeLong();
    const size_t listed = static_cast<size_t>(response.containers_size());
    if (listed == wanted || (listed > 0 && bytes > kMaxPageBytes)) {
      response.set_next_page_token(
          EncodePageToken(response.containers().rbegin()->id(), request.filter()));
      break;
    }
    *response.add_containers() = snapshot->container();
  }
  return response;
}

std::shared_ptr<ResponseStream<WatchResponse>> MemoryRegistry::Watch(const WatchRequest& request) {
  Violations violations;
  CheckFilter(request.filter(), violations);
  if (request.from_revision() < 0) violations.Add("from_revision", "must not be negative");
  if (absl::Status status = violations.ToStatus(); !status.ok()) {
    return std::make_shared<FailedWatch>(std::move(status));
  }
  if (request.from_revision() > 0) {
    return log_->WatchFrom(request.from_revision(), request.filter());
  }
  std::vector<Snapshot> snapshots;
  int64_t revision;
  {
    // Both at one moment, so that nothing is lost or repeated between snapshots and changes.
    absl::ReaderMutexLock lock(&mutex_);
    revision = published_;
    snapshots.reserve(entries_.size());
    for (const auto& [id, entry] : entries_) {
      if (entry->published) snapshots.push_back(entry->snapshot);
    }
  }
  return log_->WatchAfter(std::move(snapshots), revision, request.filter());
}

std::function<void()> MemoryRegistry::OnChange(const std::string& id, Seen seen) {
  std::shared_ptr<SnapshotObservers> observers;
  std::function<void()> end;
  {
    // Publishing excludes this, so no snapshot comes between the present one and the first new one.
    absl::ReaderMutexLock lock(&mutex_);
    if (auto found = entries_.find(id); found != entries_.end()) {
      observers = found->second->observers;
      end = observers->Add(found->second->snapshot, seen);
    }
  }
  if (observers == nullptr) {
    seen(nullptr);
    return [] {};
  }
  observers->Drain();
  return end;
}

}  // namespace noded
