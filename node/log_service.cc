// The Logs RPC: who has asked for the next message is read for on the worker pool; who follows and
// has read all waits, without a thread, for inotify, for a change of its container or for `until`.
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "node/base/status.h"
#include "node/base/unique_fd.h"
#include "node/log_reader.h"
#include "node/registry.h"

namespace noded {
namespace {

using node::v1::LogsRequest;
using node::v1::LogsResponse;
using LogStream = ResponseStream<LogsResponse>;

// Before the pool is asked again when its queue was full.
constexpr absl::Duration kRetryDelay = absl::Milliseconds(50);
// How often a log is looked at when the kernel has no inotify watch left for it.
constexpr absl::Duration kPollInterval = absl::Milliseconds(250);

// CREATED and STARTING will run: a follower may come before the start.
bool IsOver(const Snapshot& snapshot) {
  if (snapshot == nullptr) return true;
  switch (snapshot->container().state()) {
    case node::v1::CONTAINER_STATE_EXITED:
    case node::v1::CONTAINER_STATE_REMOVING:
      return true;
    case node::v1::CONTAINER_STATE_UNKNOWN:
      // Its record was lost, its process perhaps not.
      return snapshot->container().pid() == 0;
    default:
      return false;
  }
}

class LogTailer;

// Which follower waits for which directory: one inotify descriptor for all, one watch a directory.
// Thread-safe.
class DirectoryWatches {
 public:
  explicit DirectoryWatches(UniqueFd inotify) : inotify_(std::move(inotify)) {}

  // False: the directory is not there or the kernel has no more watches.
  bool Add(const std::string& directory, const std::shared_ptr<LogTailer>& follower);
  void Remove(LogTailer* follower);
  // Wakes those whose directories have changed.
  void ReadEvents();
  int fd() const { return inotify_.get(); }

 private:
  const UniqueFd inotify_;
  absl::Mutex mutex_;
  std::map<int, std::map<LogTailer*, std::weak_ptr<LogTailer>>> watches_ ABSL_GUARDED_BY(mutex_);
};

struct LogTailerContext {
  EventLoop* loop;
  WorkerPool* pool;
  Registry* registry;
  std::shared_ptr<DirectoryWatches> watches;
};

// One call of Logs. Its work is done by at most one thread at a time: that of the outstanding Next.
class LogTailer : public LogStream, public std::enable_shared_from_this<LogTailer> {
 public:
  LogTailer(LogTailerContext context, std::string directory, std::unique_ptr<LogReader> reader,
            const LogsRequest& request, bool container_over)
      : context_(std::move(context)),
        directory_(std::move(directory)),
        reader_(std::move(reader)),
        follow_(request.follow()),
        until_(request.has_until() ? absl::FromUnixSeconds(request.until().seconds()) +
                                         absl::Nanoseconds(request.until().nanos())
                                   : absl::InfiniteFuture()),
        container_over_(container_over) {}

  ~LogTailer() override { Release(); }

  // For one that follows: hears of its container and of `until`.
  void Observe(const std::string& id);
  void Next(Ready ready) override;
  void Cancel() override { End(absl::CancelledError("logs: cancelled")); }
  // Something may have changed. Any thread.
  void Wake();
  // Answers an outstanding Next and releases everything.
  void End(absl::StatusOr<std::optional<LogsResponse>> last);

 private:
  void SubmitRead();
  void Read();
  // Whether nothing more can come but what is already in the log.
  bool Over();
  bool ContainerIsOver();
  // Waits for a change; false: there has been one since the read began.
  bool Park();
  void Answer(LogsResponse response);
  // Looks again after a while; once, however often it is asked for.
  void LookAgainAfter(absl::Duration delay);
  void Release();

  const LogTailerContext context_;
  const std::string directory_;
  const std::unique_ptr<LogReader> reader_;
  const bool follow_;
  const absl::Time until_;

