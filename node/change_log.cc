#include "node/change_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/util/time_util.h"
#include "node/base/status.h"
#include "node/container_filter.h"

namespace noded {
namespace {

using node::v1::Container;
using node::v1::ContainerEvent;
using node::v1::ContainerEventType;
using node::v1::ContainerFilter;
using node::v1::WatchResponse;

// Bounds of one message; one event may be larger than the second alone.
constexpr size_t kMaxEvents = 256;
constexpr size_t kMaxBytes = 1 << 20;

void SetTime(absl::Time time, google::protobuf::Timestamp& out) {
  out = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(time));
}

}  // namespace

ContainerEvent LoggedChange::ToEvent() const {
  ContainerEvent event;
  event.ParseFromString(rest);
  event.mutable_container()->MergeFromString(*constant);
  return event;
}

LoggedChange MakeChange(ContainerEventType type, absl::Time time, const Container& container,
                        std::shared_ptr<const std::string>& constant) {
  ContainerEvent event;
  event.set_type(type);
  SetTime(time, *event.mutable_time());
  event.set_revision(container.revision());
  Container& rest = *event.mutable_container();
  rest = container;
  Container shared;
  shared.set_id(std::move(*rest.mutable_id()));
  shared.set_name(std::move(*rest.mutable_name()));
  shared.set_cgroup_path(std::move(*rest.mutable_cgroup_path()));
  shared.set_log_directory(std::move(*rest.mutable_log_directory()));
  if (rest.has_spec()) shared.set_allocated_spec(rest.release_spec());
  if (rest.has_create_time()) shared.set_allocated_create_time(rest.release_create_time());
  rest.clear_id();
  rest.clear_name();
  rest.clear_cgroup_path();
  rest.clear_log_directory();

  std::string serialized = shared.SerializeAsString();
  if (constant == nullptr || *constant != serialized) {
    constant = std::make_shared<const std::string>(std::move(serialized));
  }
  return {container.revision(), constant, event.SerializeAsString()};
}

// All that changes is guarded by the log's lock; answers are given without it.
class ChangeLog::Watcher : public WatchStream, public std::enable_shared_from_this<Watcher> {
 public:
  Watcher(std::shared_ptr<ChangeLog> log, ContainerFilter filter, int64_t next)
      : log_(std::move(log)), filter_(std::move(filter)), next_(next) {}

  void StartWith(std::vector<Snapshot> snapshots) {
    snapshots_ = std::move(snapshots);
    in_snapshots_ = true;
  }
  void Next(Ready ready) override {
    notice_due_ = absl::Now() + log_->options_.progress_interval;
    Serve(std::move(ready));
  }
  void Cancel() override;

 private:
  friend class ChangeLog;

  // Answers now, or waits in the log.
  void Serve(Ready ready);
  WatchResponse TakeSnapshots();
  bool AddMatching(const std::vector<LoggedChange>& changes, WatchResponse& response) const;

  const std::shared_ptr<ChangeLog> log_;
  const ContainerFilter filter_;
  // Used by the one thread that serves the outstanding Next.
  bool in_snapshots_ = false;
  std::vector<Snapshot> snapshots_;
  size_t snapshots_sent_ = 0;
  int64_t next_;  // revision
  // From the last message on, so that a watcher whose filter keeps all changes from it gets notices
  // too.
  absl::Time notice_due_;
  // Guarded by log_->mutex_.
  bool ended_ = false;
  Ready waiting_;
};

void ChangeLog::Watcher::Cancel() {
  Ready ready;
  {
    absl::MutexLock lock(&log_->mutex_);
    ended_ = true;
    ready = std::exchange(waiting_, nullptr);
    log_->waiting_.erase(shared_from_this());
  }
  if (ready) ready(absl::CancelledError("watch: cancelled"));
}

void ChangeLog::Watcher::Serve(Ready ready) {
  WatchResponse response;
  while (true) {
    std::vector<LoggedChange> changes;
    Found found = Found::kNothing;
    {
      absl::MutexLock lock(&log_->mutex_);
      if (ended_) break;
      if (!in_snapshots_) found = log_->Collect(next_, changes);
      if (found == Found::kClosed || found == Found::kCompacted) ended_ = true;
      if (found == Found::kNothing && !in_snapshots_) {
        response.set_revision(log_->last_revision_);
        if (absl::Now() < notice_due_) {
          waiting_ = std::move(ready);
          log_->waiting_.insert(shared_from_this());
          return;
        }
      }
    }
    if (found == Found::kClosed) {
      return ready(absl::UnavailableError("watch: noded is ending"));
    }
    if (found == Found::kCompacted) {
      return ready(WithReason(
          absl::OutOfRangeError("watch: changes from this revision on are no longer kept; list "
                                "again and watch from there"),
          reason::kRevisionCompacted));
    }
    if (in_snapshots_) return ready(TakeSnapshots());
    if (found == Found::kNothing) return ready(std::move(response));
    response.set_revision(changes.back().revision);
    if (AddMatching(changes, response)) return ready(std::move(response));
  }
  ready(absl::CancelledError("watch: cancelled"));
}

WatchResponse ChangeLog::Watcher::TakeSnapshots() {
  WatchResponse response;
  size_t bytes = 0;
  while (snapshots_sent_ < snapshots_.size() &&
         static_cast<size_t>(response.events_size()) < kMaxEvents && bytes < kMaxBytes) {
    const Container& container = snapshots_[snapshots_sent_]->container();
    if (Matches(filter_, container)) {
      const size_t size = container.ByteSizeLong();
      if (bytes > 0 && bytes + size > kMaxBytes) break;
      ContainerEvent* event = response.add_events();
      event->set_type(node::v1::CONTAINER_EVENT_TYPE_SNAPSHOT);
      SetTime(absl::Now(), *event->mutable_time());
      event->set_revision(container.revision());
      *event->mutable_container() = container;
      bytes += size;
    }
    snapshots_[snapshots_sent_++].reset();
  }
  if (snapshots_sent_ == snapshots_.size()) {
    // Only now, because a watcher that resumes from an earlier message would miss the rest.
    response.set_revision(next_ - 1);
    in_snapshots_ = false;
    snapshots_ = {};
  }
  return response;
}

bool ChangeLog::Watcher::AddMatching(const std::vector<LoggedChange>& changes,
                                     WatchResponse& response) const {
  for (const LoggedChange& change : changes) {
    ContainerEvent event = change.ToEvent();
    if (Matches(filter_, event.container())) *response.add_events() = std::move(event);
  }
  return response.events_size() > 0;
}

ChangeLog::ChangeLog(int64_t last_revision, Options options)
    : options_(options), first_kept_(last_revision + 1), last_revision_(last_revision) {
  thread_ = std::thread([this] { DeliverLoop(); });
}

void ChangeLog::Close() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  thread_.join();
}

void ChangeLog::Append(LoggedChange change) {
  LoggedChange dropped;  // destroyed after the lock is released
  absl::MutexLock lock(&mutex_);
  last_revision_ = change.revision;
  changes_.push_back(std::move(change));
  if (changes_.size() > options_.kept_changes) {
    dropped = std::move(changes_.front());
    changes_.pop_front();
    first_kept_ = dropped.revision + 1;
  }
  // Nobody is woken for nobody.
  appended_ = !waiting_.empty();
}

ChangeLog::Found ChangeLog::Collect(int64_t& from, std::vector<LoggedChange>& changes) {
  if (closed_) return Found::kClosed;
  if (from < first_kept_) return Found::kCompacted;
  auto change = std::lower_bound(
      changes_.begin(), changes_.end(), from,
      [](const LoggedChange& one, int64_t revision) { return one.revision < revision; });
  size_t bytes = 0;
  for (; change != changes_.end() && changes.size() < kMaxEvents; ++change) {
    bytes += change->bytes();
    if (!changes.empty() && bytes > kMaxBytes) break;
    changes.push_back(*change);
  }
  if (changes.empty()) return Found::kNothing;
  from = changes.back().revision + 1;
  return Found::kChanges;
}

std::shared_ptr<ChangeLog::WatchStream> ChangeLog::WatchFrom(int64_t from_revision,
                                                             ContainerFilter filter) {
  return std::make_shared<Watcher>(shared_from_this(), std::move(filter), from_revision);
}

std::shared_ptr<ChangeLog::WatchStream> ChangeLog::WatchAfter(std::vector<Snapshot> snapshots,
                                                              int64_t revision,
                                                              ContainerFilter filter) {
  // Changes come in the order of their revisions, snapshots too.
  std::sort(snapshots.begin(), snapshots.end(), [](const Snapshot& a, const Snapshot& b) {
    return a->container().revision() < b->container().revision();
  });
  auto watcher = std::make_shared<Watcher>(shared_from_this(), std::move(filter), revision + 1);
  watcher->StartWith(std::move(snapshots));
  return watcher;
}

void ChangeLog::DeliverLoop() {
  bool closed = false;
  while (!closed) {
    std::vector<std::pair<std::shared_ptr<Watcher>, Watcher::Ready>> served;
    {
      absl::MutexLock lock(&mutex_);
      absl::Time due = absl::InfiniteFuture();
      for (const auto& watcher : waiting_) due = std::min(due, watcher->notice_due_);
      // One that comes later is due later, so only the first to wait changes the deadline.
      const bool timed = !waiting_.empty();
      auto wanted = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return closed_ || appended_ || (!timed && !waiting_.empty());
      };
      mutex_.AwaitWithDeadline(absl::Condition(&wanted), due);
      closed = closed_;
      const bool all = std::exchange(appended_, false) || closed;
      const absl::Time now = absl::Now();
      std::erase_if(waiting_, [&](const std::shared_ptr<Watcher>& watcher) {
        if (!all && watcher->notice_due_ > now) return false;
        served.emplace_back(watcher, std::exchange(watcher->waiting_, nullptr));
        return true;
      });
    }
    for (auto& [watcher, ready] : served) watcher->Serve(std::move(ready));
  }
}

}  // namespace noded