  absl::Mutex mutex_;
  Ready ready_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool container_over_ ABSL_GUARDED_BY(mutex_);
  bool watching_ ABSL_GUARDED_BY(mutex_) = false;
  bool look_again_ ABSL_GUARDED_BY(mutex_) = false;
  EventLoop::TimerId until_timer_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void()> stop_observing_ ABSL_GUARDED_BY(mutex_);
};

bool DirectoryWatches::Add(const std::string& directory,
                           const std::shared_ptr<LogTailer>& follower) {
  absl::MutexLock lock(&mutex_);
  // The same directory gives the same watch. Under the lock, or another's Remove could end it.
  const int watch = inotify_add_watch(inotify_.get(), directory.c_str(),
                                      IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
  if (watch < 0) return false;
  watches_[watch].emplace(follower.get(), follower);
  return true;
}

void DirectoryWatches::Remove(LogTailer* follower) {
  absl::MutexLock lock(&mutex_);
  for (auto watch = watches_.begin(); watch != watches_.end();) {
    if (watch->second.erase(follower) > 0 && watch->second.empty()) {
      inotify_rm_watch(inotify_.get(), watch->first);
      watch = watches_.erase(watch);
    } else {
      ++watch;
    }
  }
}

void DirectoryWatches::ReadEvents() {
  alignas(inotify_event) char buffer[16 << 10];
  const ssize_t got = read(inotify_.get(), buffer, sizeof(buffer));
  std::set<std::shared_ptr<LogTailer>> woken;
  {
    absl::MutexLock lock(&mutex_);
    auto wake = [&](const auto& followers) {
      for (const auto& [key, follower] : followers) {
        if (auto alive = follower.lock()) woken.insert(std::move(alive));
      }
    };
    for (ssize_t at = 0; at < got;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof(event));
      at += static_cast<ssize_t>(sizeof(event) + event.len);
      auto watch = watches_.find(event.wd);
      if (event.mask & IN_Q_OVERFLOW) {
        for (const auto& [wd, followers] : watches_) wake(followers);
      } else if (watch != watches_.end()) {
        wake(watch->second);
        // The directory has been removed, and the kernel's watch with it.
        if (event.mask & IN_IGNORED) watches_.erase(watch);
      }
    }
  }
  for (const auto& follower : woken) follower->Wake();
}

void LogTailer::Observe(const std::string& id) {
  std::weak_ptr<LogTailer> weak = shared_from_this();
  auto stop = context_.registry->OnChange(id, [weak](const Snapshot& snapshot) {
    auto self = weak.lock();
    if (self == nullptr) return true;
    {
      absl::MutexLock lock(&self->mutex_);
      self->container_over_ = IsOver(snapshot);
    }
    self->Wake();
    return false;
  });
  EventLoop::TimerId timer = 0;
  if (until_ != absl::InfiniteFuture()) {
    timer = context_.loop->RunAfter(until_ - absl::Now(), [weak] {
      if (auto self = weak.lock()) self->Wake();
    });
  }
  absl::MutexLock lock(&mutex_);
  stop_observing_ = std::move(stop);
  until_timer_ = timer;
}

void LogTailer::Next(Ready ready) {
  bool ended;
  {
    absl::MutexLock lock(&mutex_);
    ended = ended_;
    if (!ended) {
      ready_ = ready;
      reading_ = true;
    }
  }
  if (ended) return ready(absl::CancelledError("logs: the stream has ended"));
  SubmitRead();
}

void LogTailer::SubmitRead() {
  absl::Status submitted = context_.pool->Submit([self = shared_from_this()] { self->Read(); });
  if (submitted.ok()) return;
  {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
  }
  LookAgainAfter(kRetryDelay);
}

void LogTailer::Wake() {
  {
    absl::MutexLock lock(&mutex_);
    changed_ = true;
    if (ended_ || reading_ || !ready_) return;
    reading_ = true;
  }
  SubmitRead();
}

void LogTailer::LookAgainAfter(absl::Duration delay) {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_ || std::exchange(look_again_, true)) return;
  }
  context_.loop->RunAfter(delay, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (self == nullptr) return;
    {
      absl::MutexLock lock(&self->mutex_);
      self->look_again_ = false;
    }
    self->Wake();
  });
}

void LogTailer::Read() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (ended_) return;
      changed_ = false;
    }
    // Asked before reading, because the log is complete before the container's end is told: what
    // this read does not find then will never come.
    const bool over = Over();
    auto response = reader_->Read(ContainerIsOver());
    if (!response.ok()) return End(response.status());
    if (response->entries_size() > 0) return Answer(*std::move(response));
    if (over) return End(std::nullopt);
    if (Park()) return;
  }
}

bool LogTailer::Over() {
  if (!follow_ || absl::Now() >= until_) return true;
  return ContainerIsOver();
}

bool LogTailer::ContainerIsOver() {
  absl::MutexLock lock(&mutex_);
  return container_over_;
}

bool LogTailer::Park() {
  bool watch;
  {
    absl::MutexLock lock(&mutex_);
    watch = !watching_;
  }
  if (watch) {
    const bool added = context_.watches->Add(directory_, shared_from_this());
    // Without a watch there is no log yet, and its container's start is heard of, or the kernel has
    // no more to give. In both cases looking again now and then is enough.
    if (!added) LookAgainAfter(kPollInterval);
    absl::MutexLock lock(&mutex_);
    watching_ = added;
    // What was written before the watch was there woke nobody.
    if (added) changed_ = true;
  }
  absl::MutexLock lock(&mutex_);
  if (changed_) return false;
  reading_ = false;
  return true;
}

void LogTailer::Answer(LogsResponse response) {
  Ready ready;
  {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    ready = std::exchange(ready_, nullptr);
  }
  if (ready) ready(std::move(response));
}

void LogTailer::End(absl::StatusOr<std::optional<LogsResponse>> last) {
  Ready ready;
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    ready = std::exchange(ready_, nullptr);
  }
  Release();
  if (ready) ready(std::move(last));
}

void LogTailer::Release() {
  std::function<void()> stop_observing;
  EventLoop::TimerId timer;
  {
    absl::MutexLock lock(&mutex_);
    stop_observing = std::exchange(stop_observing_, nullptr);
    timer = std::exchange(until_timer_, 0);
  }
  // Without the lock, because it waits for an observer that is just running.
  if (stop_observing) stop_observing();
  if (timer != 0) context_.loop->Cancel(timer);
  context_.watches->Remove(this);
}

class InotifyLogService : public LogService {
 public:
  InotifyLogService(LogTailerContext context, EventLoop::WatchId watch)
      : context_(std::move(context)), watch_(watch) {}
  ~InotifyLogService() override;

  absl::StatusOr<std::shared_ptr<LogStream>> Logs(const LogsRequest& request) override;

 private:
  const LogTailerContext context_;
  const EventLoop::WatchId watch_;
  absl::Mutex mutex_;
  std::vector<std::weak_ptr<LogTailer>> streams_ ABSL_GUARDED_BY(mutex_);
};

InotifyLogService::~InotifyLogService() {
  context_.loop->Unwatch(watch_);
  std::vector<std::weak_ptr<LogTailer>> streams;
  {
    absl::MutexLock lock(&mutex_);
    streams.swap(streams_);
  }
  for (const auto& weak : streams) {
    if (auto stream = weak.lock()) stream->End(absl::UnavailableError("logs: noded is ending"));
  }
}

absl::StatusOr<std::shared_ptr<LogStream>> InotifyLogService::Logs(const LogsRequest& request) {
  ASSIGN_OR_RETURN(Snapshot snapshot, context_.registry->Find(request.container()));
  const std::string& directory = snapshot->container().log_directory();
  ASSIGN_OR_RETURN(std::unique_ptr<LogReader> reader,
                   OpenLogReader(directory, request, IsOver(snapshot)));
  auto stream = std::make_shared<LogTailer>(context_, directory, std::move(reader), request,
                                            IsOver(snapshot));
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(streams_, [](const auto& one) { return one.expired(); });
    streams_.push_back(stream);
  }
  if (request.follow()) stream->Observe(snapshot->container().id());
  return stream;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LogService>> LogService::Create(EventLoop* loop, WorkerPool* pool,
                                                               Registry* registry) {
  UniqueFd inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify) return ErrnoStatus(errno, "make inotify instance for logs");
  auto watches = std::make_shared<DirectoryWatches>(std::move(inotify));
  ASSIGN_OR_RETURN(
      EventLoop::WatchId watch,
      loop->Watch(watches->fd(), EPOLLIN, [watches](uint32_t) { watches->ReadEvents(); }));
  return std::make_unique<InotifyLogService>(LogTailerContext{loop, pool, registry, watches},
                                             watch);
}

}  // namespace noded
